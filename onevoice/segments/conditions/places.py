"""Where a customer is: the country of the profile, and how far from a point they live or were last seen."""

from typing import Literal

import ibis
import ibis.expr.types as ir

from onevoice.customers.facts import PROFILES, TRAITS
from onevoice.events.facts import EVENTS
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.kind import Asked, Kind, Measured, Number, Reads, Scope, reading
from onevoice.segments.conditions.traits import current
from onevoice.segments.conditions.windows import Windowed, inside

EARTH = 6371.0088
"""Its mean radius in kilometres (IUGG); a sphere is off by 0.5 % at most."""

DEGREE = 111.0
"""Kilometres of a degree of latitude on that sphere, rounded down."""


class Country(Asked, frozen=True):
    """The profile's country is one of these (ISO 3166 alpha-2)."""

    one_of: list[str]


class Near(Asked, frozen=True, kw_only=True):
    """Within so many kilometres of a point, as the crow flies.

    `home` is where the traits `latitude` and `longitude` say; `last_seen` where the newest event with properties of
    these names happened.
    """

    latitude: Number
    longitude: Number
    km: Number
    of: Literal["home", "last_seen"] = "home"


def _country(asked: Country, scope: Scope) -> Measured:
    profiles = scope.table(PROFILES)
    found = profiles.filter(profiles.country.notnull()).select("customer_id", "country")
    return Measured(found, found.country.isin([one.upper() for one in asked.one_of]))


def _near(asked: Near, scope: Scope) -> Measured:
    at = _homes(scope) if asked.of == "home" else _last_seen(scope)
    found = at.mutate(km=_distance(at.latitude, at.longitude, float(asked.latitude), float(asked.longitude)))
    # Few live that far north or south: to ask that first, in a form that the store asks of the rows as it reads them,
    # spares the others the joins and the sines.
    reach = asked.km / DEGREE
    band = found.latitude.between(asked.latitude - reach, asked.latitude + reach)
    return Measured(found, band & (found.km <= asked.km))


def _homes(scope: Scope) -> ir.Table:
    latitude, longitude = current(scope, "latitude"), current(scope, "longitude")
    both = latitude.rename(latitude="value").join(longitude.rename(longitude="value"), "customer_id")
    return _valid(both.select("customer_id", **{name: both[name].try_cast("float64") for name in AXES}))


def _last_seen(scope: Scope) -> ir.Table:
    events = scope.table(EVENTS)
    # Most events have no place, which a look at the text tells sooner than reading it as JSON.
    rows = inside(scope, events.filter(events.properties.contains('"latitude"')), "occurred_at", Windowed())
    at = {name: scope.warehouse.json_text(rows.properties, name).try_cast("float64") for name in AXES}
    placed = _valid(rows.select("customer_id", "occurred_at", "event_id", **at))
    order = [ibis.desc("occurred_at"), ibis.desc("event_id")]
    ranked = placed.mutate(rank=ibis.row_number().over(group_by="customer_id", order_by=order))
    return ranked.filter(ranked["rank"] == 0).select("customer_id", *AXES)


AXES = ("latitude", "longitude")


def _valid(at: ir.Table) -> ir.Table:
    return at.filter(at.latitude.between(-90, 90), at.longitude.between(-180, 180))


def _distance(latitude: ir.FloatingColumn, longitude: ir.FloatingColumn, north: float, east: float) -> ir.FloatingValue:
    """Kilometres by the haversine formula (Sinnott 1984, Sky and Telescope 68:159), exact for small distances too."""
    of_latitude = ((latitude - north).radians() / 2).sin()
    of_longitude = ((longitude - east).radians() / 2).sin()
    across = latitude.radians().cos() * ibis.literal(north).radians().cos()
    squared = of_latitude * of_latitude + across * of_longitude * of_longitude
    return 2 * EARTH * ibis.least(squared, 1.0).sqrt().asin()


def _reads_near(asked: Near) -> Reads:
    return reading(TRAITS) if asked.of == "home" else reading(EVENTS, events=None)


def _check_country(asked: Country, here: str) -> None:
    for one in asked.one_of or [""]:
        if len(one) != 2 or not one.isalpha():
            raise InvalidInput(f"{here}.one_of: expected two-letter codes like IT; got {one!r}")


def _check_near(asked: Near, here: str) -> None:
    if not (-90 <= asked.latitude <= 90 and -180 <= asked.longitude <= 180 and asked.km > 0):
        raise InvalidInput(f"{here}: expected a latitude up to ±90, a longitude up to ±180 and km above 0")


PLACE_KINDS = (
    Kind("country", Country, _country, lambda asked: reading(PROFILES), _check_country),
    Kind("near", Near, _near, _reads_near, _check_near),
)
