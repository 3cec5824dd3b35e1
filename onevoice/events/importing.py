"""Import of files: customers, orders, products, events from CSV, JSONL or Parquet into the inbox, in bulk.

DuckDB reads, checks and shapes the rows, so that a bad one is named with its number and column and none is touched in
Python one by one; the entries go into the inbox by COPY. Ids are made from the rows' own keys, so a file imported twice
gives the same events, which the load takes once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb
from sqlalchemy import Engine

from onevoice.database import driver
from onevoice.database.inbox import COPY, Kind
from onevoice.events.sources import Source
from onevoice.kernel.errors import InvalidInput

CHUNK = 20_000
"""Entries in one transaction."""

REPORTED = 1_000
"""Bad rows named in the report; all are counted."""

Progress = Callable[[int, int], None]
"""Called with the rows done and the rows in all."""


@dataclass(frozen=True)
class Field:
    """One of our fields: the type a value must have, whether it must be there, the headers it is known by."""

    kind: str
    required: bool
    headers: tuple[str, ...] = ()


NAMES = {
    "user_id": Field("VARCHAR", False, ("userid", "customer_id", "external_id")),
    "anonymous_id": Field("VARCHAR", False, ("anonymousid", "device_id")),
    "loyalty_card": Field("VARCHAR", False, ("card", "card_id", "household_id", "loyalty_id")),
}
"""Identifiers; a row needs at least one of them."""

FIELDS: dict[str, dict[str, Field]] = {
    "customers": {**NAMES, "updated_at": Field("TIMESTAMPTZ", False, ("created_at", "first_at", "timestamp"))},
    "orders": {
        **NAMES,
        "order_id": Field("VARCHAR", True, ("basket_id", "receipt", "order")),
        "ordered_at": Field("TIMESTAMPTZ", True, ("timestamp", "date", "created_at", "transaction_timestamp")),
        "product_id": Field("VARCHAR", True, ("sku", "item_id", "product")),
        "quantity": Field("DOUBLE", False, ("qty",)),
        "revenue": Field("DECIMAL(18, 4)", True, ("sales_value", "amount", "line_total")),
        "discount": Field("DECIMAL(18, 4)", False, ()),
        "store_id": Field("VARCHAR", False, ("store",)),
        "currency": Field("VARCHAR", False, ()),
        "coupon": Field("VARCHAR", False, ("coupon_code",)),
    },
    "products": {
        "product_id": Field("VARCHAR", True, ("sku", "id")),
        "name": Field("VARCHAR", True, ("title", "product_name")),
        "brand": Field("VARCHAR", False, ()),
        "category": Field("VARCHAR", False, ("product_category",)),
        "department": Field("VARCHAR", False, ()),
        "url": Field("VARCHAR", False, ("link",)),
        "updated_at": Field("TIMESTAMPTZ", False, ()),
    },
    "events": {
        **NAMES,
        "event": Field("VARCHAR", True, ("name", "event_name")),
        "occurred_at": Field("TIMESTAMPTZ", True, ("timestamp", "date")),
        "event_id": Field("VARCHAR", False, ("message_id", "messageid", "id")),
    },
}
"""What each kind of file has. Further columns of customers become traits, of events properties."""

READERS = {
    ".csv": "read_csv({file}, all_varchar = true, header = true)",
    ".jsonl": "read_json({file}, format = 'newline_delimited')",
    ".ndjson": "read_json({file}, format = 'newline_delimited')",
    ".parquet": "read_parquet({file})",
}


@dataclass(frozen=True)
class BadRow:
    """A row that was not taken; the first row after a header is 1."""

    row: int
    column: str
    reason: str


@dataclass
class ImportReport:
    """What an import did."""

    kind: str
    rows: int = 0
    entries: int = 0
    bad_rows: int = 0
    bad: list[BadRow] = field(default_factory=list)


def import_file(
    pool: Engine,
    kind: str,
    source: Source,
    path: Path,
    mapping: Mapping[str, str] | None,
    now: datetime,
    progress: Progress = lambda done, total: None,
) -> ImportReport:
    """Puts a file's rows into the inbox. `mapping` is {our field: the file's column}; guessed from the headers if None.

    Raises InvalidInput where the file cannot be read or a required column is missing. Bad rows are left out and named.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidInput(f"{path.name}: the ending must be one of {', '.join(READERS)}")
    report = ImportReport(kind)
    with duckdb.connect() as store:
        store.execute("SET TimeZone = 'UTC'")
        try:
            literal = "'" + str(path).replace("'", "''") + "'"
            store.execute(
                f"CREATE TABLE raw AS SELECT *, row_number() OVER () AS _row FROM {reader.format(file=literal)}"
            )
        except duckdb.Error as error:
            raise InvalidInput(f"{path.name} cannot be read: {error}") from error
        headers = [row[0] for row in store.execute("DESCRIBE raw").fetchall() if row[0] != "_row"]
        columns = _columns(kind, headers, mapping, path)
        report.rows = _count(store, "raw")
        _check(store, kind, columns, report)
        further = [name for name in headers if name not in columns.values()]
        store.execute(f"CREATE TABLE entries AS {SHAPES[kind](columns, further, source, now)}")
        _write(pool, store, kind, source, now, report, progress)
    return report


