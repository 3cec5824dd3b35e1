"""Access: all that is kept of a customer as one archive, for programs (JSON, CSV) and for people (a page).

The engine gives the warehouse's rows, the api adds the database's and packs. The archive is made when it is fetched and
kept nowhere, so that it need not be erased.
"""

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import Connection, select

from onevoice.customers.facts import IDENTIFIERS, PROFILES
from onevoice.customers.models import consent_ledger, consent_text
from onevoice.kernel.errors import NotFound
from onevoice.kernel.locales import direction
from onevoice.privacy import stores
from onevoice.privacy.models import privacy_request as table
from onevoice.privacy.stores import Person
from onevoice.privacy.wording import WORDS
from onevoice.warehouse import Facts, Warehouse

PATIENCE_SECONDS = 120.0
"""How long to wait for the engine's answer."""

Rows = list[dict[str, Any]]


def collected(warehouse: Warehouse, tables: Sequence[Facts], customer_id: int) -> dict[str, Any]:
    """The customer's locale, identifiers, and rows of every warehouse table. Raises NotFound."""
    identifiers = warehouse.table(IDENTIFIERS)
    mine = warehouse.rows(identifiers.filter(identifiers.customer_id == customer_id))
    if not mine:
        raise NotFound(f"There is no customer {customer_id}; it may have been merged: search by an identifier")
    person = Person(tuple(sorted(row["identifier_id"] for row in mine)), (customer_id,))
    profiles = warehouse.table(PROFILES)
    known = warehouse.rows(profiles.filter(profiles.customer_id == customer_id).select("locale"))
    return {
        "locale": known[0]["locale"] if known else "en",
        "identifiers": [row["identifier_id"] for row in mine],
        "values": sorted({row["value"] for row in mine}),
        "tables": {
            facts.name: warehouse.rows(stores.rows_of(warehouse, facts, person))
            for facts in tables
            if stores.is_personal(facts)
        },
    }


def archive(connection: Connection, told: Mapping[str, Any], customer_id: int, now: datetime) -> bytes:
    """`data.json`, a CSV per table, and `index.html` in the customer's language; `told` is what `collected` gave."""
    person = Person(tuple(told["identifiers"]), (customer_id,), tuple(told["values"]))
    kept: dict[str, Rows] = {f"warehouse/{name}": rows for name, rows in told["tables"].items()}
    for one in stores.personal_tables(connection):
        found = connection.execute(select(one).where(stores.whose(connection, one, person)))
        rows = [dict(row._mapping) for row in found]
        if one.name == consent_ledger.name:
            rows = _with_texts(connection, rows)
        kept[f"database/{one.name}"] = [{name: _plain(value) for name, value in row.items()} for row in rows]
    kept = {name: rows for name, rows in kept.items() if rows}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        document = {"customer_id": str(customer_id), "made_at": now.isoformat(), "tables": kept}
        file.writestr("data.json", msgspec.json.format(msgspec.json.encode(document), indent=1))
        for name, rows in kept.items():
            file.writestr(f"{name}.csv", _csv(rows))
        file.writestr("index.html", _page(kept, told["locale"], now))
    return packed.getvalue()


def noted(connection: Connection, customer_id: int, by: str, note: str, now: datetime) -> str:
    """Keeps that an archive was asked for and made; returns the request's id."""
    made = uuid4()
    values = {"id": made, "kind": "access", "state": "completed", "customer_id": customer_id, "requested_by": by}
    connection.execute(table.insert().values(**values, note=note, requested_at=now, finished_at=now))
    return str(made)


def _with_texts(connection: Connection, words: Rows) -> Rows:
    """The ledger's rows with the very text that was shown, and its language, instead of the hash that stands for it."""
    hashes = {row["text_hash"] for row in words if row["text_hash"]}
    texts = {row.hash: row for row in connection.execute(select(consent_text).where(consent_text.c.hash.in_(hashes)))}
    shown = []
    for word in words:
        text = texts.get(word.pop("text_hash"))
        shown.append({**word, "text": text.text if text else None, "text_locale": text.locale if text else None})
    return shown


def _plain(value: object) -> object:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _csv(rows: Rows) -> str:
    written = io.StringIO()
    writer = csv.DictWriter(written, list(rows[0]), extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


def _page(kept: Mapping[str, Rows], locale: str, now: datetime) -> str:
    words = WORDS[locale]
    parts = []
    for name, rows in kept.items():
        columns = [column for column in rows[0] if not column.endswith(("_id", "_hash")) or column == "order_id"]
        head = "".join(f"<th>{escape(column.replace('_', ' '))}</th>" for column in columns)
        body = "".join(
            "<tr>" + "".join(f"<td dir=auto>{escape(_shown(row[column]))}</td>" for column in columns) + "</tr>"
            for row in rows
        )
        title = words.get(name.split("/")[1], name.split("/")[1].replace("_", " "))
        cells = f"<div><table><tr>{head}</tr>{body}</table></div>"
        parts.append(f"<details><summary>{escape(title)} ({len(rows)})</summary>{cells}</details>")
    return _PAGE.format(
        locale=locale,
        direction=direction(locale),
        title=escape(words["title"]),
        made=escape(words["made"].format(date=f"{now:%Y-%m-%d}")),
        about=escape(words["about"]),
        parts="".join(parts),
    )


def _shown(value: object) -> str:
    return "" if value is None else str(value)


_PAGE = """<!doctype html><html lang="{locale}" dir="{direction}"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{title}</title><style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ max-width: 70rem; margin: 2rem auto; padding: 0 1rem }}
summary {{ cursor: pointer; padding: .5rem 0; font-weight: 600 }}
div {{ overflow-x: auto }} table {{ border-collapse: collapse; font-size: .875rem }}
th, td {{ text-align: start; vertical-align: top; padding: .25rem .75rem; max-width: 30rem; overflow-wrap: anywhere;
  border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent) }}
</style><h1>{title}</h1><p>{about}</p><p>{made}</p>{parts}</html>
"""
