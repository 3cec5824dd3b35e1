"""The contact policy against a plain reading of its rules, and over many ticks: no cap is ever exceeded."""

import random
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onevoice.customers.contact import Cap, ContactPolicy, Place, Quiet, quiet_until
from onevoice.delivery.facts import MESSAGES
from onevoice.engine.load import TABLES
from onevoice.journeys.facts import DECISIONS
from onevoice.journeys.policy import Ask, House, decide
from onevoice.journeys.tick import tick
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse, connect
from tests.conftest import NOW, chdb
from tests.journeys.builders import add, customer, journey, suppress

rules = import_module("onevoice.journeys.policy.decide")  # its package has the function by that name

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZONES = ("Europe/Rome", "America/Los_Angeles", "Asia/Jakarta")
CAPS = (
    Cap(1, "day"),
    Cap(2, "week"),
    Cap(1, "week", "sms"),
    Cap(2, "10 days", "", "offers"),
    Cap(1, "day", "", "news"),
)


@dataclass(frozen=True)
class Person:
    """All that the rules ask about one customer."""

    channels: tuple[str, ...]
    consents: tuple[str, ...]
    zone: str
    listed: bool
    reacted: bool
    sent: tuple[tuple[int, str, str, bool], ...]  # hours ago, channel, topic, whether counted
    put_off: int | None  # hours ago


PEOPLE = st.builds(
    Person,
    channels=st.sampled_from([("email", "sms"), ("sms",), ("email",), ()]),
    consents=st.sampled_from([("email", "sms"), ("email", "sms"), ("sms",), ()]),
    zone=st.sampled_from(ZONES),
    listed=st.sampled_from([False, False, False, True]),
    reacted=st.sampled_from([False, False, False, True]),
    sent=st.lists(
        st.tuples(
            st.integers(0, 300), st.sampled_from(["email", "sms"]), st.sampled_from(["offers", "news"]), st.booleans()
        ),
        max_size=4,
    ).map(tuple),
    put_off=st.sampled_from([None, None, None, 10, 71, 72, 73]),
)
POLICIES = st.builds(
    ContactPolicy,
    quiet_hours=st.sampled_from([(), (Quiet("21:00", "08:00"),), (Quiet("00:00", "24:00", on=("monday",)),)]),
    exempt=st.sampled_from([(), ("email",)]),
    caps=st.lists(st.sampled_from(CAPS), max_size=3).map(tuple),
    gap=st.sampled_from(["", "3 hours", "2 days"]),
    gaps=st.sampled_from([{}, {"sms": "3 days"}]),
)


def plainly(person: Person, policy: ContactPolicy, channel: str, now: datetime) -> tuple[str, str, datetime | None]:
    """Outcome, reason and until, by the rules as they are written."""
    sent = [(now - hours * HOUR, where, topic) for hours, where, topic, counted in person.sent if counted]
    asked_at = now - person.put_off * HOUR if person.put_off is not None else now
    expires_at = asked_at + 3 * DAY
    frees = []
    for cap in policy.caps:
        if cap.channel in ("", channel) and cap.topic in ("", "offers"):
            times = [at for at, where, topic in sent if cap.channel in ("", where) and cap.topic in ("", topic)]
            newest = sorted((at for at in times if at > now - cap.span), reverse=True)
            if len(newest) >= cap.messages:
                frees.append(newest[cap.messages - 1] + cap.span)
    gap, on_it = policy.gaps_on(channel)
    ends = [at + gap for at, _, _ in sent if gap] + [at + on_it for at, where, _ in sent if on_it and where == channel]
    quiet = quiet_until(policy.quiet_on(channel), Place(person.zone), now)
    if person.reacted:
        return "skip", "already_reached", None
    if channel not in person.channels:
        return "skip", "unreachable", None
    if person.listed and channel == "email":
        return "skip", "suppressed", None
    if channel not in person.consents:
        return "skip", "no_consent", None
    if person.put_off is not None and now > expires_at:
        return "skip", "expired", None
    for reason, until in (
        ("over_cap", max(frees, default=None)),
        ("too_soon", max((end for end in ends if end > now), default=None)),
        ("quiet_hours", quiet),
    ):
        if until is not None:
            return ("defer" if until <= expires_at else "skip"), reason, naive(until)
    return "send", "allowed", None


def fill(store: Warehouse, people: list[Person]) -> None:
    """A warehouse of these people, numbered from 1."""
    for facts in TABLES:
        store.execute(f"TRUNCATE TABLE {facts.name}")
    for number, person in enumerate(people, 1):
        customer(store, number, channels=person.channels, consents=person.consents, zone=person.zone)
        if person.listed:
            suppress(store, number, "email")
        for place, (hours, channel, topic, counted) in enumerate(person.sent):
            message(store, number, f"m{number}-{place}", NOW - hours * HOUR, channel, topic=topic, counted=counted)
        if person.put_off is not None:
            add(
                store,
                DECISIONS,
                decision_id=f"d{number}",
                enrolment_id=f"n{number}",
                journey="mine",
                step="send",
                channel="*",
                identifier_id=number,
                customer_id=number,
                decided_at=naive(NOW - person.put_off * HOUR),
                outcome="defer",
                reason="over_cap",
                seen="{}",
            )