def _columns(kind: str, headers: list[str], mapping: Mapping[str, str] | None, path: Path) -> dict[str, str]:
    fields = FIELDS[kind]
    if mapping is not None:
        if unknown := sorted(set(mapping) - set(fields)):
            raise InvalidInput(f"Mapping: {', '.join(unknown)} is no field of {kind}; there are {', '.join(fields)}")
        if absent := sorted(set(mapping.values()) - set(headers)):
            raise InvalidInput(f"{path.name} has no column {', '.join(absent)}; it has {', '.join(headers)}")
        found = dict(mapping)
    else:
        by_name = {header.strip().lower().replace(" ", "_"): header for header in headers}
        found = {
            name: by_name[guess]
            for name, one in fields.items()
            for guess in next(([g] for g in (name, *one.headers) if g in by_name), [])
        }
    missing = [name for name, one in fields.items() if one.required and name not in found]
    if kind != "products" and not set(NAMES) & set(found):
        missing.append(f"one of {', '.join(NAMES)}")
    if missing:
        raise InvalidInput(
            f"{path.name}: no column for {'; '.join(missing)}. It has {', '.join(headers)}; name them with --mapping"
        )
    return found


def _check(store: duckdb.DuckDBPyConnection, kind: str, columns: dict[str, str], report: ImportReport) -> None:
    """Casts the columns into `rows`; a row with a value that does not fit, or lacks a required one, is reported."""
    casts, faults = [], []
    for name, column in columns.items():
        one, quoted = FIELDS[kind][name], _quoted(column)
        blank = f"nullif(trim({quoted}::VARCHAR), '')"
        casts.append(f"TRY_CAST({blank} AS {one.kind}) AS {_quoted('f_' + name)}")
        wrong = f"WHEN {blank} IS NOT NULL AND TRY_CAST({blank} AS {one.kind}) IS NULL THEN "
        kinds = {"DOUBLE": "a number", "DECIMAL(18, 4)": "an amount", "TIMESTAMPTZ": "a time", "VARCHAR": "text"}
        reason = f"'not {kinds[one.kind]}: ' || left({blank}, 60)"
        lacking = f"WHEN {blank} IS NULL THEN 'missing' " if one.required else ""
        faults.append((column, f"CASE {wrong}{reason} {lacking}END"))
    named = [_quoted("f_" + name) for name in NAMES if name in columns]
    if named:
        faults.append(("identifier", f"CASE WHEN coalesce({', '.join(named)}) IS NULL THEN 'no identifier' END"))
    checks = ", ".join(f"{check} AS {_quoted(f'fault_{index}')}" for index, (_, check) in enumerate(faults))
    store.execute(f"CREATE TABLE checked AS SELECT *, {checks} FROM (SELECT *, {', '.join(casts)} FROM raw)")
    wrongs = [f"{_quoted(f'fault_{index}')} IS NOT NULL" for index in range(len(faults))]
    any_wrong = " OR ".join(wrongs)
    report.bad_rows = _count(store, f"checked WHERE {any_wrong}")
    if report.bad_rows:
        shown = ", ".join(_quoted(f"fault_{index}") for index in range(len(faults)))
        rows = store.execute(f"SELECT _row, {shown} FROM checked WHERE {any_wrong} ORDER BY _row LIMIT {REPORTED}")
        for number, *found in rows.fetchall():
            column, reason = next((faults[i][0], text) for i, text in enumerate(found) if text is not None)
            report.bad.append(BadRow(number, column, reason))
    store.execute(f"CREATE TABLE rows AS SELECT * FROM checked WHERE NOT ({any_wrong})")
    store.execute("DROP TABLE checked; DROP TABLE raw")


def _field(columns: dict[str, str], name: str, otherwise: str = "NULL") -> str:
    return f"coalesce({_quoted('f_' + name)}, {otherwise})" if name in columns else otherwise


def _identity(columns: dict[str, str]) -> str:
    """The call's identifiers as JSON members, absent ones left out."""
    card = _field(columns, "loyalty_card")
    external = f"CASE WHEN {card} IS NULL THEN NULL ELSE [{{'id': {card}, 'type': 'loyalty_card'}}] END"
    return (
        f"'userId': {_field(columns, 'user_id')}, 'anonymousId': {_field(columns, 'anonymous_id')}, "
        f"'context': {{'externalIds': coalesce({external}, [])}}"
    )


def _envelope(call_type: str, message_id: str, at: str, call: str) -> str:
    """SQL for an entry's payload (vocabulary.EventEntry)."""
    moment = f"strftime({at} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
    members = f"'type': '{call_type}', 'message_id': {message_id}, 'occurred_at': {moment}, 'call': {call}"
    return f"to_json({{{members}}})::VARCHAR"


