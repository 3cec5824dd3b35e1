"""Import of files: customers, orders, products, events from CSV, JSONL or Parquet into the inbox, in bulk.

DuckDB reads (`files`), checks and shapes the rows, so that a bad one is named with its number and column and none is
touched in Python one by one; the entries go into the inbox by COPY. Ids are made from the rows' own keys, so a file
imported twice gives the same events, which the load takes once. What is checked here is what `tracking` checks of a
call: nothing may get into the inbox that the load could not take.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb
from sqlalchemy import Engine

from onevoice.customers.identifiers import BLOCKED
from onevoice.database import driver
from onevoice.database.inbox import COPY, Kind
from onevoice.events import files
from onevoice.events.files import ROW, literal, quoted
from onevoice.events.sources import Source
from onevoice.events.tracking import AHEAD, EARLIEST, MAX_AMOUNT
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
        "revenue": Field("DECIMAL(18, 4)", False, ("sales_value", "amount", "line_total")),
        "price": Field("DECIMAL(18, 4)", False, ("unit_price",)),
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

SPACES = "".join(character for character in map(chr, range(0x3001)) if character.isspace())
"""What the load strips from identifiers (`str.strip`)."""


@dataclass(frozen=True)
class BadRow:
    """A row that was not taken; the first row after a header is 1."""

    row: int
    column: str  # empty where the row as a whole could not be read
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
    report = ImportReport(kind)
    with duckdb.connect() as store:
        store.execute("SET TimeZone = 'UTC'")
        rows = files.read(store, path)
        columns = _columns(kind, rows.headers, mapping, path)
        report.rows = _sum(store, "SELECT count(*) FROM raw") + len(rows.unreadable)
        report.bad = [BadRow(number, "", reason) for number, reason in rows.unreadable]
        _check(store, kind, columns, rows, now, report)
        further = [name for name in rows.headers if name not in columns.values()]
        store.execute(f"CREATE TABLE entries AS {SHAPES[kind](columns, further, now)}")
        _refuse_entries(store, report)
        report.bad_rows = report.rows - _sum(store, "SELECT sum(n) FROM entries WHERE fault IS NULL")
        report.bad = sorted(report.bad, key=lambda bad: bad.row)[:REPORTED]
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
    if kind == "orders" and not {"revenue", "price"} & set(found):
        missing.append("revenue or price")
    if kind != "products" and not set(NAMES) & set(found):
        missing.append(f"one of {', '.join(NAMES)}")
    if missing:
        raise InvalidInput(
            f"{path.name}: no column for {'; '.join(missing)}. It has {', '.join(headers)}; name them with --mapping"
        )
    return found


def _check(
    store: duckdb.DuckDBPyConnection,
    kind: str,
    columns: dict[str, str],
    rows: files.Rows,
    now: datetime,
    report: ImportReport,
) -> None:
    """Casts the columns into `rows`; a row with a value that does not fit, or lacks a required one, is reported."""
    casts, faults = [], []
    for name, column in columns.items():
        one, value = FIELDS[kind][name], quoted(f"#{name}")
        casts.append(f"{_cast(name, one, rows.text(column))} AS {value}")
        if one.required or one.kind != "VARCHAR":
            blank = f"WHEN trim(coalesce({rows.text(column)}, '')) = '' THEN " + (
                "'missing'" if one.required else "NULL"
            )
            unfit = f"'not {NOUNS[one.kind]}: ' || left({rows.text(column)}, 60)"
            faults.append((column, f"CASE WHEN {_fits(one, value, now)} THEN NULL {blank} ELSE {unfit} END"))
    named = [quoted(f"#{name}") for name in NAMES if name in columns]
    if named:
        faults.append(("identifier", f"CASE WHEN coalesce({', '.join(named)}) IS NULL THEN 'no identifier' END"))
    if kind == "orders":
        amount = _amount(columns)
        faults.append(
            (
                columns.get("revenue", columns.get("price", "")),
                f"CASE WHEN {amount} IS NULL THEN 'no revenue, or over a trillion' END",
            )
        )
    checks = ", ".join(f"{check} AS {quoted(f'#fault {index}')}" for index, (_, check) in enumerate(faults))
    store.execute(f"CREATE TABLE checked AS SELECT *, {checks} FROM (SELECT *, {', '.join(casts)} FROM raw)")
    wrongs = [quoted(f"#fault {index}") for index in range(len(faults))]
    any_wrong = f"coalesce({', '.join(wrongs)}) IS NOT NULL"
    for number, *found in store.execute(f"SELECT {ROW}, {', '.join(wrongs)} FROM checked WHERE {any_wrong}").fetchall():
        column, reason = next((faults[i][0], text) for i, text in enumerate(found) if text is not None)
        report.bad.append(BadRow(number, column, reason))
    if kind == "orders":  # half an order is worse than none: its revenue would be wrong, and its id taken
        any_wrong += f' OR "#order_id" IN (SELECT "#order_id" FROM checked WHERE {any_wrong})'
        named_already = {bad.row for bad in report.bad}
        for (number,) in store.execute(f"SELECT {ROW} FROM checked WHERE {any_wrong}").fetchall():
            if number not in named_already:
                report.bad.append(BadRow(number, "", "another line of its order cannot be taken"))
    store.execute(f"CREATE VIEW rows AS SELECT * FROM checked WHERE NOT coalesce({any_wrong}, false)")
    store.execute("DROP TABLE raw")


NOUNS = {"DOUBLE": "a number", "DECIMAL(18, 4)": "an amount", "TIMESTAMPTZ": "a time", "VARCHAR": "text"}


def _cast(name: str, one: Field, text: str) -> str:
    if one.kind != "VARCHAR":
        return f"TRY_CAST({text} AS {one.kind})"
    edge = literal(f"^[{SPACES}]|[{SPACES}]$")  # asked first, because to trim so many characters is slow
    trimmed = (
        f"nullif(CASE WHEN regexp_matches({text}, {edge}) THEN trim({text}, {literal(SPACES)}) ELSE {text} END, '')"
    )
    if name in NAMES:  # what stands for everybody identifies nobody
        return f"CASE WHEN NOT regexp_matches({trimmed}, {literal(BLOCKED.pattern)}, 'i') THEN {trimmed} END"
    return trimmed


def _fits(one: Field, value: str, now: datetime) -> str:
    """SQL for whether there is a value, and one that the load can hold."""
    if one.kind == "VARCHAR":
        return f"{value} IS NOT NULL"
    if one.kind == "TIMESTAMPTZ":
        return f"{value} BETWEEN {_instant(EARLIEST)} AND {_instant(now + AHEAD)}"
    return f"abs({value}) < {MAX_AMOUNT:.0f}"  # not true of NaN and infinity: they are the greatest


def _amount(columns: dict[str, str]) -> str:
    """SQL for a line's revenue; NULL where there is neither revenue nor price, or the product is no amount."""
    price = f"{_field(columns, 'price')}::DOUBLE * {_field(columns, 'quantity', '1.0')}"
    bounded = f"CASE WHEN abs({price}) < {MAX_AMOUNT:.0f} THEN round({price}, 4) END"
    return f"coalesce({_field(columns, 'revenue')}::DOUBLE, {bounded})"


