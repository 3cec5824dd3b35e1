"""Random journeys, events and ticks against a model that walks one person after the other (oracle.py)."""

from datetime import timedelta
from typing import Any

import ibis
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from onevoice.customers.facts import TRAITS
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys.facts import CHANNEL_HABITS, EFFECTS, ENROLMENTS, HOUR_HABITS, PASSAGES
from onevoice.journeys.tick import tick
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse, connect
from tests.conftest import ALL_FACTS, NOW, chdb
from tests.journeys import oracle
from tests.journeys.builders import BEFORE, CHANNELS, add, customer, event, journey
from tests.journeys.oracle import PEOPLE, ZONES, Did, Person

HOUR = timedelta(hours=1)


def agree(
    store: Warehouse, document: Any, events: Any, pauses: Any, reach: Any, opens: Any, fails: Any, rates: Any
) -> None:
    for facts in ALL_FACTS:
        store.execute(f"DELETE FROM {facts.name}" if store.is_duckdb else f"TRUNCATE TABLE {facts.name}")
    live = journey(name="random", policy={}, **document)
    people = {number: Person(number, tuple(sorted(reach[number]))) for number in PEOPLE}
    for number, person in people.items():
        customer(store, number, channels=CHANNELS, consents=person.channels, zone=ZONES[number])
        known = {"identifier_id": number, "customer_id": number, "name": "number", "value": str(number)}
        add(store, TRAITS, **known, occurred_at=BEFORE, event_id=f"n{number}")
    _learned(store, people, rates)
    now, waiting = NOW, sorted((NOW + did[0] * HOUR + (n + 1) * HOUR / 60, *did[1:]) for n, did in enumerate(events))
    for pause in [0, *pauses]:
        now += pause * HOUR
        while waiting and waiting[0][0] <= now:
            at, number, name, key, channel = waiting.pop(0)
            event(store, number, name, at, k=key, channel=channel)
            people[number].events.append(Did(at, name, key, channel))
        tick(store, [live], now)
        for person in people.values():
            person.tick(document, now)
        for word, hit in (("opened", opens), ("failed", fails)):
            _hear(store, people, word, hit, now)
    _compare(store, people)


def _learned(store: Warehouse, people: dict[int, Person], rates: dict[tuple[int, str], float]) -> None:
    """How well each answers on a channel, as if it had been learned for good."""
    add(
        store, HOUR_HABITS, customer_id=0, alike="", hour=9, share=1, active=0, learned_at=naive(NOW.replace(year=2036))
    )
    for (number, channel), rate in rates.items():
        people[number].rates[channel] = rate
        known = {"customer_id": number, "channel": channel, "sent": 1, "acted": 1, "alike": "", "learned_at": BEFORE}
        add(store, CHANNEL_HABITS, **known, rate=rate)


def _hear(store: Warehouse, people: dict[int, Person], word: str, hit: set[tuple[int, str]], now: Any) -> None:
    """What was sent to some people on a channel is opened at once, or is told to have failed."""
    messages = store.table(MESSAGES)
    for number, channel in hit:
        for way in people[number].ways:
            for message in way.messages:
                if message.channel == channel:
                    setattr(message, word, True)
        column = messages[f"{word}_at"]
        mine = messages.filter(messages.customer_id == number, messages.channel == channel, column.isnull())
        if store.count(mine):
            heard = mine.mutate(**{f"{word}_at": ibis.timestamp(naive(now))})
            store.replace(MESSAGES, ["message_id"], store.stage("heard", heard.cast(MESSAGES.schema)))