def _orders(columns: dict[str, str], further: list[str], source: Source, now: datetime) -> str:
    """One `Order Completed` per order id, its lines in the file's order."""
    line = (
        "{'product_id': f_product_id, "
        f"'quantity': {_field(columns, 'quantity', '1.0')}, 'revenue': f_revenue::DOUBLE, "
        f"'discount': {_field(columns, 'discount', '0')}::DOUBLE}}"
    )
    firsts = [name for name in (*NAMES, "ordered_at", "store_id", "currency", "coupon") if name in columns]
    header = ", ".join(f"min_by({_quoted('f_' + name)}, _row) AS {_quoted('f_' + name)}" for name in firsts)
    properties = (
        "{'order_id': f_order_id, 'revenue': revenue, 'discount': discount, "
        f"'currency': {_field(columns, 'currency')}, 'coupon': {_field(columns, 'coupon')}, "
        f"'store_id': {_field(columns, 'store_id')}, 'products': products}}"
    )
    call = f"{{'event': 'Order Completed', {_identity(columns)}, 'properties': {properties}}}"
    payload = _envelope("track", "'order-' || f_order_id", "f_ordered_at", call)
    return (
        f"SELECT {payload} AS payload, first_row, n FROM (SELECT f_order_id, {header}, "
        f"sum(f_revenue)::DOUBLE AS revenue, sum({_field(columns, 'discount', '0')})::DOUBLE AS discount, "
        f"list({line} ORDER BY _row) AS products, min(_row) AS first_row, count(*) AS n FROM rows GROUP BY f_order_id)"
    )


def _customers(columns: dict[str, str], further: list[str], source: Source, now: datetime) -> str:
    at = _field(columns, "updated_at", _instant(now))
    call = f"{{{_identity(columns)}, 'traits': {_struct(further)}}}"
    key = "coalesce(" + ", ".join(_quoted("f_" + name) for name in NAMES if name in columns) + ")"
    message_id = f"'customer-' || md5({key} || '|' || epoch_us({at}) || '|' || to_json({_struct(further)})::VARCHAR)"
    return f"SELECT {_envelope('identify', message_id, at, call)} AS payload, _row AS first_row, 1 AS n FROM rows"


def _events(columns: dict[str, str], further: list[str], source: Source, now: datetime) -> str:
    key = "coalesce(" + ", ".join(_quoted("f_" + name) for name in NAMES if name in columns) + ")"
    made = (
        f"'event-' || md5({key} || '|' || f_event || '|' || epoch_us(f_occurred_at) || '|' || "
        f"to_json({_struct(further)})::VARCHAR)"
    )
    message_id = _field(columns, "event_id", made)
    call = f"{{'event': f_event, {_identity(columns)}, 'properties': {_struct(further)}}}"
    payload = _envelope("track", message_id, "f_occurred_at", call)
    return f"SELECT {payload} AS payload, _row AS first_row, 1 AS n FROM rows"


def _products(columns: dict[str, str], further: list[str], source: Source, now: datetime) -> str:
    moment = f"strftime({_field(columns, 'updated_at', _instant(now))} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
    names = [name for name in FIELDS["products"] if name != "updated_at"]
    members = ", ".join(f"'{name}': {_field(columns, name)}" for name in names)
    payload = f"to_json({{{members}, 'occurred_at': {moment}}})::VARCHAR"
    return f"SELECT {payload} AS payload, _row AS first_row, 1 AS n FROM rows"


SHAPES = {"customers": _customers, "orders": _orders, "products": _products, "events": _events}


def _struct(names: list[str]) -> str:
    """Further columns as an object; `{}` for none."""
    return "{" + ", ".join(f"{_text(name)}: {_quoted(name)}" for name in names) + "}" if names else "MAP {}"


def _write(
    pool: Engine,
    store: duckdb.DuckDBPyConnection,
    kind: str,
    source: Source,
    now: datetime,
    report: ImportReport,
    progress: Progress,
) -> None:
    inbox_kind = Kind.PRODUCT if kind == "products" else Kind.EVENT
    found = store.execute("SELECT payload, n FROM entries ORDER BY first_row")
    done = report.bad_rows
    progress(done, report.rows)
    while chunk := found.fetchmany(CHUNK):
        with pool.begin() as connection, driver(connection) as raw, raw.cursor().copy(COPY) as copy:
            for payload, _ in chunk:
                copy.write_row((source.id, inbox_kind.value, now, payload.encode()))
        report.entries += len(chunk)
        done += sum(n for _, n in chunk)
        progress(done, report.rows)


def _count(store: duckdb.DuckDBPyConnection, what: str) -> int:
    row = store.execute(f"SELECT count(*) FROM {what}").fetchone()
    return int(row[0]) if row else 0


def _instant(at: datetime) -> str:
    return f"TIMESTAMPTZ '{at.isoformat()}'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
