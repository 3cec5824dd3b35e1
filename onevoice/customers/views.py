"""What is known of customers, as plain values for the API. Ids leave as text: they exceed JavaScript's integers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir
import msgspec

from onevoice.customers.consent import everybody
from onevoice.customers.facts import (
    ADDRESSES,
    CONSENTS,
    IDENTIFIERS,
    IDENTITY_LINKS,
    IDENTITY_WARNINGS,
    PROFILES,
    TRAITS,
)
from onevoice.customers.identifiers import Identifier
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
    joined = warehouse.rows(
        links.filter(links.left_id.isin(ids) & links.right_id.isin(ids)).order_by("linked_at", "link_id")
    )
    names = {row["identifier_id"]: f"{row['namespace']}:{row['value']}" for row in identifiers}
    return {
        **profile,
        "provenance": _provenance(warehouse, customer_id, names),
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
            everybody.permission(warehouse, channel, topic, now, among=only).select("state", "since", "basis", "reason")
        )
    ]


def _provenance(warehouse: Warehouse, customer_id: int, names: Mapping[int, str]) -> dict[str, Any]:
    """Of each trait the event, its time and the identifier that said it last: the newest by event time counts."""
    newest: dict[str, dict[str, Any]] = {}
    for row in sorted(_of(warehouse, TRAITS, customer_id), key=lambda row: (row["occurred_at"], row["event_id"])):
        newest[row["name"]] = row
    return {
        name: {
            "identifier": names.get(row["identifier_id"], ""),
            "event_id": row["event_id"],
            "occurred_at": row["occurred_at"],
        }
        for name, row in sorted(newest.items())
        if row["value"] is not None
    }


def customer_of(warehouse: Warehouse, identifier: Identifier, now: datetime) -> dict[str, Any]:
    """The customer that an identifier belongs to. Raises NotFound."""
    identifiers = warehouse.table(IDENTIFIERS)
    rows = warehouse.rows(identifiers.filter(identifiers.identifier_id == ibis.literal(identifier.id, "int64")))
    if not rows:
        raise NotFound(f"{identifier} was never seen")
    return customer(warehouse, rows[0]["customer_id"], now)


SAYINGS = {
    "limit": "the profile would have more of {namespace} than its limit",
    "size": "the profile would be larger than any may be",
    "apart": "a person said that they are not one customer",
    "unproven": "{namespace} was only claimed: it joins once a source that is believed says so",
    "shared": "it is seen with too many to identify anyone",
    "blocked": "it is a value that careless callers send for everybody",
}


def warnings(warehouse: Warehouse, customer_id: int | None, rule: str, limit: int) -> list[dict[str, Any]]:
    """Links that do not join, the newest first; only those of a customer's identifiers, or of a rule, where given."""
    told, identifiers = warehouse.table(IDENTITY_WARNINGS), warehouse.table(IDENTIFIERS)
    if rule:
        told = told.filter(told.rule == rule)
    if customer_id is not None:
        own = identifiers.filter(identifiers.customer_id == ibis.literal(customer_id, "int64"))
        of_left = told.semi_join(own, "identifier_id")
        told = of_left.union(told.semi_join(own, told.other_id == own.identifier_id), distinct=True)
    told = told.order_by(ibis.desc("occurred_at"), "rule", "identifier_id", "other_id").limit(limit)
    rows = warehouse.rows(told)
    ids = {one for row in rows for one in (row["identifier_id"], row["other_id"])}
    known = warehouse.rows(identifiers.filter(identifiers.identifier_id.isin(sorted(ids)))) if ids else []
    names = {row["identifier_id"]: f"{row['namespace']}:{row['value']}" for row in known}
    return [
        {
            "rule": row["rule"],
            "says": SAYINGS[row["rule"]].format(namespace=row["namespace"]),
            "namespace": row["namespace"],
            "identifier": f"{row['namespace']}:{row['value']}" if row["value"] else names.get(row["identifier_id"], ""),
            "other": names.get(row["other_id"], ""),
            "source_id": row["source_id"],
            "event_id": row["event_id"],
            "occurred_at": row["occurred_at"],
        }
        for row in rows
    ]


def _of(warehouse: Warehouse, facts: Facts, customer_id: int) -> list[dict[str, Any]]:
    rows = warehouse.table(facts)
    return warehouse.rows(rows.filter(rows.customer_id == ibis.literal(customer_id, "int64")))


def _name(profiles: ir.Table) -> ir.StringValue:
    return ibis.coalesce(profiles.first_name, "") + " " + ibis.coalesce(profiles.last_name, "")


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "customer_id": str(row["customer_id"])}
