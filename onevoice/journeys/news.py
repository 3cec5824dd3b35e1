"""The events that journeys have not heard of yet: of each journey those after its watermark, whoever brought them.

An event's arrival is the warehouse's revision when it came, never a clock's time, so that a clock set back hides none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import ibis
import ibis.expr.types as ir

from onevoice.events.facts import EVENTS
from onevoice.journeys.laid import Laid
from onevoice.kernel.clock import naive
from onevoice.warehouse import WATERMARKS, Warehouse, set_watermark, watermark

PREFIX = "journey:"
"""Of the names of the journeys' watermarks."""

LINKING = ("identify", "alias")
"""Types of events by which two customers may turn out to be one, whose earlier events then count for both."""


@dataclass(frozen=True)
class News:
    """What is new to one journey at least."""

    events: ir.Table
    names: frozenset[str]
    links: bool  # whether customers may have become one
    revision: int
    marks: dict[str, int] = field(default_factory=dict)
    newest: int = -1

    def of(self, journey: Laid) -> ir.Table:
        """What is new to a journey: after its watermark; at first what came since it was launched."""
        mark = self.marks.get(journey.name)
        if mark is None:
            if journey.launched_at is None:
                return self.events
            return self.events.filter(self.events.received_at >= ibis.timestamp(naive(journey.launched_at)))
        return self.events if mark == self.newest else self.events.filter(self.events.arrival > mark)


def news(warehouse: Warehouse, journeys: Sequence[Laid]) -> News:
    """What has come since the journeys' watermarks."""
    table = warehouse.table(WATERMARKS)
    held = warehouse.rows(table.filter(table.name.startswith(PREFIX)))
    all_marks = {row["name"].removeprefix(PREFIX): row["transaction"] for row in held}
    marks = {one.name: all_marks[one.name] for one in journeys if one.name in all_marks}
    events = warehouse.table(EVENTS)
    fresh = events.filter(events.arrival > min(marks.values(), default=-1))
    newest = min(marks.values(), default=-1)
    unheard = [one for one in journeys if one.name not in marks]
    if unheard:
        launched = [one.launched_at for one in unheard]
        first = min((at for at in launched if at), default=None)
        fresh = events.filter(events.arrival > -1)
        newest = -1
        if first is not None and all(launched) and not marks:
            fresh = fresh.filter(fresh.received_at >= ibis.timestamp(naive(first)))
        elif first is not None and all(launched):
            lowest = min(marks.values())
            fresh = fresh.filter((fresh.arrival > lowest) | (fresh.received_at >= ibis.timestamp(naive(first))))
    staged = warehouse.stage("tick_news", fresh)
    kinds = warehouse.rows(staged.select("name", "type").distinct())
    return News(
        staged,
        frozenset(row["name"] for row in kinds),
        any(row["type"] in LINKING for row in kinds),
        watermark(warehouse, "revision")[0],
        marks,
        newest,
    )


def heard(warehouse: Warehouse, journeys: Sequence[Laid], found: News) -> None:
    """Moves the journeys' watermarks on. What is written from now on arrives with the next revision."""
    if not found.names and all(one.name in found.marks for one in journeys):
        return
    names = [f"{PREFIX}{one.name}" for one in journeys]
    columns: dict[str, list[object]] = {
        "name": list(names),
        "transaction": [found.revision] * len(names),
        "sequence": [0] * len(names),
    }
    warehouse.replace(WATERMARKS, ["name"], WATERMARKS.arrow(columns))
    set_watermark(warehouse, "revision", found.revision + 1, 0)
