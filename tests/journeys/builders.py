"""The smallest customers, consents and reactions that show a journey's point."""

import json
from datetime import datetime, timedelta
from typing import Any

import ibis
import yaml

from onevoice.catalog.facts import ORDERS
from onevoice.customers.facts import ADDRESSES, CONSENTS, PROFILES, SUPPRESSIONS
from onevoice.delivery.facts import MESSAGES
from onevoice.events.facts import EVENTS
from onevoice.journeys.facts import DECISIONS, ENROLMENTS
from onevoice.journeys.service import SavedJourney
from onevoice.kernel.clock import naive
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.warehouse import Facts, Warehouse, watermark
from tests.conftest import NOW

BEFORE = naive(NOW - timedelta(days=30))

CHANNELS = ("email", "push", "sms")

WINBACK = """
kind: journey
name: win-back
title: Win back the dormant
entry: {segment: dormant}
holdout: 0.0
topic: offers
goal: {event: Order Completed}
policy:
  cap: {messages: 3, days: 7}
  quiet_hours: {from: "21:00", to: "08:00"}
steps:
  - id: cascade
    cascade:
      stop_on: [opened, clicked]
      channels:
        - {channel: email, template: winback_email, wait: 3 days}
        - {channel: push, template: winback_push, wait: 2 days}
        - {channel: sms, template: winback_sms}
status: live
"""

EVERYBODY = {"kind": "segment", "name": "everybody", "where": {"trait": {"name": "email", "exists": True}}}
"""The segment of whoever has an e-mail address."""

GREETING = {
    "kind": "journey",
    "name": "hello",
    "entry": {"segment": "everybody"},
    "topic": "offers",
    "holdout": 0.0,
    "steps": [{"id": "greet", "send": {"channel": "email", "template": "hello"}}],
    "status": "live",
}
"""One e-mail to everybody in it, without a hold-out."""


def journey(**changes: Any) -> SavedJourney:
    """The win-back journey, live, with these top-level keys changed."""
    document = {**yaml.safe_load(WINBACK), **changes}
    return SavedJourney(document["name"], 1, "live", NOW, document)


def add(store: Warehouse, facts: Facts, *rows: dict[str, Any], **columns: Any) -> None:
    """Rows, or one row; what is not given is null."""
    given = rows or (columns,)
    store.append(facts, facts.arrow({name: [row.get(name) for row in given] for name in facts.columns}))


def customer(
    store: Warehouse,
    *numbers: int,
    channels: tuple[str, ...] = CHANNELS,
    consents: tuple[str, ...] = CHANNELS,
    zone: str = "UTC",
    segment: str = "dormant",
) -> None:
    """Members of the segment with addresses on `channels` and consent on `consents`."""
    pairs = [(number, channel) for number in numbers for channel in channels]
    add(store, SEGMENT_MEMBERS, *({"segment": segment, "customer_id": n, "entered_at": BEFORE} for n in numbers))
    add(
        store,
        PROFILES,
        *(
            {"customer_id": n, "locale": "it", "time_zone": zone, "traits": "{}", "first_seen_at": BEFORE}
            for n in numbers
        ),
    )
    if pairs:
        add(store, ADDRESSES, *(address(number, channel) for number, channel in pairs))
    if granted := [consent_row(n, channel, "granted", BEFORE) for n in numbers for channel in consents]:
        add(store, CONSENTS, *granted)


def address(number: int, channel: str) -> dict[str, Any]:
    """Where a customer can be reached."""
    return {
        "customer_id": number,
        "channel": channel,
        "address": f"{channel}-{number}",
        "address_hash": hashed(number, channel),
        "updated_at": BEFORE,
    }


def hashed(number: int, channel: str) -> str:
    """The hash of the customer's address on the channel."""
    return f"hash-{channel}-{number}"


