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
    found = found.filter(found.value.re_search(r'^"\d{4}-\d{2}-\d{2}'))
    found = found.select("customer_id", "time_zone", date=found.value.substr(1, 10))
    here = scope.now.date()
    day = found.date.substr(5, 5)
    met: ir.BooleanValue = ibis.literal(False)
    by_day = _zones(scope)
    elsewhere = [zone for today, zones in by_day.items() if today != here for zone in zones]
    for today, zones in by_day.items():
        among = found.time_zone.isin(zones) if today != here else found.time_zone.notin(elsewhere)
        met = met | (among & day.isin(_days(today, asked)))
    # Few have their day anywhere on earth: to ask that first spares the others the time zones.
    anywhere = sorted({one for today in by_day for one in _days(today, asked)})
    return Measured(found, day.isin(anywhere) & met)


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


def _days(today: date, asked: Anniversary) -> list[str]:
    """The days of the year in the window, as MM-DD."""
    days = [today + timedelta(days=offset) for offset in range(-asked.ago, asked.ahead + 1)]
    found = [f"{day:%m-%d}" for day in days]
    if any(f"{day:%m-%d}" == "02-28" and (day + timedelta(days=1)).month == 3 for day in days):
        found.append("02-29")
    return found


def _check(asked: Anniversary, here: str) -> None:
    if asked.ahead < 0 or asked.ago < 0 or asked.ahead + asked.ago > HALF_A_YEAR:
        raise InvalidInput(f"{here}: expected days of 0 or more, together up to {HALF_A_YEAR}")


ANNIVERSARY = Kind("anniversary", Anniversary, _measured, lambda asked: reading(TRAITS, PROFILES, windows=True), _check)
