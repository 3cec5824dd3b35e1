"""Profiles and addresses: projections over the traits of a customer's identifiers. The newest by event time wins."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache

import ibis
import ibis.expr.types as ir
import msgspec
import pyarrow as pa

from onevoice.customers import identifiers
from onevoice.customers.facts import ADDRESSES, IDENTIFIERS, PROFILES, TRAITS
from onevoice.customers.naming import country_of
from onevoice.customers.suppression import address_hash
from onevoice.kernel import brought
from onevoice.kernel.locales import LOCALES
from onevoice.warehouse import Warehouse, remembered

ADDRESS_TRAITS: Mapping[str, tuple[str, ...]] = {
    "email": ("email",),
    "phone": ("sms", "call"),
    "push_token": ("push",),
    "webpush_subscription": ("webpush",),
}
"""Which trait is the address of which channels."""


@cache
def address_traits() -> Mapping[str, tuple[str, ...]]:
    """By trait, the channels whose address it is: also those that other packages bring."""
    found = dict(ADDRESS_TRAITS)
    for name, one in brought.channels().items():
        if one.address_trait:
            found[one.address_trait] = (*found.get(one.address_trait, ()), name)
    return found


def take_traits(warehouse: Warehouse, rows: pa.Table) -> None:
    """Merges traits (columns of TRAITS) into those held: the newest by event time per identifier and name stays."""
    if rows.num_rows == 0:
        return
    fresh = warehouse.stage("fresh_traits", rows)
    held = warehouse.table(TRAITS)
    both = held.semi_join(fresh, "identifier_id").select(*TRAITS.columns).union(fresh.select(*TRAITS.columns))
    newest = _newest(both, ["identifier_id", "name"], ["occurred_at", "event_id"])
    warehouse.replace(TRAITS, ["identifier_id", "name"], newest)


def rebuild(warehouse: Warehouse, customers: Iterable[int], secret: bytes) -> None:
    """Writes profile and addresses of the customers anew; those that have no identifier left lose theirs."""
    ids = pa.table({"customer_id": pa.array(sorted(set(customers)), pa.int64())})
    if ids.num_rows == 0:
        return
    affected = warehouse.stage("affected_customers", ids)
    identifiers = warehouse.table(IDENTIFIERS).semi_join(affected, "customer_id")
    current = warehouse.stage("current_traits", _current(warehouse.table(TRAITS), affected))
    warehouse.delete(PROFILES, affected)
    warehouse.append(PROFILES, _profiles(identifiers, current))
    warehouse.delete(ADDRESSES, affected)
    warehouse.append(ADDRESSES, _addresses(warehouse, current, secret))


@remembered
def _current(traits: ir.Table, affected: ir.Table) -> ir.Table:
    traits = traits.semi_join(affected, "customer_id")
    newest = _newest(traits, ["customer_id", "name"], ["occurred_at", "event_id"])
    return newest.filter(newest.value.notnull())


def _newest(rows: ir.Table, key: list[str], by: list[str]) -> ir.Table:
    ranked = rows.mutate(rank=ibis.row_number().over(group_by=key, order_by=[ibis.desc(rows[column]) for column in by]))
    return ranked.filter(ranked.rank == 0).drop("rank")


@remembered
def _profiles(identifiers: ir.Table, current: ir.Table) -> ir.Table:
    customers = identifiers.group_by("customer_id").aggregate(first_seen_at=identifiers.first_seen_at.min())
    named = current.mutate(text=_text(current.value))

    def first(*names: str) -> ir.StringValue:
        return ibis.coalesce(*(named.text.max(where=named.name == name) for name in names))

    wide = named.group_by("customer_id").aggregate(
        first_name=first("first_name", "name"),
        last_name=first("last_name"),
        locale=first("locale", "language"),
        time_zone=first("time_zone", "timezone"),
        country=first("country"),
        traits=(ibis.literal('"') + named.name + ibis.literal('":') + named.value).group_concat(","),
    )
    rows = customers.left_join(wide, "customer_id").drop("customer_id_right")
    language = ibis.coalesce(rows.locale, "en").substr(0, 2).lower()
    return rows.mutate(
        locale=ibis.ifelse(language.isin(list(LOCALES)), language, "en"),
        time_zone=ibis.coalesce(rows.time_zone, "UTC"),
        traits=ibis.literal("{") + ibis.coalesce(rows.traits, "") + ibis.literal("}"),
    )


def _text(value: ir.StringValue) -> ir.StringValue:
    """A JSON string as text; another JSON value as it is written."""
    inner = value.substr(1, value.length() - 2).replace('\\"', '"').replace("\\\\", "\\")
    return ibis.ifelse(value.startswith('"'), inner, value)


def _addresses(warehouse: Warehouse, current: ir.Table, secret: bytes) -> pa.Table:
    rows = warehouse.rows(current.filter(current.name.isin([*address_traits(), "country"])))
    told = [(row["customer_id"], row["name"], msgspec.json.decode(row["value"]), row["occurred_at"]) for row in rows]
    countries = {customer: country_of({name: str(value)}) for customer, name, value, _ in told if name == "country"}
    made: list[tuple[int, str, str, datetime]] = []
    for customer, name, value, at in told:
        for channel in address_traits().get(name, ()):
            address = normalised(channel, value, countries.get(customer, ""))
            if address:
                made.append((customer, channel, address, at))
    columns: Mapping[str, list[object]] = {
        "customer_id": [customer for customer, *_ in made],
        "channel": [channel for _, channel, *_ in made],
        "address": [address for *_, address, _ in made],
        "address_hash": [address_hash(secret, channel, address).hex() for _, channel, address, _ in made],
        "updated_at": [at for *_, at in made],
    }
    return ADDRESSES.arrow(columns)


def normalised(channel: str, value: object, country: str = "") -> str | None:
    """The address as it is sent to, None where it cannot be one: e-mail as written, phone as E.164 with its `+`."""
    if not isinstance(value, str) or not (text := value.strip()):
        return None
    trait = next((trait for trait, channels in address_traits().items() if channel in channels), "")
    if trait == "email":
        return text if identifiers.email(text) else None
    if trait == "phone":
        return identifiers.phone(text, country)
    return text
