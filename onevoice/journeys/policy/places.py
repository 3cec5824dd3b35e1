"""Where customers live, and until when it is quiet there: looked up once per place, never per customer."""

from collections.abc import Iterable
from datetime import datetime

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.customers.contact import Place, Quiet, quiet_until
from onevoice.customers.contact.quiet import ANY, day_begin, day_end
from onevoice.customers.facts import PROFILES
from onevoice.kernel.clock import naive, time_zone
from onevoice.warehouse import Warehouse, remembered

PLACES = "policy_places"

STAGED = ibis.table(
    {
        "zone": "string",
        "country": "string",
        "region": "string",
        "time_zone": "string",
        "quiet_until": "timestamp(6)",
        "day_begins": "timestamp(6)",
        "day_ends": "timestamp(6)",
    },
    name=PLACES,
)


def people(warehouse: Warehouse, by_region: bool) -> ir.Table:
    """The customers with the names of their place, as their profiles have them."""
    profiles = warehouse.table(PROFILES)
    region = warehouse.json_text(profiles.traits, "region").fill_null("") if by_region else ibis.literal("")
    country = profiles.country.fill_null("")
    return profiles.select("customer_id", "locale", zone="time_zone", country=country, region=region)


def by_region(windows: Iterable[Quiet]) -> bool:
    """Whether the customers' regions matter."""
    return any(window.region != ANY for window in windows)


@remembered
def _places(everybody: ir.Table, candidates: ir.Table) -> ir.Table:
    return everybody.semi_join(candidates, "customer_id").select("zone", "country", "region").distinct()


def stage(warehouse: Warehouse, candidates: ir.Table, windows: tuple[Quiet, ...], now: datetime) -> None:
    """One row per place of the candidates: zone, country, region; time_zone (what the zone counts as), quiet_until,
    day_begins, day_ends (UTC)."""
    found = [Place(**row) for row in warehouse.rows(_places(people(warehouse, by_region(windows)), candidates))]
    until = [quiet_until(windows, place, now) for place in found]
    zones = {place.zone: time_zone(place.zone) for place in found}
    warehouse.stage(
        PLACES,
        pa.table(
            {
                "zone": pa.array([place.zone for place in found], pa.string()),
                "country": pa.array([place.country for place in found], pa.string()),
                "region": pa.array([place.region for place in found], pa.string()),
                "time_zone": pa.array([str(zones[place.zone]) for place in found], pa.string()),
                "quiet_until": pa.array([naive(at) if at else None for at in until], pa.timestamp("us")),
                "day_begins": pa.array(
                    [naive(day_begin(zones[place.zone], now)) for place in found], pa.timestamp("us")
                ),
                "day_ends": pa.array([naive(day_end(zones[place.zone], now)) for place in found], pa.timestamp("us")),
            }
        ),
    )