def suppress(store: Warehouse, number: int, channel: str) -> None:
    """The address bounced."""
    listed = {"channel": channel, "address_hash": hashed(number, channel)}
    add(store, SUPPRESSIONS, **listed, reason="bounced", suppressed_at=BEFORE)


def consent(store: Warehouse, number: int, channel: str, state: str, at: datetime, **changes: Any) -> None:
    """A row of the consents, as the load would leave it."""
    add(store, CONSENTS, **{**consent_row(number, channel, state, at), **changes})


def consent_row(number: int, channel: str, state: str, at: datetime) -> dict[str, Any]:
    """A word on the topic of the journeys here."""
    return {
        "identifier_id": number,
        "customer_id": number,
        "channel": channel,
        "topic": "offers",
        "state": state,
        "occurred_at": at,
    }


def order(store: Warehouse, number: int, at: datetime) -> None:
    """An order at the till."""
    add(
        store,
        ORDERS,
        order_id=f"o{number}{at}",
        source_id=1,
        identifier_id=number,
        customer_id=number,
        channel="offline",
        ordered_at=naive(at),
        currency="EUR",
        revenue=10,
        gross_revenue=10,
        refunded=0,
        status="placed",
        updated_at=naive(at),
        discount=0,
        lines=1,
        event_id=f"e{number}{at}",
    )


def event(store: Warehouse, number: int, name: str, at: datetime, **properties: Any) -> None:
    """The customer did something, and it has just been loaded."""
    add(
        store,
        EVENTS,
        event_id=f"{name}|{number}|{at}|{properties}",
        source_id=1,
        type="track",
        name=name,
        channel="web",
        identifier_id=number,
        customer_id=number,
        occurred_at=naive(at),
        received_at=naive(at),
        properties=json.dumps(properties, separators=(",", ":")),
        arrival=watermark(store, "revision")[0],
    )


def react(store: Warehouse, number: int, channel: str, reaction: str, at: datetime) -> None:
    """The customer opened or clicked their message on the channel."""
    messages = store.table(MESSAGES)
    rows = messages.filter(messages.customer_id == number, messages.channel == channel)
    store.replace(MESSAGES, ["message_id"], rows.mutate(**{f"{reaction}_at": naive(at)}).cast(MESSAGES.schema))


def merge(store: Warehouse, gone: int, into: int) -> None:
    """Two customers turn out to be one: the rows of `gone` follow, as identity.resolve lets them."""
    for facts in (ENROLMENTS, DECISIONS, MESSAGES, CONSENTS):
        rows = store.table(facts)
        moved = store.stage("moved", rows.filter(rows.customer_id == gone).mutate(customer_id=ibis.literal(into)))
        store.delete(facts, moved.select("identifier_id").distinct())
        store.append(facts, moved.cast(facts.schema))
    for facts in (SEGMENT_MEMBERS, PROFILES, ADDRESSES):
        rows = store.table(facts)
        store.delete(facts, rows.filter(rows.customer_id == gone).select("customer_id").distinct())


def sent(store: Warehouse) -> list[tuple[int, str]]:
    """Every message there is: customer and channel."""
    return sorted((row["customer_id"], row["channel"]) for row in store.rows(store.table(MESSAGES)))


def reasons(store: Warehouse, number: int) -> list[str]:
    """The reasons of the decisions about a customer, in their order."""
    decisions = store.table(DECISIONS)
    rows = store.rows(decisions.filter(decisions.customer_id == number).order_by("decided_at", "step"))
    return [row["reason"] for row in rows]


def ends(store: Warehouse) -> dict[int, str]:
    """Each customer's end, empty while active; a customer with two enrolments shows both."""
    found: dict[int, str] = {}
    for row in sorted(store.rows(store.table(ENROLMENTS)), key=lambda row: row["enrolment_id"]):
        known = found.get(row["customer_id"])
        found[row["customer_id"]] = row["reason"] if known is None else "+".join(sorted((known, row["reason"])))
    return found
