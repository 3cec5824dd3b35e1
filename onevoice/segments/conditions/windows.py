"""The time a condition looks at. What lies ahead of now never counts.

`within: 30 days` and `before: 60 days` are measured back from now, to the microsecond; together they make a span in the
past. `since` and `until` are days (or instants), both included. `during` is a span of the calendar in `time_zone`.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import ibis.expr.types as ir

from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.kind import Asked, Scope

LONGEST = timedelta(days=36_500)
"""The longest window: a century, which every store's timestamps still reach back."""

UNITS = {"minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
"""Their seconds. A month is none: `during` has those of the calendar."""

DURATION = rf"(\d{{1,6}})\s*({'|'.join(UNITS)})s?"
"""How a length of time is written."""

INSTANT = timedelta(microseconds=1)
"""What tells one moment of the warehouse from the next."""

Calendar = Literal["today", "yesterday", "this week", "last week", "this month", "last month", "this year", "last year"]
"""Weeks begin on Monday. Spans that are not over end with now."""


class Windowed(Asked, frozen=True, kw_only=True):
    """Parameters of a condition that looks at a span of time; all of the past where none is set."""

    within: str | None = None
    before: str | None = None
    since: str | None = None
    until: str | None = None
    during: Calendar | None = None
    time_zone: str = "UTC"


def days(text: str, here: str = "") -> timedelta:
    """`60 days`, `12 hours`, `30 minutes`, `2 weeks`. Raises InvalidInput."""
    found = re.fullmatch(DURATION, text.strip())
    if not found:
        raise InvalidInput(f"{here}: expected a number of days, weeks, hours or minutes, like `60 days`; got {text!r}")
    seconds = int(found[1]) * UNITS[found[2]]
    if seconds > LONGEST.total_seconds():
        raise InvalidInput(f"{here}: expected at most {LONGEST.days} days; got {text!r}")
    return timedelta(seconds=seconds)


def inside(scope: Scope, rows: ir.Table, moment: str, asked: Windowed) -> ir.Table:
    """The rows whose `moment` is in the window."""
    after, last = bounds(asked, scope.now)
    rows = rows.filter(rows[moment] <= scope.at(last))
    return rows.filter(rows[moment] > scope.at(after)) if after else rows


def bounds(asked: Windowed, now: datetime) -> tuple[datetime | None, datetime]:
    """The span (after, last]: what happened after the first, up to and with the second, which is never ahead of now."""
    zone = ZoneInfo(asked.time_zone)
    after, last = [], [now]
    if asked.within is not None:
        after.append(now - days(asked.within))
    if asked.before is not None:
        last.append(now - days(asked.before))
    if asked.since is not None:
        after.append(_moment(asked.since, zone)[0] - INSTANT)
    if asked.until is not None:
        last.append(_moment(asked.until, zone)[1] - INSTANT)
    if asked.during is not None:
        first, end = _calendar(asked.during, now.astimezone(zone).date())
        after.append(_midnight(first, zone) - INSTANT)
        last.append(_midnight(end, zone) - INSTANT)
    return max(after, default=None), min(last)


def is_relative(asked: Windowed) -> bool:
    """Whether the window moves on with time."""
    return any(part is not None for part in (asked.within, asked.before, asked.during))


def check_window(asked: Windowed, here: str) -> None:
    """Raises InvalidInput for what is no window."""
    try:
        zone = ZoneInfo(asked.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidInput(
            f"{here}.time_zone: {asked.time_zone!r} is no time zone; use a name like Europe/Rome"
        ) from error
    lengths = {name: days(text, f"{here}.{name}") for name in ("within", "before") if (text := getattr(asked, name))}
    if len(lengths) == 2 and lengths["within"] <= lengths["before"]:
        raise InvalidInput(f"{here}: within must be longer than before; nothing lies between them")
    moments = {
        name: _checked(text, zone, f"{here}.{name}") for name in ("since", "until") if (text := getattr(asked, name))
    }
    if len(moments) == 2 and moments["since"][0] >= moments["until"][1]:
        raise InvalidInput(f"{here}: since comes after until; nothing lies between them")
    others = [name for name in ("within", "before", "since", "until") if getattr(asked, name) is not None]
    if asked.during and others:
        raise InvalidInput(f"{here}: give during or {', '.join(others)}, not both")


def _checked(text: str, zone: tzinfo, here: str) -> tuple[datetime, datetime]:
    try:
        return _moment(text, zone)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{here}: expected a day like 2026-03-31 or an instant; got {text!r}") from error


def _moment(text: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """The instants at which a day (in the zone) or an instant begins, and is over."""
    if len(text) == len("2026-03-31"):
        day = date.fromisoformat(text)
        return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=moment.tzinfo or zone).astimezone(UTC)
    return moment, moment + INSTANT


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _calendar(span: Calendar, today: date) -> tuple[date, date]:
    """The first day, and the day after the last."""
    which, _, unit = span.partition(" ")
    if unit == "week":
        first = today - timedelta(days=today.weekday())
        return (first, first + timedelta(days=7)) if which == "this" else (first - timedelta(days=7), first)
    if unit == "month":
        first = today.replace(day=1)
        if which == "last":
            return (first - timedelta(days=1)).replace(day=1), first
        return first, (first + timedelta(days=31)).replace(day=1)
    if unit == "year":
        year = today.year if which == "this" else today.year - 1
        return date(year, 1, 1), date(year + 1, 1, 1)
    first = today if span == "today" else today - timedelta(days=1)
    return first, first + timedelta(days=1)