def _refuse_entries(store: duckdb.DuckDBPyConnection, report: ImportReport) -> None:
    """Entries that are at fault only as a whole, each row of theirs being fine."""
    for row, fault in store.execute("SELECT first_row, fault FROM entries WHERE fault IS NOT NULL").fetchall():
        report.bad.append(BadRow(row, "", fault))


def _field(columns: dict[str, str], name: str, otherwise: str = "NULL") -> str:
    return f"coalesce({quoted('#' + name)}, {otherwise})" if name in columns else otherwise


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


def _orders(columns: dict[str, str], further: list[str], now: datetime) -> str:
    """One `Order Completed` per order id, its lines in the file's order."""
    line = (
        f"{{'product_id': \"#product_id\", 'quantity': {_field(columns, 'quantity', '1.0')}, "
        f"'revenue': {_amount(columns)}, 'discount': {_field(columns, 'discount', '0')}::DOUBLE}}"
    )
    firsts = [name for name in (*NAMES, "ordered_at", "store_id", "currency", "coupon") if name in columns]
    header = ", ".join(f"min_by({quoted('#' + name)}, {ROW}) AS {quoted('#' + name)}" for name in firsts)
    properties = (
        "{'order_id': \"#order_id\", 'revenue': round(revenue, 4), 'discount': discount, "
        f"'currency': {_field(columns, 'currency')}, 'coupon': {_field(columns, 'coupon')}, "
        f"'store_id': {_field(columns, 'store_id')}, 'products': products}}"
    )
    call = f"{{'event': 'Order Completed', {_identity(columns)}, 'properties': {properties}}}"
    payload = _envelope("track", "'order-' || \"#order_id\"", '"#ordered_at"', call)
    fault = f"CASE WHEN size >= {MAX_AMOUNT:.0f} THEN 'the order''s lines sum to over a trillion' END"
    return (
        f'SELECT {payload} AS payload, first_row, n, {fault} AS fault FROM (SELECT "#order_id", {header}, '
        f"sum({_amount(columns)}) AS revenue, sum({_field(columns, 'discount', '0')})::DOUBLE AS discount, "
        f"sum(abs({_amount(columns)})) + sum(abs({_field(columns, 'discount', '0')}))::DOUBLE AS size, "
        f"list({line} ORDER BY {ROW}) AS products, min({ROW}) AS first_row, count(*) AS n "
        f'FROM rows GROUP BY "#order_id")'
    )