def _compare(store: Warehouse, people: dict[int, Person]) -> None:
    def rows(facts: Any, *columns: str) -> list[tuple[Any, ...]]:
        return sorted(tuple(row[name] or "" for name in columns) for row in store.rows(store.table(facts)))

    ways = [(n, way) for n, person in people.items() for way in person.ways]
    sent = sorted((n, one.node, one.channel, naive(one.at)) for n, way in ways for one in way.messages)
    assert rows(MESSAGES, "customer_id", "step", "channel", "planned_at") == sent
    assert rows(PASSAGES, "customer_id", "step", "way") == sorted((n, *one) for n, way in ways for one in way.passed)
    assert rows(EFFECTS, "customer_id", "step") == sorted((n, one) for n, way in ways for one in way.effects)
    state = {False: "active", True: "over"}
    inside = sorted((n, naive(way.entered), way.key, state[way.is_over]) for n, way in ways)
    held = rows(ENROLMENTS, "customer_id", "entered_at", "key", "state")
    assert [(*one[:3], "active" if one[3] == "active" else "over") for one in held] == inside


@pytest.fixture(scope="module")
def memory() -> Warehouse:
    warehouse = connect("duckdb://")
    warehouse.create(ALL_FACTS)
    return warehouse


RANDOM: dict[str, st.SearchStrategy[Any]] = {
    "document": oracle.DOCUMENT,
    "events": oracle.EVENTS,
    "pauses": oracle.PAUSES,
    "reach": oracle.OF_PEOPLE,
    "opens": oracle.ON_CHANNELS,
    "fails": oracle.ON_CHANNELS,
    "rates": oracle.RATES,
}
DRAWN = [Phase.explicit, Phase.reuse, Phase.generate]
"""Not made smaller: each try takes a second."""
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


LAST_OF_THE_BEST: dict[str, Any] = {
    "document": {
        "entry": {"segment": "dormant"},
        "goal": None,
        "steps": [
            {
                "id": "s0",
                "cascade": {
                    "channels": [
                        {"channel": "sms", "template": "t", "wait": "5 hours"},
                        {"channel": "email", "template": "t"},
                    ],
                    "order": "best",
                    "prices": {"sms": 0.75},
                },
            },
            {"id": "s1", "wait": {"event": "a", "timeout": "30 hours", "then": [], "else": []}},
        ],
    },
    "events": [(2, 1, "a", "k1", "sms"), (7, 2, "a", "k1", "sms")],
    "pauses": [7, 7],
    "reach": {number: {"email", "sms"} for number in PEOPLE},
    "opens": set(),
    "fails": set(),
    "rates": {},
}
"""The text comes last for its price, and its readers are given their time before the next step begins to listen."""

AGAIN_WHEN_LATE: dict[str, Any] = {
    "document": {
        "entry": {"event": {"name": "enter"}},
        "goal": None,
        "steps": [
            {
                "id": "s0",
                "cascade": {
                    "channels": [
                        {"channel": "email", "template": "t", "wait": "1 hour"},
                        {"channel": "push", "template": "t", "wait": "0 days"},
                        {"channel": "sms", "template": "t", "wait": "5 hours"},
                    ],
                    "order": "best",
                },
            },
            {"id": "pause", "wait": "20 hours"},
            {"id": "back", "jump": {"to": "s0", "times": 2}},
        ],
    },
    "events": [(2, 2, "enter", "k1", "email")],
    "pauses": [24, 7, 7, 7, 24, 100],
    "reach": {number: set(CHANNELS) for number in PEOPLE},
    "opens": {(2, "push")},
    "fails": set(),
    "rates": {(2, "email"): 0.5, (2, "push"): 1.0},
}
"""Ticks come late, so that the last try of one passing is decided after the next passing has begun."""


@example(**AGAIN_WHEN_LATE)
@example(**LAST_OF_THE_BEST)
@settings(max_examples=6, deadline=None, suppress_health_check=QUIET, phases=DRAWN)
@given(**RANDOM)
def test_the_tick_does_for_all_at_once_what_the_model_does_for_each(memory: Warehouse, **case: Any) -> None:
    agree(memory, **case)


@settings(max_examples=1, deadline=None, suppress_health_check=QUIET, phases=DRAWN)
@given(**RANDOM)
def test_so_it_is_on_the_other_store(tmp_path_factory: pytest.TempPathFactory, **case: Any) -> None:
    agree(chdb(tmp_path_factory.mktemp("chdb")), **case)
