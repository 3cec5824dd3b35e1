"""Which entries of the quarantine are a person's: they are kept as they came, so they are looked into one by one.

The database names the candidates, in which a value of the person's stands somewhere; each is then read. Short values
count only where a customer is named, since a card `12` must not take away whatever has a 12 in it.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, LargeBinary, literal, or_, select

from onevoice.events.models import quarantine as table

LONG = 6
"""Characters from which a value is taken for the person's wherever it stands."""

NAMING = {"userid", "anonymousid", "previousid", "id", "email", "phone", "loyaltycard", "card"}
"""Keys under which a customer is named, in lower case and without separators."""


def of(connection: Connection, texts: Sequence[str]) -> list[int]:
    """The numbers of the entries that are of the person with these identifiers and addresses."""
    wanted = {text.lower() for text in texts if text}
    if not wanted:
        return []
    forms = {form for text in texts for form in (text, json.dumps(text)[1:-1]) if text}
    like = [table.c.payload.op("LIKE")(literal(_pattern(form), LargeBinary)) for form in sorted(forms)]
    rows = connection.execute(select(table.c.id, table.c.payload).where(or_(*like)))
    return [row.id for row in rows if _is_of(row.payload, wanted)]


def _pattern(text: str) -> bytes:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%".encode()


def _is_of(payload: bytes, wanted: set[str]) -> bool:
    try:
        document = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        readable = payload.decode("utf-8", "replace").lower()
        return any(len(text) >= LONG and text in readable for text in wanted)
    return any(value in wanted and (len(value) >= LONG or key in NAMING) for key, value in _scalars("", document))


def _scalars(key: str, document: Any) -> Iterator[tuple[str, str]]:
    """Every text and number of a document in lower case, each with the key it stands under."""
    waiting = [(key, document)]  # not recursive: what came may be nested deep
    while waiting:
        key, document = waiting.pop()
        if isinstance(document, dict):
            waiting += [
                (str(name).lower().replace("_", "").replace("-", ""), value) for name, value in document.items()
            ]
        elif isinstance(document, list):
            waiting += [(key, value) for value in document]
        elif isinstance(document, str | int | float):
            yield key, str(document).lower()
