"""How often something happened."""

import msgspec

from onevoice.events.facts import EVENTS
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions import values
from onevoice.segments.conditions.kind import Asked, Kind, Measured, Reads, Scope, Value, reading
from onevoice.segments.conditions.windows import days, since


class Event(Asked, frozen=True):
    """How often an event happened, in all or within the last days; `where` names properties and their values."""

    name: str
    at_least: int | None = None  # 1 where none of the three is set
    at_most: int | None = None
    exactly: int | None = None
    within: str | None = None
    where: dict[str, Value] = msgspec.field(default_factory=dict)


def _measured(asked: Event, scope: Scope) -> Measured:
    events = scope.table(EVENTS)
    rows = since(scope, events.filter(events.name == asked.name), "occurred_at", asked.within)
    for name, value in asked.where.items():
        found = scope.warehouse.json_value(rows.properties, name)
        same = found.try_cast("float64") == value if values.is_number(value) else found == values.text(value)
        rows = rows.filter(same)
    counted = rows.group_by("customer_id").aggregate(count=rows.count())
    if asked.at_most is not None:
        return Measured(counted, counted["count"] <= asked.at_most, missing=asked.at_most >= 0)
    if asked.exactly is not None:
        return Measured(counted, counted["count"] == asked.exactly, missing=asked.exactly == 0)
    least = 1 if asked.at_least is None else asked.at_least
    return Measured(counted, counted["count"] >= least, missing=least <= 0)


def _reads(asked: Event) -> Reads:
    return reading(EVENTS, events=frozenset({asked.name}), windows=asked.within is not None)


def _check(asked: Event, here: str) -> None:
    if asked.within is not None:
        days(asked.within, f"{here}.within")
    for name, value in asked.where.items():
        if '"' in name or value == "":
            raise InvalidInput(f"{here}.where: expected names without quotes, and values that are not empty")


EVENT = Kind("event", Event, _measured, _reads, _check, one_of=("at_least", "at_most", "exactly"))
