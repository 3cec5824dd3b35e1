"""What changed in a segment's membership, written once: the members, and the events of entering and leaving."""

from collections.abc import Collection, Sequence
from datetime import datetime

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.customers.facts import PROFILES
from onevoice.events.facts import EVENTS
from onevoice.kernel.clock import naive
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.warehouse import Warehouse, watermark

ENTERED, LEFT = "Segment Entered", "Segment Left"
"""Events of ours, as usable as any other: in segments, journeys, timeline and exports."""

OURS = 0
"""The source of events that OneVoice itself gives."""


def held(warehouse: Warehouse, segment: str) -> ir.Table:
    """The members of a segment as they are written: segment, customer_id, entered_at."""
    table = warehouse.table(SEGMENT_MEMBERS)
    return table.filter(table.segment == segment)


def differences(before: ir.Table, after: ir.Table, keys: Sequence[str] = ("segment", "customer_id")) -> ir.Table:
    """The keys and `entered` (1, or 0 for having left) of those who are in one alone, each once in either."""
    both = after.select(*keys).outer_join(before.select(*keys), keys)
    apart = both.filter(both.customer_id.isnull() | both.customer_id_right.isnull())
    return apart.select(
        **{key: ibis.coalesce(apart[key], apart[f"{key}_right"]) for key in keys},
        entered=apart.customer_id.notnull().cast("int8"),
    )


def moment(warehouse: Warehouse, now: datetime) -> ir.Table:
    """One row with the instant (`at`), also as text (`stamp`): an expression that joins it is compiled only once.

    `revision` is the warehouse's, with which the events arrive.
    """
    row = pa.table(
        {
            "at": pa.array([naive(now)], pa.timestamp("us")),
            "stamp": [now.isoformat()],
            "revision": pa.array([watermark(warehouse, "revision")[0]], pa.int64()),
        }
    )
    return warehouse.stage("refresh_moment", row)


def write(warehouse: Warehouse, entered: ir.Table, left: ir.Table, now: datetime, silent: Collection[str] = ()) -> None:
    """Writes staged differences (segment, customer_id), and an event for each but in the `silent` segments.

    To be called within a transaction.
    """
    at = moment(warehouse, now)
    key = ("segment", "customer_id")
    warehouse.delete(SEGMENT_MEMBERS, left.select(*key))
    members = entered.cross_join(at)
    warehouse.append(SEGMENT_MEMBERS, members.select(*key, entered_at=members["at"].cast("timestamp(6)")))
    # Whoever was merged into another has not left: there is no such customer any more.
    gone = left.semi_join(warehouse.table(PROFILES), "customer_id")
    for rows, name in ((entered, ENTERED), (gone, LEFT)):
        told = rows.filter(rows.segment.notin(list(silent))) if silent else rows
        warehouse.append(EVENTS, _events(warehouse, told.cross_join(at), name))


def _events(warehouse: Warehouse, rows: ir.Table, name: str) -> ir.Table:
    """An event per row; its id is made of what makes it unique, so written twice it has the same id."""
    at = rows["at"].cast("timestamp(6)")
    place = rows.segment.replace("\\", "\\\\").replace('"', '\\"')
    bar = ibis.literal("|")
    unique = ibis.literal(f"{name}|") + rows.stamp + bar + rows.segment + bar + rows.customer_id.cast("string")
    known = {
        "event_id": warehouse.digest(unique),
        "source_id": ibis.literal(OURS, "int64"),
        "type": ibis.literal("track"),
        "name": ibis.literal(name),
        "channel": ibis.literal("server"),
        "identifier_id": rows.customer_id,
        "customer_id": rows.customer_id,
        "occurred_at": at,
        "received_at": at,
        "properties": ibis.literal('{"segment":"') + place + ibis.literal('"}'),
        "arrival": rows.revision,
    }
    later = {column: ibis.null(ibis.dtype(kind)) for column, kind in EVENTS.columns.items() if column not in known}
    return rows.select(**known, **later).select(*EVENTS.columns)
