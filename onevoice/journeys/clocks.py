"""Times on the wall of customers' time zones as instants, whatever the clocks do that night.

A time that is skipped counts as the hour after; one that comes twice as the first of both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

import ibis.expr.types as ir
import pyarrow as pa

from onevoice.customers.facts import PROFILES
from onevoice.journeys.best import best_hours
from onevoice.journeys.spans import WEEKDAYS, clock_time, offset
from onevoice.kernel.clock import naive, time_zone
from onevoice.segments.conditions.kind import Scope
from onevoice.segments.conditions.traits import current
from onevoice.warehouse import Warehouse

if TYPE_CHECKING:
    from onevoice.journeys.steps.wait import Until
    from onevoice.journeys.turn import Turn

NOBODY_ZONE = "UTC"
"""Where those live of whom it is not known."""


def zone_of(name: str | None) -> tzinfo:
    """A zone by its name; one that nobody knows counts as UTC."""
    return time_zone(name or NOBODY_ZONE)


def instant(day: date, wall: time, zone: tzinfo) -> datetime:
    """When the clocks of a zone show a time on a day."""
    return datetime.combine(day, wall, zone).astimezone(UTC)


def next_at(now: datetime, wall: time, zone: tzinfo, days: Collection[str] = ()) -> datetime:
    """The first instant, now or later, at which it is that time in the zone, on one of the weekdays where some are."""
    day = now.astimezone(zone).date() - timedelta(days=1)
    while True:
        found = instant(day, wall, zone)
        if found >= now and (not days or WEEKDAYS[day.weekday()] in days):
            return found
        day += timedelta(days=1)


def with_ends(turn: Turn, here: ir.Table, asked: Until) -> ir.Table:
    """The enrolments with `ends`: when the wait is over for each; null where there is no date to wait for."""
    if asked.best_hour:
        return _until_best_hour(turn, here, asked)
    if asked.date is None:
        return _until_clock(turn, here, asked)
    return _until_date(turn, here, asked)


def zones(warehouse: Warehouse, people: ir.Table) -> list[str]:
    """The time zones of some customers."""
    profiles = warehouse.table(PROFILES).semi_join(people, "customer_id")
    return sorted(warehouse.read(profiles.select("time_zone").distinct())["time_zone"].to_pylist())


def _until_clock(turn: Turn, here: ir.Table, asked: Until) -> ir.Table:
    wall = clock_time(asked.at or "", "")
    names = [*zones(turn.warehouse, here), ""]
    # In a loop the same instant must not come again.
    now = turn.now + timedelta(microseconds=int(turn.journey.has_jumps))
    ends = {name: naive(next_at(now, wall, zone_of(name), asked.on)) for name in names}
    table = turn.warehouse.stage("wait_ends", _instants({"time_zone": list(ends)}, ends.values()))
    profiles = turn.warehouse.table(PROFILES).select("customer_id", "time_zone")
    rows = here.left_join(profiles, "customer_id").drop("customer_id_right")
    rows = rows.mutate(time_zone=rows.time_zone.fill_null(""))
    return rows.join(table, "time_zone").drop("time_zone")


def _until_best_hour(turn: Turn, here: ir.Table, asked: Until) -> ir.Table:
    warehouse = turn.warehouse
    profiles = warehouse.table(PROFILES).select("customer_id", "time_zone")
    hours = best_hours(warehouse, here, turn.at).left_join(profiles, "customer_id").drop("customer_id_right")
    mine = warehouse.stage("best_hours", hours.select("customer_id", "hour", time_zone=hours.time_zone.fill_null("")))
    pairs = warehouse.rows(mine.select("hour", "time_zone").distinct())
    ends = [naive(next_at(turn.now, time(pair["hour"]), zone_of(pair["time_zone"]), asked.on)) for pair in pairs]
    known = {
        "hour": pa.array([pair["hour"] for pair in pairs], pa.int64()),
        "time_zone": pa.array([pair["time_zone"] for pair in pairs], pa.string()),
        "ends": pa.array(ends, pa.timestamp("us")),
    }
    when = mine.join(warehouse.stage("wait_ends", pa.table(known)), ["hour", "time_zone"])
    return here.left_join(when.select("customer_id", "ends"), "customer_id").drop("customer_id_right")


def _until_date(turn: Turn, here: ir.Table, asked: Until) -> ir.Table:
    warehouse = turn.warehouse
    wall = clock_time(asked.at, "") if asked.at else time()
    away = offset(asked.offset, "") if asked.offset else timedelta()
    dates = current(Scope(warehouse, turn.now, here), asked.date or "")
    profiles = warehouse.table(PROFILES).select("customer_id", "time_zone")
    dated = dates.select("customer_id", "value").left_join(profiles, "customer_id").drop("customer_id_right")
    dated = dated.filter(dated.value.re_search(r'^"\d{4}-\d{2}-\d{2}'))
    dated = warehouse.stage(
        "dated", dated.select("customer_id", day=dated.value.substr(1, 10), time_zone=dated.time_zone.fill_null(""))
    )
    pairs = warehouse.rows(dated.select("day", "time_zone").distinct())
    ends = [_day(pair["day"], wall, away, zone_of(pair["time_zone"])) for pair in pairs]
    names = {name: [pair[name] for pair in pairs] for name in ("day", "time_zone")}
    known = warehouse.stage("wait_ends", _instants(names, ends))
    mine = dated.join(known, ["day", "time_zone"]).select("customer_id", "ends")
    return here.left_join(mine, "customer_id").drop("customer_id_right")


def _day(text: str, wall: time, away: timedelta, zone: tzinfo) -> datetime | None:
    """Days are counted on the calendar, hours on the clock."""
    try:
        day = date.fromisoformat(text) + timedelta(days=away.days)
        return naive(instant(day, wall, zone) + timedelta(seconds=away.seconds))
    except (ValueError, OverflowError):
        return None


def _instants(names: dict[str, list[str]], ends: Iterable[datetime | None]) -> pa.Table:
    columns: dict[str, Any] = {name: pa.array(values, pa.string()) for name, values in names.items()}
    return pa.table({**columns, "ends": pa.array(list(ends), pa.timestamp("us"))})