def message(store: Warehouse, number: int, name: str, at: datetime, channel: str, **changes: Any) -> None:
    texts = ("step", "enrolment_id", "address", "template", "locale", "topic")
    values = {**{one: one for one in texts}, "journey": "another", "message_id": name, "channel": channel}
    values |= {"journey_version": 1, "identifier_id": number, "customer_id": number, "tick": 1, "status": "accepted"}
    add(store, MESSAGES, **{**values, "planned_at": naive(at), **changes})


def found(store: Warehouse, people: list[Person], policy: ContactPolicy, channel: str) -> list[tuple[Any, ...]]:
    numbers = range(1, len(people) + 1)
    candidates = {
        "enrolment_id": [f"n{number}" for number in numbers],
        "customer_id": list(numbers),
        "reacted": [person.reacted for person in people],
    }
    ask = Ask("mine", "send", channel, "offers", house=House(policy))
    decisions = store.table(DECISIONS)
    store.replace(DECISIONS, ["decision_id"], store.stage("now_here", decisions.mutate(channel=ibis.literal(channel))))
    staged = store.stage("candidates", pa.table(candidates))
    rows = decide(store, staged, ask, NOW, reacted=staged.filter(staged.reacted))
    told = store.rows(rows.select("customer_id", "outcome", "reason", "until").order_by("customer_id"))
    return [(row["outcome"], row["reason"], row["until"]) for row in told]


def agree(store: Warehouse, people: list[Person], policy: ContactPolicy, channel: str) -> None:
    """Also where so few are many already, and everybody's consents and messages are looked at."""
    fill(store, people)
    for few in (rules.FEW, 0):
        with patch.object(rules, "FEW", few):
            assert found(store, people, policy, channel) == [plainly(person, policy, channel, NOW) for person in people]


@pytest.fixture(scope="module")
def duckdb() -> Warehouse:
    store = connect("duckdb://")
    store.create(TABLES)
    return store


@settings(max_examples=25, deadline=None)
@given(people=st.lists(PEOPLE, min_size=1, max_size=12), policy=POLICIES, channel=st.sampled_from(["email", "sms"]))
def test_the_decision_is_that_of_the_rules_as_written(
    duckdb: Warehouse, people: list[Person], policy: ContactPolicy, channel: str
) -> None:
    agree(duckdb, people, policy, channel)


def test_the_same_on_the_other_store(tmp_path: Path) -> None:
    store = chdb(tmp_path)
    store.create(TABLES)
    random.seed(4)
    zones = ("email", "sms")
    people = [
        Person(
            ("email", "sms"),
            random.choice([("email", "sms"), ("sms",)]),
            random.choice(ZONES),
            listed=n % 7 == 0,
            reacted=n % 11 == 0,
            sent=tuple((random.randrange(300), random.choice(zones), "offers", n % 5 > 0) for _ in range(n % 4)),
            put_off=random.choice([None, None, 10, 73]),
        )
        for n in range(30)
    ]
    policy = ContactPolicy(quiet_hours=(Quiet("21:00", "08:00"),), caps=CAPS[:4], gap="3 hours", gaps={"sms": "3 days"})
    agree(store, people, policy, "sms")
    store.close()


def test_no_cap_is_ever_exceeded_and_what_was_put_off_goes_when_the_cap_is_free(duck: Warehouse) -> None:
    """Three journeys of unlike priority and many ticks; every message is checked against those before it."""
    policy = ContactPolicy(
        caps=(Cap(1, "day"), Cap(2, "week"), Cap(1, "week", "sms")), quiet_hours=(Quiet("21:00", "08:00"),)
    )
    customer(duck, *range(1, 31), zone="Europe/Rome")
    customer(duck, *range(31, 41), zone="America/Los_Angeles")
    live = [
        journey(name=name, priority=rank, policy={"defer_for": "3 days"})
        for name, rank in (("a", 0), ("b", 5), ("c", 5))
    ]
    chance, now = random.Random(1), NOW
    while now < NOW + 8 * DAY:
        tick(duck, live, now, policy)
        now += timedelta(minutes=chance.choice([7, 60, 300, 700]))
    rows = duck.rows(duck.table(MESSAGES).order_by("planned_at"))
    assert len(rows) > 80
    for cap in policy.caps:
        for row in rows:
            near = [
                one
                for one in rows
                if one["customer_id"] == row["customer_id"]
                and row["planned_at"] - cap.span < one["planned_at"] <= row["planned_at"]
                and cap.channel in ("", one["channel"])
            ]
            assert not cap.holds(row["channel"], row["topic"]) or len(near) <= cap.messages
    decisions = Counter((row["outcome"], row["reason"]) for row in duck.rows(duck.table(DECISIONS)))
    assert decisions["defer", "over_cap"] and decisions["defer", "outranked"] and decisions["skip", "over_cap"]
