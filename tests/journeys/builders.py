"""The smallest customers, consents and reactions that show a journey's point."""

from datetime import datetime, timedelta
from typing import Any

import yaml

from onevoice.catalog.facts import ORDERS
from onevoice.customers.facts import ADDRESSES, CONSENTS, PROFILES
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys.service import SavedJourney
from onevoice.kernel.clock import naive
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.warehouse import Facts, Warehouse
from tests.conftest import NOW

BEFORE = naive(NOW - timedelta(days=30))

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

CHANNELS = ("email", "push", "sms")


def journey(**changes: Any) -> SavedJourney:
    """The win-back journey, live, with these top-level keys changed."""
    document = {**yaml.safe_load(WINBACK), **changes}
    return SavedJourney(document["name"], 1, "live", NOW, document)


def add(store: Warehouse, facts: Facts, **columns: Any) -> None:
    """One row; what is not given is null."""
    store.append(facts, facts.arrow({name: [columns.get(name)] for name in facts.columns}))


def customer(
    store: Warehouse,
    number: int,
    channels: tuple[str, ...] = CHANNELS,
    consents: tuple[str, ...] = CHANNELS,
    zone: str = "UTC",
    segment: str = "dormant",
) -> None:
    """A member of the segment with addresses on `channels` and consent on `consents`."""
    add(store, SEGMENT_MEMBERS, segment=segment, customer_id=number, entered_at=BEFORE)
    add(store, PROFILES, customer_id=number, locale="it", time_zone=zone, traits="{}", first_seen_at=BEFORE)
    for channel in channels:
        address, hashed = f"{channel}-{number}", f"hash-{channel}-{number}"
        add(
            store,
            ADDRESSES,
            customer_id=number,
            channel=channel,
            address=address,
            address_hash=hashed,
            updated_at=BEFORE,
        )
    for channel in consents:
        consent(store, number, channel, "granted", BEFORE)


def consent(store: Warehouse, number: int, channel: str, state: str, at: datetime, identifier: int = 0) -> None:
    """A row of the consents, as the load would leave it."""
    add(
        store,
        CONSENTS,
        identifier_id=identifier or number,
        customer_id=number,
        channel=channel,
        topic="offers",
        state=state,
        occurred_at=at,
    )


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
        discount=0,
        lines=1,
        event_id=f"e{number}{at}",
    )


def react(store: Warehouse, number: int, channel: str, reaction: str, at: datetime) -> None:
    """The customer opened or clicked their message on the channel."""
    messages = store.table(MESSAGES)
    rows = messages.filter(messages.customer_id == number, messages.channel == channel)
    store.replace(MESSAGES, ["message_id"], rows.mutate(**{f"{reaction}_at": naive(at)}).cast(MESSAGES.schema))
