"""Exports: customers, a segment, events or orders as Parquet or CSV, streamed; memory does not grow with their size.

The engine owns the warehouse and so makes the bytes; the api and the command line pass them on. Ids are text in both
formats: spreadsheets round numbers of more than 15 digits.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from onevoice.catalog.facts import ORDERS
from onevoice.customers.facts import ADDRESSES, CONSENTS, IDENTIFIERS, PROFILES
from onevoice.events.facts import EVENTS
from onevoice.kernel.clock import aware, naive
from onevoice.kernel.errors import InvalidInput, NotFound
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.warehouse import Facts, Warehouse

FORMATS = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv; charset=utf-8"}
"""Media types."""

BATCH = 50_000  # rows in the making at once
ROW_GROUP = 250_000  # rows of Parquet that are compressed together, about
FORMULA = r"^[=+\-@\t\r]"
"""A text that begins so is run by spreadsheets (OWASP, CSV injection)."""


@dataclass(frozen=True)
class Export:
    """What is to be exported; of events and orders those from `since` on and before `until` (ISO 8601)."""

    what: str  # customers, segment, events, orders
    format: str  # one of FORMATS
    segment: str = ""
    since: str = ""
    until: str = ""
    safe: bool = True  # CSV: what a spreadsheet would run has an apostrophe before it


def media_type(export: Export) -> str:
    """What the bytes are. Raises InvalidInput for a format there is not."""
    if export.format not in FORMATS:
        raise InvalidInput(f"format is {export.format!r}; use one of {', '.join(FORMATS)}")
    return FORMATS[export.format]


def stream(warehouse: Warehouse, export: Export) -> Iterator[bytes]:
    """The export's bytes, piece by piece. Raises InvalidInput, NotFound before the first."""
    media_type(export)
    make = EXPORTS.get(export.what)
    if make is None:
        raise InvalidInput(f"There is no export of {export.what!r}; use one of {', '.join(EXPORTS)}")
    rows = _ids_as_text(make(warehouse, export))
    schema = ibis.Schema(dict(rows.schema().items())).to_pyarrow()
    batches = (_cast(batch, schema) for batch in warehouse.batches(rows, BATCH))
    return _csv(schema, batches, export.safe) if export.format == "csv" else _parquet(schema, batches)


def _customers(warehouse: Warehouse, export: Export) -> ir.Table:
    """A row per customer: the profile, and identifiers, addresses and consents as JSON."""
    profiles = warehouse.table(PROFILES)
    parts = {
        "identifiers": (IDENTIFIERS, ("namespace", "value")),
        "addresses": (ADDRESSES, ("channel", "address")),
        "consents": (CONSENTS, ("channel", "topic", "state", "occurred_at")),
    }
    joined = profiles
    for name, (facts, columns) in parts.items():
        rows = warehouse.table(facts)
        members = [ibis.literal(f'"{column}":"') + _escaped(rows[column].cast("string")) + '"' for column in columns]
        one = ibis.literal("{") + ibis.literal(",").join(members) + "}"
        listed = (
            rows.select("customer_id", one=one).group_by("customer_id").aggregate(list=ibis._.one.group_concat(","))
        )
        listed = listed.select(_whose=listed.customer_id, list=listed.list)
        joined = joined.left_join(listed, joined.customer_id == listed._whose).drop("_whose")
        joined = joined.mutate(**{name: ibis.literal("[") + joined.list.fill_null("") + "]"}).drop("list")
    return joined


def _segment(warehouse: Warehouse, export: Export) -> ir.Table:
    """As customers, those in the segment now, and when they entered it."""
    members = warehouse.table(SEGMENT_MEMBERS)
    inside = members.filter(members.segment == export.segment)
    if not warehouse.count(inside.limit(1)):
        raise NotFound(f"There is no segment {export.segment!r}, or nobody is in it")
    inside = inside.select(_whose=inside.customer_id, entered_at=inside.entered_at)
    customers = _customers(warehouse, export)
    return customers.inner_join(inside, customers.customer_id == inside._whose).drop("_whose")


def _period(facts: Facts, by: str) -> Callable[[Warehouse, Export], ir.Table]:
    def rows(warehouse: Warehouse, export: Export) -> ir.Table:
        found = warehouse.table(facts)
        if export.since:
            found = found.filter(found[by] >= ibis.timestamp(_instant(export.since)))
        if export.until:
            found = found.filter(found[by] < ibis.timestamp(_instant(export.until)))
        return found

    return rows


EXPORTS: dict[str, Callable[[Warehouse, Export], ir.Table]] = {
    "customers": _customers,
    "segment": _segment,
    "events": _period(EVENTS, "occurred_at"),
    "orders": _period(ORDERS, "ordered_at"),
}
"""What can be exported."""


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(
            f"{text!r} is no time; write ISO 8601, such as 2026-03-02 or 2026-03-02T10:00:00Z"
        ) from error
    return naive(at if at.tzinfo else aware(at))


def _escaped(text: ir.StringValue) -> ir.StringValue:
    """A text within a JSON string; control characters become spaces."""
    return text.replace("\\", "\\\\").replace('"', '\\"').re_replace(r"[\x00-\x1f]", " ")


def _ids_as_text(rows: ir.Table) -> ir.Table:
    ids = [name for name, kind in rows.schema().items() if name.endswith("_id") and kind.is_integer()]
    return rows.mutate(**{name: rows[name].cast("string") for name in ids})


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [pc.cast(batch.column(field.name), field.type) for field in schema]
    return pa.record_batch(columns, schema=schema)


def _csv(schema: pa.Schema, batches: Iterator[pa.RecordBatch], safe: bool) -> Iterator[bytes]:
    is_first = True
    for batch in _or_empty(schema, batches):
        sink = io.BytesIO()
        options = pyarrow.csv.WriteOptions(include_header=is_first)
        pyarrow.csv.write_csv(_disarmed(batch) if safe else batch, sink, options)
        is_first = False
        yield sink.getvalue()


def _disarmed(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = []
    for column in batch.columns:
        if pa.types.is_string(column.type):
            armed = pc.fill_null(pc.match_substring_regex(column, FORMULA), False)
            if pc.any(armed).as_py():
                column = pc.if_else(armed, pc.binary_join_element_wise("'", column, ""), column)
        columns.append(column)
    return pa.record_batch(columns, schema=batch.schema)


def _parquet(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    sink = io.BytesIO()
    with pq.ParquetWriter(_Appended(sink), schema, compression="zstd") as writer:
        held: list[pa.RecordBatch] = []
        for batch in batches:
            held.append(batch)
            if sum(map(len, held)) >= ROW_GROUP:
                writer.write_table(pa.Table.from_batches(held, schema))
                held = []
                yield _taken(sink)
        if held:
            writer.write_table(pa.Table.from_batches(held, schema))
    yield _taken(sink)


class _Appended(io.RawIOBase):
    """A file that is only written on; it knows its length though its beginning has been taken away."""

    def __init__(self, sink: io.BytesIO) -> None:
        self._sink, self._length = sink, 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        written = self._sink.write(data)  # type: ignore[arg-type]  # pyarrow hands over buffers
        self._length += written
        return written

    def tell(self) -> int:
        return self._length


def _taken(sink: io.BytesIO) -> bytes:
    data = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return data


def _or_empty(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """At least one batch, so that an export of nothing has a header."""
    is_empty = True
    for batch in batches:
        is_empty = False
        yield batch
    if is_empty:
        yield pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)
