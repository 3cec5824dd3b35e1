"""Quiet hours: when nobody is contacted, by the clock on the customer's own wall. Pure, and once per place.

Windows add up: it is quiet while any of them holds, and over when none does. A window ends at a time on the wall there,
whatever the clocks do that night: the second one where the wall shows it twice and the first is over, the hour after
where it is skipped. A time zone that nobody knows counts as UTC.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec

from onevoice.kernel.clock import time_zone

ANY = "*"

Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
DAYS: tuple[Day, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

MIDNIGHT = "24:00"
"""How an end at midnight is written, which is the beginning of the next day."""

LONGEST = timedelta(days=8)
"""Who is not let go within a week and a night never is."""


class Quiet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One window, over midnight where it does not end later than it begins. `on`: the days on which it begins."""

    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    country: str = ANY  # ISO 3166 alpha-2
    region: str = ANY  # as the customers' trait `region` has it
    on: tuple[Day, ...] = ()  # every day where none is named
    channels: tuple[str, ...] = ()  # all that are not exempt where none is named
    source: str = ""  # the law, and where we read it


class Place(NamedTuple):
    """All that quiet hours ask about a customer."""

    zone: str
    country: str = ""
    region: str = ""


def holding(windows: Iterable[Quiet], channel: str, exempt: Sequence[str] = ()) -> tuple[Quiet, ...]:
    """The windows that hold for a channel."""
    return tuple(
        window for window in windows if (channel in window.channels if window.channels else channel not in exempt)
    )


def quiet_until(windows: Iterable[Quiet], place: Place, now: datetime) -> datetime | None:
    """When it is no longer quiet in the place, in UTC; None where it is not quiet at `now`."""
    zone = time_zone(place.zone)
    here = [window for window in windows if _is_there(window, place)]
    at, last = now, now + LONGEST
    while at < last:
        ends = [end for window in here if (end := _end(window, zone, at)) is not None]
        if not ends:
            break
        at = max(ends)
    return at if at > now else None


def day_begin(zone: tzinfo, now: datetime) -> datetime:
    """When the day that it is there began, in UTC."""
    return datetime.combine(now.astimezone(zone).date(), time(), zone).astimezone(UTC)


def day_end(zone: tzinfo, now: datetime) -> datetime:
    """When the day that it is there is over, in UTC."""
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), zone).astimezone(UTC)


def _is_there(window: Quiet, place: Place) -> bool:
    return window.country in (ANY, place.country) and window.region in (ANY, place.region)


def _end(window: Quiet, zone: tzinfo, now: datetime) -> datetime | None:
    """When the window that holds at `now` is over; None where it does not hold."""
    start, end = clock(window.start), clock(window.end)
    there = now.astimezone(zone)
    wall, day = there.time(), there.date()
    if start >= end:  # over midnight, or to it
        if wall >= start and _begins(window, day):
            return _over(day + timedelta(days=1), end, zone, now)
        if wall < end and _begins(window, day - timedelta(days=1)):
            return _over(day, end, zone, now)
        return None
    return _over(day, end, zone, now) if start <= wall < end and _begins(window, day) else None


def _begins(window: Quiet, day: date) -> bool:
    return not window.on or DAYS[day.weekday()] in window.on


def _over(day: date, end: time, zone: tzinfo, now: datetime) -> datetime:
    until = datetime.combine(day, end, zone)
    if until.astimezone(UTC) <= now:
        until = until.replace(fold=1)
    return until.astimezone(UTC)


@lru_cache(maxsize=3_000)
def clock(text: str) -> time:
    """`21:00`, or `24:00` for the midnight that ends a day. Raises ValueError."""
    return time() if text == MIDNIGHT else time.fromisoformat(text)
