"""How people come into a journey, as its document says: by a segment, an event, a calendar, a date, a call, a code."""

from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from onevoice.journeys.spans import Name, Weekday, clock_time, duration, offset, zone
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.values import Where, check_where
from onevoice.segments.tree import condition

WAYS = ("segment", "left", "event", "schedule", "date", "api", "code")

BY_EVENT = frozenset(("left", "event", "api", "code"))
"""Those by which an event lets somebody in."""

Reentry = str
"""`never`; `always`; `per key`; or after how long, `30 days`. Nobody is in a journey twice at once, but per key."""


class EventEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whoever does the event; `key` names the property, such as a cart's id, for each value of which they may be in."""

    name: Name
    where: Where = msgspec.field(default_factory=dict)
    key: Name | None = None


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everybody who meets `who` of the entry, each time: `every` day, week or month, `on` which, or on `dates`."""

    at: str
    every: Literal["day", "week", "month"] | None = None
    on: list[Weekday | Annotated[int, Meta(ge=1, le=31)] | Literal["last"]] = msgspec.field(default_factory=list)
    dates: list[date] = msgspec.field(default_factory=list)
    zone: str = "UTC"


class DateEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Around a date that a trait says, by the customer's clock: each `year` (a birthday), or `once`."""

    trait: Name
    offset: str = "0 days"
    at: str = "09:00"
    every: Literal["year", "once"] = "year"


class CodeEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whoever follows a link of ours (as a QR code, on a till's receipt) that names them; then they are led to `to`."""

    to: Name


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Exactly one of `WAYS`; `who` is a condition that must hold too."""

    segment: Name | None = None
    left: Name | None = None
    event: EventEntry | None = None
    schedule: Schedule | None = None
    date: DateEntry | None = None
    api: Literal[True] | None = None
    code: CodeEntry | None = None
    who: dict[str, Any] | None = None
    reentry: Reentry | None = None

    @property
    def way(self) -> str:
        """Which of `WAYS` it is."""
        return next(name for name in WAYS if getattr(self, name) is not None)

    @property
    def rule(self) -> Reentry:
        """When somebody may come in again."""
        if self.reentry is not None:
            return self.reentry
        if self.event is not None and self.event.key:
            return "per key"
        return "always" if self.schedule or self.date or self.api else "never"


def check_entry(entry: Entry, place: str) -> None:
    """Raises InvalidInput naming the place that is wrong."""
    given = [name for name in WAYS if getattr(entry, name) is not None]
    if len(given) != 1:
        raise InvalidInput(f"give exactly one of {', '.join(WAYS)} - at `{place}`")
    if entry.event is not None:
        check_where(entry.event.where, f"{place}.event.where")
    if entry.schedule is not None:
        _check_schedule(entry.schedule, f"{place}.schedule")
    if entry.date is not None:
        offset(entry.date.offset, f"{place}.date.offset")
        clock_time(entry.date.at, f"{place}.date.at")
    if entry.code is not None and not entry.code.to.startswith(("https://", "http://")):
        raise InvalidInput(f"expected a URL that begins with https:// - at `{place}.code.to`")
    if entry.who is not None:
        condition(entry.who, f"{place}.who")
    _check_reentry(entry, f"{place}.reentry")


def _check_reentry(entry: Entry, place: str) -> None:
    if entry.reentry in (None, "never", "always"):
        return
    if entry.reentry == "per key":
        if entry.event is None or not entry.event.key:
            raise InvalidInput(f"`per key` needs an entry by `event` with a `key` - at `{place}`")
        return
    try:
        duration(str(entry.reentry), place)
    except InvalidInput as error:
        raise InvalidInput(
            f"expected never, always, per key or `30 days`, after how long; not {entry.reentry!r} - at `{place}`"
        ) from error


def _check_schedule(asked: Schedule, place: str) -> None:
    clock_time(asked.at, f"{place}.at")
    zone(asked.zone, f"{place}.zone")
    if (asked.every is None) == (not asked.dates):
        raise InvalidInput(f"give exactly one of every, dates - at `{place}`")
    words = {one for one in asked.on if isinstance(one, str) and one != "last"}
    if asked.every == "week" and (not words or len(words) < len(set(asked.on))):
        raise InvalidInput(f"say `on` which weekdays, such as [monday, thursday] - at `{place}.on`")
    if asked.every == "month" and (words or not asked.on):
        raise InvalidInput(f"say `on` which days of the month, such as [1, 15] or [last] - at `{place}.on`")
    if asked.every not in ("week", "month") and asked.on:
        raise InvalidInput(f"`on` goes with `every: week` or `every: month` - at `{place}.on`")
