"""Lengths of time, times of day, weekdays and patterns of what happens, as a journey's document writes them."""

import re
from datetime import time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.lengths import length_of
from onevoice.segments.conditions.values import Where, check_where
from onevoice.segments.tree import condition

LONGEST_WAIT = timedelta(days=3_660)

Name = Annotated[str, Meta(min_length=1)]

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Happening(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something a customer does (`event`, with `where` on its properties), or comes to be (`when`, a condition tree).

    `key` names a property of the event that must equal the key of the enrolment, such as the same cart's id.
    """

    event: Name | None = None
    where: Where = msgspec.field(default_factory=dict)
    key: Name | None = None
    when: dict[str, Any] | None = None


def check_happening(asked: Any, place: str, others: tuple[str, ...] = ()) -> None:
    """Raises InvalidInput unless exactly one of event, when (and `others`) is given, and it can be understood."""
    names = ("event", "when", *others)
    given = [name for name in names if getattr(asked, name) not in (None, False)]
    if len(given) != 1:
        raise InvalidInput(f"give exactly one of {', '.join(names)} - at `{place}`")
    if asked.event is None and (asked.where or asked.key):
        raise InvalidInput(f"`where` and `key` ask about an event; give `event` too - at `{place}`")
    check_where(asked.where, f"{place}.where")
    if asked.when is not None:
        condition(asked.when, f"{place}.when")


def duration(text: str, place: str) -> timedelta:
    """`3 days`, `2 hours`, `30 minutes`, `1 week`. Raises InvalidInput."""
    lasting = length_of(text)
    if lasting is None or lasting > LONGEST_WAIT:
        raise InvalidInput(
            f"a wait is a number and minutes, hours, days or weeks, such as `3 days`, and at most "
            f"{LONGEST_WAIT.days} days; not {text!r} - at `{place}`"
        )
    return lasting


def offset(text: str, place: str) -> timedelta:
    """A length of time that a minus turns back: `-3 days` is three days before. Raises InvalidInput."""
    back = text.strip().startswith("-")
    length = duration(text.strip().removeprefix("-"), place)
    return -length if back else length


def clock_time(text: str, place: str) -> time:
    """`21:00`. Raises InvalidInput."""
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", text, re.ASCII)
    if not found:
        raise InvalidInput(f"a time of day is written HH:MM, such as `21:00`; not {text!r} - at `{place}`")
    return time(int(found[1]), int(found[2]))


def zone(name: str, place: str) -> ZoneInfo:
    """A time zone by its IANA name. Raises InvalidInput."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(f"{name!r} is no time zone; use a name like `Europe/Rome` - at `{place}`") from error
