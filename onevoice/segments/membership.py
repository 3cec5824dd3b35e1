"""What changed in a segment's membership, written once: the members, and the events of entering and leaving."""

from collections.abc import Collection
from datetime import datetime

import ibis
import ibis.expr.types as ir

from onevoice.customers.facts import PROFILES
from onevoice.events.facts import EVENTS
from onevoice.kernel.clock import naive
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.warehouse import Warehouse

ENTERED, LEFT = "Segment Entered", "Segment Left"
"""Events of ours, as usable as any other: in segments, journeys, timeline and exports."""

OURS = 0
"""The source of events that OneVoice itself gives."""


def held(warehouse: Warehouse, segment: str) -> ir.Table:
    """The members of a segment as they are written: segment, customer_id, entered_at."""
    table = warehouse.table(SEGMENT_MEMBERS)
    return table.filter(table.segment == segment)


def write(warehouse: Warehouse, entered: ir.Table, left: ir.Table, now: datetime, silent: Collection[str] = ()) -> None:
    """Writes staged differences (segment, customer_id), and an event for each but in the `silent` segments.

    To be called within a transaction.
    """
    moment = ibis.timestamp(naive(now)).cast("timestamp(6)")
    warehouse.delete(SEGMENT_MEMBERS, left.select("segment", "customer_id"))
    warehouse.append(SEGMENT_MEMBERS, entered.select("segment", "customer_id", entered_at=moment))
    # Whoever was merged into another has not left: there is no such customer any more.
    gone = left.semi_join(warehouse.table(PROFILES), "customer_id")
    for rows, name in ((entered, ENTERED), (gone, LEFT)):
        told = rows.filter(rows.segment.notin(list(silent))) if silent else rows
        warehouse.append(EVENTS, _events(warehouse, told, name, now))


def _events(warehouse: Warehouse, rows: ir.Table, name: str, now: datetime) -> ir.Table:
    """An event per row; its id is made of what makes it unique, so written twice it has the same id."""
    moment = ibis.timestamp(naive(now)).cast("timestamp(6)")
    place = rows.segment.replace("\\", "\\\\").replace('"', '\\"')
    parts = (ibis.literal(f"{name}|{now.isoformat()}|") + rows.segment + ibis.literal("|")) + rows.customer_id.cast(
        "string"
    )
    known = {
        "event_id": warehouse.digest(parts),
        "source_id": ibis.literal(OURS, "int64"),
        "type": ibis.literal("track"),
        "name": ibis.literal(name),
        "channel": ibis.literal("server"),
        "identifier_id": rows.customer_id,
        "customer_id": rows.customer_id,
        "occurred_at": moment,
        "received_at": moment,
        "properties": ibis.literal('{"segment":"') + place + ibis.literal('"}'),
    }
    later = {column: ibis.null(ibis.dtype(kind)) for column, kind in EVENTS.columns.items() if column not in known}
    return rows.select(**known, **later).select(*EVENTS.columns)
