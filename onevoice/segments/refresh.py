"""Who is in which segment now: simply computed again. Who stays keeps the time of entering."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ibis

from onevoice.customers.facts import PROFILES
from onevoice.kernel.clock import naive
from onevoice.segments.compiler import members
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.segments.service import SavedSegment, in_order
from onevoice.segments.tree import Condition
from onevoice.warehouse import Warehouse


@dataclass(frozen=True)
class Change:
    """What a refresh did to a segment."""

    segment: str
    size: int
    entered: int
    left: int


def refresh(warehouse: Warehouse, segments: Sequence[SavedSegment], now: datetime) -> list[Change]:
    """Brings every segment's members up to `now`, and removes those of segments that are no more."""
    table = warehouse.table(SEGMENT_MEMBERS)
    with warehouse.transaction():
        changes = [_refresh(warehouse, segment, now) for segment in in_order(list(segments))]
        gone = table.filter(table.segment.notin([segment.name for segment in segments])).select("segment").distinct()
        warehouse.delete(SEGMENT_MEMBERS, gone)
    return changes


def preview(warehouse: Warehouse, condition: Condition, now: datetime, sample: int = 10) -> dict[str, Any]:
    """How many customers meet a condition, and some of them; nothing is written."""
    found = members(condition, warehouse, now)
    profiles = warehouse.table(PROFILES)
    shown = profiles.semi_join(found, "customer_id").order_by("customer_id").limit(sample)
    rows = warehouse.rows(shown.select("customer_id", "first_name", "last_name", "locale"))
    return {
        "size": warehouse.count(found),
        "sample": [{**row, "customer_id": str(row["customer_id"])} for row in rows],
    }


def _refresh(warehouse: Warehouse, segment: SavedSegment, now: datetime) -> Change:
    table = warehouse.table(SEGMENT_MEMBERS)
    held = table.filter(table.segment == segment.name)
    current = warehouse.stage("current_members", members(segment.condition, warehouse, now))
    size = warehouse.count(current)
    new = warehouse.stage("new_members", current.anti_join(held, "customer_id"))
    entered = warehouse.count(new)
    left = warehouse.count(held) + entered - size
    if left:
        gone = warehouse.stage("gone_members", held.anti_join(current, "customer_id").select("segment", "customer_id"))
        warehouse.delete(SEGMENT_MEMBERS, gone)
    if entered:
        moment = ibis.timestamp(naive(now)).cast("timestamp(6)")
        warehouse.append(SEGMENT_MEMBERS, new.mutate(segment=ibis.literal(segment.name), entered_at=moment))
    return Change(segment.name, size, entered, left)
