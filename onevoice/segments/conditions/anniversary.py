"""A day of the year that comes again: a birthday, or any other date trait, around today."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import ibis
import ibis.expr.types as ir

from onevoice.customers.facts import PROFILES, TRAITS
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.kind import Asked, Kind, Measured, Scope, reading
from onevoice.segments.conditions.traits import current

HALF_A_YEAR = 182
"""Days; a wider window would meet itself."""


class Anniversary(Asked, frozen=True, kw_only=True):
    """The day and month of a date trait lie around today: from `ago` days before to `ahead` days after.

    Today is the customer's, in the time zone of the profile. Who was born on 29 February has the day on 28 February in
    other years.
    """

    trait: str
    ahead: int = 0
    ago: int = 0


def _measured(asked: Anniversary, scope: Scope) -> Measured:
    dates = current(scope, asked.trait)
    profiles = scope.table(PROFILES).select("customer_id", "time_zone")
    found = dates.join(profiles, "customer_id")
    found = found.select("customer_id", "time_zone", date=found.value.substr(1, 10), _value=found.value)
    here, day = scope.now.date(), _substring(found._value, 7, 5)
    zones = _zones(scope)
    elsewhere = [
        (found.time_zone.isin(names), _is_near(day, today, today, asked))
        for today, names in zones.items()
        if today != here
    ]
    # Few have their day anywhere on earth: to ask that first spares the others the rest.
    met = _is_near(day, min(zones), max(zones), asked) & found._value.re_search(r'^"\d{4}-\d{2}-\d{2}')
    return Measured(found, met & ibis.cases(*elsewhere, else_=_is_near(day, here, here, asked)) if elsewhere else met)


# Ibis' own asks for the text's length too, which may fail on DuckDB, and what may fail is not asked of rows as they are
# read, but of what the joins leave.
@ibis.udf.scalar.builtin(name="substring")
def _substring(text: str, first: int, length: int) -> str: ...  # type: ignore[empty-body]


def _zones(scope: Scope) -> dict[date, list[str]]:
    """What day it is at `now`, and in which time zones. The UTC day, which unknown zones have too, is always there."""
    found: dict[date, list[str]] = {scope.now.date(): []}
    for name in sorted(available_timezones()):
        try:
            today = scope.now.astimezone(ZoneInfo(name)).date()
        except ZoneInfoNotFoundError:
            continue
        found.setdefault(today, []).append(name)
    return found


def _is_near(day: ir.StringValue, first: date, last: date, asked: Anniversary) -> ir.BooleanValue:
    """Whether a day of the year (MM-DD) is in the window around the days from `first` to `last`."""
    begin, end = first - timedelta(days=asked.ago), last + timedelta(days=asked.ahead)
    is_leap_day_too = f"{end:%m-%d}" == "02-28" and (end + timedelta(days=1)).month == 3
    after, before = day >= f"{begin:%m-%d}", day <= ("02-29" if is_leap_day_too else f"{end:%m-%d}")
    return after & before if begin.year == end.year else after | before


def _check(asked: Anniversary, here: str) -> None:
    if asked.ahead < 0 or asked.ago < 0 or asked.ahead + asked.ago > HALF_A_YEAR:
        raise InvalidInput(f"{here}: expected days of 0 or more, together up to {HALF_A_YEAR}")


ANNIVERSARY = Kind("anniversary", Anniversary, _measured, lambda asked: reading(TRAITS, PROFILES, windows=True), _check)
