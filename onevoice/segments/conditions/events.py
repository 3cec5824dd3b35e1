"""How often something happened."""

import msgspec

from onevoice.segments.conditions.kind import Kind, Measured, Reads, Scope
from onevoice.segments.conditions.sources import Rows, check_rows, reads_rows, selected
from onevoice.segments.conditions.values import Where
from onevoice.segments.conditions.windows import Windowed


class Event(Windowed, frozen=True, kw_only=True):
    """How often an event happened, in all or in a span of time; `where` asks about its properties."""

    name: str
    at_least: int | None = None  # 1 where none of the three is set
    at_most: int | None = None
    exactly: int | None = None
    where: Where = msgspec.field(default_factory=dict)


def _rows(asked: Event) -> Rows:
    window = {name: getattr(asked, name) for name in Windowed.__struct_fields__}
    return Rows(event=asked.name, where=asked.where, **window)


def _measured(asked: Event, scope: Scope) -> Measured:
    rows = selected(scope, _rows(asked)).rows
    counted = rows.group_by("customer_id").aggregate(count=rows.count())
    if asked.at_most is not None:
        return Measured(counted, counted["count"] <= asked.at_most, missing=asked.at_most >= 0)
    if asked.exactly is not None:
        return Measured(counted, counted["count"] == asked.exactly, missing=asked.exactly == 0)
    least = 1 if asked.at_least is None else asked.at_least
    return Measured(counted, counted["count"] >= least, missing=least <= 0)


def _reads(asked: Event) -> Reads:
    return reads_rows(_rows(asked))


def _check(asked: Event, here: str) -> None:
    check_rows(_rows(asked), here)


EVENT = Kind("event", Event, _measured, _reads, _check, one_of=("at_least", "at_most", "exactly"))
