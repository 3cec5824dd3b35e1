"""Journeys that are walked by the same statements leave behind, to the last id, what each would have left alone."""

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pyarrow as pa

from onevoice.customers.contact import Cap, ContactPolicy, Quiet
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys import tick as ticking
from onevoice.journeys.facts import DECISIONS, ENROLMENTS, PASSAGES
from onevoice.journeys.laid import Laid
from onevoice.journeys.service import SavedJourney
from onevoice.journeys.steps import Node
from onevoice.journeys.tick import tick
from onevoice.journeys.turn import told
from onevoice.warehouse import Warehouse
from tests.conftest import ALL_FACTS, NOW
from tests.journeys.builders import CHANNELS, customer, event, journey, react

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
POLICY = ContactPolicy(caps=(Cap(1, "day"), Cap(3, "week", "", "offers")), quiet_hours=(Quiet("22:00", "07:00"),))
PEOPLE = 24
STEPS = (2 * HOUR, DAY, 2 * DAY)


def send(channel: str, template: str, **more: Any) -> dict[str, Any]:
    return {"id": template, "send": {"channel": channel, "template": template, **more}}


def cascade(name: str, *stops: str) -> dict[str, Any]:
    channels = [{"channel": channel, "template": f"{name}-{channel}", "wait": "1 days"} for channel in CHANNELS]
    return {"id": name, "cascade": {"channels": channels, "stop_on": list(stops)}}


def wait(name: str) -> dict[str, Any]:
    until = {"event": "Product Viewed", "timeout": "2 days", "then": [send("push", f"{name}-seen")], "else": []}
    return {"id": name, "wait": until}


def journeys() -> list[SavedJourney]:
    """In twos and threes alike, each with something of its own."""
    again, never = {"reentry": "always"}, {}
    asked: list[tuple[dict[str, Any], list[dict[str, Any]], int]] = [
        (again, [send("email", "a", wait="1 hours", content="spring"), send("push", "b")], 0),
        (again, [send("email", "c", wait="2 hours", content="autumn", coupon="C"), send("sms", "d")], 0),
        (never, [cascade("g", "clicked")], 0),
        (never, [cascade("h", "clicked"), {"id": "rest", "wait": "1 days"}, send("email", "i")], 0),
        (never, [{"id": "first", "wait": "3 hours"}, send("email", "j"), wait("k")], 5),
        (never, [{"id": "start", "wait": "3 hours"}, send("email", "l"), wait("m")], 5),
    ]
    return [
        journey(
            name=f"j{n}", entry={"event": {"name": f"Event {n}"}, **more}, steps=steps, priority=priority, policy={}
        )
        for n, (more, steps, priority) in enumerate(asked)
    ]


def left_behind(store: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    """All rows, after some days of people coming in, reacting and being asked again."""
    for facts in ALL_FACTS:
        store.execute(f"TRUNCATE TABLE {facts.name}")
    random.seed(1)
    live = journeys()
    for number in range(1, PEOPLE + 1):
        customer(store, number, zone=random.choice(["UTC", "Asia/Jakarta"]), channels=CHANNELS[: 1 + number % 3])
    at = NOW
    for step in STEPS if store.is_duckdb else STEPS[:1]:  # chDB takes a second for what takes DuckDB a fiftieth
        for number in range(1, PEOPLE + 1):
            for name in random.sample([*(f"Event {n}" for n in range(len(live))), "Product Viewed"], number % 3):
                event(store, number, name, at)
        tick(store, live, at, POLICY)
        for number in random.sample(range(1, PEOPLE + 1), 4):
            react(store, number, "email", random.choice(["opened", "clicked"]), at)
        at += step
    tick(store, live, at, POLICY)
    return {
        facts.name: sorted(tuple(str(value) for value in row.values()) for row in store.rows(store.table(facts)))
        for facts in (ENROLMENTS, MESSAGES, DECISIONS, PASSAGES)
    }


def test_together_they_do_what_each_does_alone(store: Warehouse) -> None:
    together_at: set[str] = set()

    def noted(places: Sequence[tuple[Laid, Node]]) -> pa.Table:
        together_at.update(f"{node.kind}/{node.part}" for _, node in places if len(places) > 1)
        return told(places)

    with patch.object(ticking, "told", noted):
        together = left_behind(store)
    assert ({"send/", "cascade/0"} if store.is_duckdb else {"cascade/0"}) <= together_at
    with patch.object(ticking, "MANY", 0):
        alone = left_behind(store)
    assert len(alone["messages"]) > PEOPLE / 4
    for name, rows in alone.items():
        assert together[name] == rows, name