def _customers(columns: dict[str, str], further: list[str], now: datetime) -> str:
    at = _field(columns, "updated_at", _instant(now))
    call = f"{{{_identity(columns)}, 'traits': {_object(further)}}}"
    message_id = f"'customer-' || md5({_key(columns)} || '|' || epoch_us({at}) || '|' || {_object(further)}::VARCHAR)"
    return _each(_envelope("identify", message_id, at, call))


def _events(columns: dict[str, str], further: list[str], now: datetime) -> str:
    made = (
        f"'event-' || md5({_key(columns)} || '|' || \"#event\" || '|' || epoch_us(\"#occurred_at\") || '|' || "
        f"{_object(further)}::VARCHAR)"
    )
    call = f"{{'event': \"#event\", {_identity(columns)}, 'properties': {_object(further)}}}"
    return _each(_envelope("track", _field(columns, "event_id", made), '"#occurred_at"', call))


def _products(columns: dict[str, str], further: list[str], now: datetime) -> str:
    moment = f"strftime({_field(columns, 'updated_at', _instant(now))} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
    names = [name for name in FIELDS["products"] if name != "updated_at"]
    members = ", ".join(f"'{name}': {_field(columns, name)}" for name in names)
    return _each(f"to_json({{{members}, 'occurred_at': {moment}}})::VARCHAR")


SHAPES = {"customers": _customers, "orders": _orders, "products": _products, "events": _events}
"""SQL for the entries of each kind of file: payload, first_row, n (rows it was made of), fault."""


def _each(payload: str) -> str:
    """An entry of every row."""
    return f"SELECT {payload} AS payload, {ROW} AS first_row, 1 AS n, NULL::VARCHAR AS fault FROM rows"


def _key(columns: dict[str, str]) -> str:
    return "coalesce(" + ", ".join(quoted("#" + name) for name in NAMES if name in columns) + ")"


def _object(names: list[str]) -> str:
    """Further columns as a JSON object, without those that are empty: an empty cell says nothing, null would delete."""
    members = ", ".join(f"{literal(name)}: {quoted(name)}" for name in names)
    return f"json_merge_patch('{{}}', to_json({{{members}}}))" if names else "'{}'::JSON"


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
    found = store.execute("SELECT payload, n FROM entries WHERE fault IS NULL ORDER BY first_row")
    done = report.bad_rows
    progress(done, report.rows)
    while chunk := found.fetchmany(CHUNK):
        with pool.begin() as connection, driver(connection) as raw, raw.cursor().copy(COPY) as copy:
            for payload, _ in chunk:
                copy.write_row((source.id, inbox_kind.value, now, payload.encode()))
        report.entries += len(chunk)
        done += sum(n for _, n in chunk)
        progress(done, report.rows)


def _sum(store: duckdb.DuckDBPyConnection, query: str) -> int:
    row = store.execute(query).fetchone()
    return int(row[0] or 0) if row else 0


def _instant(at: datetime) -> str:
    return f"TIMESTAMPTZ '{at.isoformat()}'"
