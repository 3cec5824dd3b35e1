"""What is known of customers, as plain values for the API. Ids leave as text: they exceed JavaScript's integers."""

from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir
import msgspec

from onevoice.customers import consent
from onevoice.customers.facts import ADDRESSES, CONSENTS, IDENTIFIERS, IDENTITY_LINKS, PROFILES
from onevoice.kernel.errors import NotFound
from onevoice.warehouse import Facts, Warehouse


def search(warehouse: Warehouse, text: str, limit: int) -> dict[str, Any]:
    """Customers with an identifier or address equal to `text`, or a name that contains it; all for an empty text."""
    profiles = warehouse.table(PROFILES)
    found = profiles
    if text:
        wanted = text.strip().lower()
        identifiers, addresses = warehouse.table(IDENTIFIERS), warehouse.table(ADDRESSES)
        ids = (
            identifiers.filter(identifiers.value.lower() == wanted)
            .select("customer_id")
            .union(addresses.filter(addresses.address.lower() == wanted).select("customer_id"))
            .union(profiles.filter(_name(profiles).lower().contains(wanted)).select("customer_id"), distinct=True)
        )
        found = profiles.semi_join(ids, "customer_id")
    columns = ["customer_id", "first_name", "last_name", "locale", "country", "first_seen_at"]
    rows = warehouse.rows(found.order_by("first_seen_at", "customer_id").select(*columns).limit(limit))
    return {"total": warehouse.count(found), "customers": [_plain(row) for row in rows]}


def customer(warehouse: Warehouse, customer_id: int, now: datetime) -> dict[str, Any]:
    """One customer: profile, identifiers with their links, addresses, consents. Raises NotFound."""
    rows = _of(warehouse, PROFILES, customer_id)
    if not rows:
        raise NotFound(f"There is no customer {customer_id}; it may have been merged: search by an identifier")
    profile = _plain(rows[0])
    profile["traits"] = msgspec.json.decode(rows[0]["traits"])
    identifiers = _of(warehouse, IDENTIFIERS, customer_id)
    links = warehouse.table(IDENTITY_LINKS)
    ids = [row["identifier_id"] for row in identifiers]
    joined = warehouse.rows(links.filter(links.left_id.isin(ids)).order_by("linked_at", "link_id"))
    names = {row["identifier_id"]: f"{row['namespace']}:{row['value']}" for row in identifiers}
    return {
        **profile,
        "identifiers": [
            {"namespace": row["namespace"], "value": row["value"], "first_seen_at": row["first_seen_at"]}
            for row in sorted(identifiers, key=lambda row: (row["first_seen_at"], row["identifier_id"]))
        ],
        "links": [
            {
                "left": names.get(row["left_id"], str(row["left_id"])),
                "right": names.get(row["right_id"], str(row["right_id"])),
                **{name: row[name] for name in ("kind", "trust", "source_id", "event_id", "linked_at")},
            }
            for row in joined
        ],
        "addresses": [
            {name: row[name] for name in ("channel", "address", "updated_at")}
            for row in _of(warehouse, ADDRESSES, customer_id)
        ],
        "consents": _consents(warehouse, customer_id, now),
    }


def _consents(warehouse: Warehouse, customer_id: int, now: datetime) -> list[dict[str, Any]]:
    """What holds now for each channel and topic about which the customer has said something."""
    pairs = sorted({(row["channel"], row["topic"]) for row in _of(warehouse, CONSENTS, customer_id)})
    profiles = warehouse.table(PROFILES)
    only = profiles.filter(profiles.customer_id == ibis.literal(customer_id, "int64")).select("customer_id")
    return [
        {"channel": channel, "topic": topic, **row}
        for channel, topic in pairs
        for row in warehouse.rows(
            consent.permission(warehouse, channel, topic, now, among=only).select("state", "since", "basis", "reason")
        )
    ]


def _of(warehouse: Warehouse, facts: Facts, customer_id: int) -> list[dict[str, Any]]:
    rows = warehouse.table(facts)
    return warehouse.rows(rows.filter(rows.customer_id == ibis.literal(customer_id, "int64")))


def _name(profiles: ir.Table) -> ir.StringValue:
    return ibis.coalesce(profiles.first_name, "") + " " + ibis.coalesce(profiles.last_name, "")


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "customer_id": str(row["customer_id"])}
