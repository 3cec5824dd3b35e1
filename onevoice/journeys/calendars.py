"""Entries by the calendar: at times that a document names, and around dates that customers' traits say.

When the calendar last brought something is a watermark, so that a time that passed while nobody looked is taken up,
none is twice, and a clock set back does nothing again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.customers.facts import PROFILES
from onevoice.journeys.clocks import instant, zone_of
from onevoice.journeys.entries import DateEntry, Schedule
from onevoice.journeys.keeping import LATEST
from onevoice.journeys.laid import Laid
from onevoice.journeys.spans import WEEKDAYS, clock_time, offset
from onevoice.kernel.clock import naive
from onevoice.segments.conditions.kind import Scope
from onevoice.segments.conditions.traits import current
from onevoice.warehouse import WATERMARKS, Warehouse, set_watermark

PREFIX = "calendar:"
"""Of the names of the watermarks."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Calendar:
    """How far each journey has looked, and where customers live: asked once for all journeys of a tick."""

    marks: dict[str, int]
    zones: list[str]


def calendar(warehouse: Warehouse, journeys: Sequence[Laid]) -> Calendar:
    """For those of the journeys that people enter by the calendar."""
    entries = [one.document.entry for one in journeys]
    if not any(entry.schedule or entry.date for entry in entries):
        return Calendar({}, [])
    table = warehouse.table(WATERMARKS)
    held = warehouse.rows(table.filter(table.name.startswith(PREFIX)))
    zones: list[str] = []
    if any(entry.date for entry in entries):
        zones = warehouse.read(warehouse.table(PROFILES).select("time_zone").distinct())["time_zone"].to_pylist()
    return Calendar({row["name"].removeprefix(PREFIX): row["transaction"] for row in held}, sorted(zones))


def candidates(warehouse: Warehouse, journey: Laid, known: Calendar, now: datetime) -> ir.Table | None:
    """Whoever comes in by what the calendar has brought since it last brought something; None where it did not."""
    mark = known.marks.get(journey.name)
    if mark is not None:
        since = EPOCH + mark * _MICROSECOND
    else:
        since = journey.launched_at or now
        set_watermark(warehouse, PREFIX + journey.name, (since - EPOCH) // _MICROSECOND, 0)
    since = max(since, now - LATEST)
    entry = journey.document.entry
    if entry.schedule is not None:
        times = occurrences(entry.schedule, since, now)
        found = _everybody(warehouse, times[-1]) if times else None
    else:
        found = _dated(warehouse, entry.date or DateEntry(""), known.zones, since, now)
    if found is not None:
        set_watermark(warehouse, PREFIX + journey.name, (now - EPOCH) // _MICROSECOND, 0)
    return found


def occurrences(schedule: Schedule, since: datetime, now: datetime) -> list[datetime]:
    """The times of a schedule after `since`, up to and with `now`."""
    zone, wall = ZoneInfo(schedule.zone), clock_time(schedule.at, "")
    day, found = since.astimezone(zone).date() - timedelta(days=1), []
    while day <= now.astimezone(zone).date():
        if _is_on(schedule, day) and since < (at := instant(day, wall, zone)) <= now:
            found.append(at)
        day += timedelta(days=1)
    return found


def _is_on(schedule: Schedule, day: date) -> bool:
    if schedule.dates:
        return day in schedule.dates
    if schedule.every == "week":
        return WEEKDAYS[day.weekday()] in schedule.on
    if schedule.every == "month":
        is_last = (day + timedelta(days=1)).month != day.month
        return day.day in schedule.on or (is_last and "last" in schedule.on)
    return True


def _everybody(warehouse: Warehouse, at: datetime) -> ir.Table:
    """Everybody with a profile; who of them, the entry's `who` says."""
    people = warehouse.table(PROFILES).select("customer_id")
    return people.mutate(at=ibis.timestamp(naive(at)), key=ibis.literal(""), token=ibis.literal(at.isoformat())).select(
        "customer_id", "at", "key", "token"
    )


def _dated(
    warehouse: Warehouse, entry: DateEntry, zones: Sequence[str], since: datetime, now: datetime
) -> ir.Table | None:
    """Those whose date, moved by the offset, has come where they live."""
    away, wall = offset(entry.offset, ""), clock_time(entry.at, "")
    profiles = warehouse.table(PROFILES)
    rows: list[tuple[str, str, datetime, str]] = []
    for name in zones:
        zone = zone_of(name)
        day = since.astimezone(zone).date() - timedelta(days=1)
        while day <= now.astimezone(zone).date():
            at = instant(day, wall, zone)
            if since < at <= now:
                of = day - timedelta(days=away.days)
                rows += [(name, text, naive(at), f"{of:%Y-%m-%d}") for text in _written(of, entry.every)]
            day += timedelta(days=1)
    if not rows:
        return None
    columns = list(zip(*rows, strict=True))
    kinds = (pa.string(), pa.string(), pa.timestamp("us"), pa.string())
    known = {
        name: pa.array(list(column), kind)
        for name, column, kind in zip(("time_zone", "day", "at", "token"), columns, kinds, strict=True)
    }
    days = warehouse.stage("entry_days", pa.table(known))
    traits = current(Scope(warehouse, now), entry.trait)
    traits = traits.filter(traits.value.re_search(r'^"\d{4}-\d{2}-\d{2}'))
    start, length = (6, 5) if entry.every == "year" else (1, 10)
    dated = traits.select("customer_id", day=traits.value.substr(start, length))
    people = dated.join(profiles.select("customer_id", "time_zone"), "customer_id")
    found = people.join(days, ["time_zone", "day"])
    return found.mutate(key=ibis.literal("")).select("customer_id", "at", "key", "token")


def _written(day: date, every: str) -> list[str]:
    """How a day stands in the trait: whole, or as month and day; 29 February is kept on the 28th of other years."""
    if every == "once":
        return [f"{day:%Y-%m-%d}"]
    is_eve = (day.month, day.day) == (2, 28) and (day + timedelta(days=1)).month == 3
    return [f"{day:%m-%d}", *(["02-29"] if is_eve else [])]
