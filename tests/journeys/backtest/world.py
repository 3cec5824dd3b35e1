"""A shop's facts, drawn by chance, as they came in; loaded up to an instant, as a live engine would have."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa

from onevoice import warehouse
from onevoice.customers import load as customers
from onevoice.customers.identifiers import identifier
from onevoice.customers.schemas import ConsentEntry, SuppressionEntry
from onevoice.customers.suppression import address_hash
from onevoice.database.inbox import Entry, Kind
from onevoice.delivery.facts import MESSAGES
from onevoice.engine.load import PROJECTED, TABLES
from onevoice.events.load import load
from onevoice.journeys.facts import DECISIONS, ENROLMENTS
from onevoice.journeys.service import SavedJourney
from onevoice.kernel.clock import naive
from onevoice.segments.service import SavedSegment
from onevoice.warehouse import Facts, Warehouse, set_watermark, watermark
from tests.conftest import NOW
from tests.journeys.builders import add

SECRET = b"s" * 32
DAY = timedelta(days=1)
START = NOW - 6 * DAY
"""When the window begins, and the journey is launched."""

SEGMENTS = [
    SavedSegment(
        "dormant",
        1,
        {
            "kind": "segment",
            "name": "dormant",
            "where": {
                "any": [
                    {"last_order": {"before": "5 days"}},
                    {"cart": {"state": "abandoned", "abandoned_after": "4 hours"}},
                    {"all": [{"trait": {"name": "tier", "equals": "gold"}}, {"segment": {"name": "returners"}}]},
                ]
            },
        },
    ),
    SavedSegment(
        "returners",
        1,
        {
            "kind": "segment",
            "name": "returners",
            "where": {"orders": {"measure": "revenue", "at_most": 30}},
        },
    ),
]


@dataclass(frozen=True)
class Told:
    """Something that happened, as it came in at once."""

    at: datetime
    entry: Entry


def drawn(seed: int, people: int = 25, begin: datetime = NOW - 40 * DAY, end: datetime = NOW + 10 * DAY) -> list[Told]:
    """Orders, refunds, carts, traits that change, consents given and taken back, addresses that bounce."""
    chance = random.Random(seed)
    moments = int((end - begin).total_seconds())

    def moment() -> datetime:
        return begin + timedelta(seconds=chance.randrange(moments))

    found: list[Told] = []
    for number in range(people):
        user = f"u{number}"
        for turn in range(chance.randrange(1, 4)):
            traits = {
                "email": f"{user}.{turn}@example.com",
                **({"phone": f"+3933312{number:05}"} if chance.random() < 0.6 else {}),
                "tier": chance.choice(["gold", *["silver"] * 5]),
                "time_zone": chance.choice(["Europe/Rome", "Asia/Jakarta", "UTC"]),
            }
            found.append(_call(moment(), f"{user}-i{turn}", type="identify", userId=user, traits=traits))
        for turn in range(chance.randrange(4)):
            at, order_id = moment(), f"{user}-o{turn}"
            line = {"product_id": f"p{turn}", "quantity": 2, "price": 10.0}
            order = {"order_id": order_id, "currency": "EUR", "products": [line], "revenue": 20.0}
            found.append(_call(at, order_id, event="Order Completed", userId=user, properties=order))
            if chance.random() < 0.4:
                later = at + timedelta(days=chance.randrange(1, 20))
                kind = chance.choice(["Order Refunded", "Order Cancelled"])
                found.append(_call(later, f"{order_id}-r", event=kind, userId=user, properties=order))
        for turn in range(chance.randrange(3)):
            line = {"product_id": "p1", "quantity": 1, "price": 9.0, "cart_id": f"{user}-c{turn % 2}"}
            at = START + timedelta(seconds=chance.randrange(6 * 86_400)) if chance.random() < 0.5 else moment()
            found.append(_call(at, f"{user}-c{turn}", event="Product Added", userId=user, properties=line))
        for channel in ("email", "sms"):
            for _ in range(chance.randrange(1, 4)):
                state = chance.choice(["granted", "granted", "granted", "withdrawn"])
                found.append(_consent(moment(), user, channel, state))
        if chance.random() < 0.2:
            at = moment()
            hashed = address_hash(SECRET, "email", f"{user}.0@example.com").hex()
            entry = SuppressionEntry("email", hashed, "bounced", at)
            found.append(Told(at, Entry(0, Kind.SUPPRESSION, at, msgspec.json.encode(entry))))
    return sorted(found, key=lambda told: told.at)


def _call(at: datetime, message_id: str, **call: Any) -> Told:
    call = {"type": "track", "messageId": message_id, **call}
    payload = {"type": call["type"], "message_id": message_id, "occurred_at": at.isoformat(), "call": call}
    return Told(at, Entry(1, Kind.EVENT, at, json.dumps(payload).encode()))


def _consent(at: datetime, user: str, channel: str, state: str) -> Told:
    known = identifier("user_id", user)
    assert known is not None
    entry = ConsentEntry(known.id, channel, "offers", state, at, "user_id", user)
    return Told(at, Entry(0, Kind.CONSENT, at, msgspec.json.encode(entry)))


class Shop:
    """A warehouse into which facts are loaded."""

    def __init__(self) -> None:
        self.store = warehouse.connect("duckdb://")
        self.store.create(TABLES)
        self.revision = 0  # of the last load

    def take(self, told: Sequence[Told]) -> None:
        """Loads them all at once."""
        self.revision = watermark(self.store, "revision")[0] + 1
        by_kind = {
            kind: [one.entry for one in told if one.entry.kind == kind]
            for kind in (Kind.EVENT, Kind.CONSENT, Kind.SUPPRESSION)
        }
        with self.store.transaction():
            set_watermark(self.store, "revision", self.revision, 0)
            load(self.store, by_kind[Kind.EVENT], {1: "web"}, SECRET, self.revision, PROJECTED)
            customers.load_consents(self.store, by_kind[Kind.CONSENT], SECRET, self.revision, PROJECTED)
            customers.load_suppressions(self.store, by_kind[Kind.SUPPRESSION])


def words(told: Sequence[Told]) -> pa.Table:
    """What the ledger would tell of consents."""
    rows = [msgspec.json.decode(one.entry.payload, type=ConsentEntry) for one in told if one.entry.kind == Kind.CONSENT]
    return pa.table(
        {
            "identifier_id": pa.array([row.identifier_id for row in rows], pa.int64()),
            "channel": [row.channel for row in rows],
            "topic": [row.topic for row in rows],
            "state": [row.state for row in rows],
            "occurred_at": pa.array([naive(row.occurred_at) for row in rows], pa.timestamp("us")),
            "country": [row.country for row in rows],
        }
    )


def past(store: Warehouse, messages: int, opened: int) -> None:
    """E-mails of another journey, 60 days ago; so many of them opened two hours later."""
    at = naive(NOW - 60 * DAY)
    row = {"journey": "old", "journey_version": 1, "step": "s", "channel": "email", "address": "a", "template": "t"}
    row |= {"locale": "en", "topic": "offers", "planned_at": at, "tick": 1, "accepted_at": at, "delivered_at": at}
    add(
        store,
        MESSAGES,
        *(
            {
                **row,
                "message_id": f"old{n}",
                "enrolment_id": f"old{n}",
                "identifier_id": -n,
                "customer_id": -n,
                "status": "delivered",
                "opened_at": at + timedelta(hours=2) if n <= opened else None,
            }
            for n in range(1, messages + 1)
        ),
    )


TOLD = (
    (ENROLMENTS, ("enrolment_id", "customer_id", "step", "state", "reason", "entered_at", "due_at")),
    (DECISIONS, ("enrolment_id", "step", "channel", "decided_at", "outcome", "reason", "seen")),
    (MESSAGES, ("message_id", "customer_id", "channel", "address", "locale", "planned_at")),
)
"""What is compared of each table."""


def outcome(store: Warehouse, journey: str) -> dict[str, list[tuple[Any, ...]]]:
    """All that a journey did."""
    return {facts.name: _rows(store, facts, columns, journey) for facts, columns in TOLD}


def _rows(store: Warehouse, facts: Facts, columns: Sequence[str], journey: str) -> list[tuple[Any, ...]]:
    table = store.table(facts)
    rows = store.rows(table.filter(table.journey == journey).select(*columns))
    return sorted((tuple(row.values()) for row in rows), key=str)


def journey(**changes: Any) -> SavedJourney:
    """A cascade to the dormant."""
    document = {
        "kind": "journey",
        "name": "back",
        "entry": {"segment": "dormant"},
        "topic": "offers",
        "holdout": 0.2,
        "goal": {"event": "Order Completed"},
        "policy": {"cap": {"messages": 2, "days": 7}, "quiet_hours": {"from": "21:00", "to": "11:00"}},
        "steps": [
            {
                "id": "cascade",
                "cascade": {
                    "channels": [
                        {"channel": "email", "template": "e", "wait": "2 days"},
                        {"channel": "sms", "template": "s"},
                    ]
                },
            },
            {"id": "pause", "wait": "3 days"},
            {"id": "again", "send": {"channel": "email", "template": "f"}},
        ],
        **changes,
    }
    return SavedJourney(document["name"], 1, "live", NOW, document, launched_at=START)
