"""Random journeys, events and ticks against a model that walks one person after the other in plain Python."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import ibis
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from onevoice.customers.facts import TRAITS
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys.facts import EFFECTS, ENROLMENTS, PASSAGES
from onevoice.journeys.spans import duration
from onevoice.journeys.tick import tick
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse, connect
from tests.conftest import ALL_FACTS, NOW, chdb
from tests.journeys.builders import BEFORE, CHANNELS, add, customer, event, journey

HOUR = timedelta(hours=1)
LATEST = timedelta(days=3)
PEOPLE = (1, 2, 3)


class Exit(Exception):
    """Out of the journey."""


class Person:
    """One person's way through a journey. `at` is when they are due where they are."""

    def __init__(self, document: dict[str, Any], number: int, channels: tuple[str, ...], entered: datetime) -> None:
        self.number, self.channels, self.entered, self.at = number, channels, entered, entered
        self.now, self.passes = entered, 0
        self.events: list[tuple[datetime, str]] = []
        self.messages: list[tuple[str, str, datetime]] = []  # node, channel, when
        self.opened: set[int] = set()  # places of messages
        self.passed: list[tuple[str, str]] = []
        self.effects: list[str] = []
        self.is_over = False
        self.walk = self._journey(document["steps"])
        self.goal = (document.get("goal") or {}).get("event")

    def tick(self, now: datetime) -> None:
        """Goes as far as they can at `now`."""
        self.now = now
        if self.is_over:
            return
        if self.goal and any(name == self.goal and at > self.entered for at, name in self.events):
            self.is_over = True
            return
        try:
            while next(self.walk):
                pass
        except (Exit, StopIteration):
            self.is_over = True

    def _journey(self, steps: list[dict[str, Any]]) -> Iterator[bool]:
        """Yields False where they must wait for another tick."""
        place = 0
        while place < len(steps):
            step = steps[place]
            place += 1
            if "jump" in step:
                if self.passes < step["jump"]["times"]:
                    place = [one["id"] for one in steps].index(step["jump"]["to"])
                self.passes += 1
                continue
            yield from self._step(step)

    def _step(self, step: dict[str, Any]) -> Iterator[bool]:
        (kind,) = set(step) - {"id"}
        asked, name = step[kind], step["id"]
        if kind == "send":
            if self._sent(name, asked["channel"]):
                yield from self._until(self.now + duration(asked.get("wait", "0 days"), ""))
        elif kind == "cascade":
            yield from self._cascade(name, asked)
        elif kind == "update":
            self.effects.append(name)
        elif kind == "exit":
            raise Exit
        elif kind == "branch":
            meets = self.number == asked["paths"][0]["if"]["trait"]["equals"]
            self.passed.append((name, "0" if meets else "else"))
            for one in asked["paths"][0]["steps"] if meets else asked["else"]:
                yield from self._step(one)
        elif isinstance(asked, str):
            yield from self._until(self.at + duration(asked, ""))
        else:
            yield from self._event(name, asked)

    def _until(self, at: datetime) -> Iterator[bool]:
        self.at = at
        while self.now < at:
            yield False

    def _event(self, name: str, asked: dict[str, Any]) -> Iterator[bool]:
        since, end = self.at, self.at + duration(asked["timeout"], "")
        while True:
            came = [at for at, event in self.events if event == asked["event"] and since < at <= end]
            if came or end <= self.now:
                break
            yield False
        self.at = min(came) if came else end
        self.passed.append((name, "met" if came else "late"))
        for one in asked["then"] if came else asked["else"]:
            yield from self._step(one)

    def _cascade(self, name: str, asked: dict[str, Any]) -> Iterator[bool]:
        first = len(self.messages)
        for place, send in enumerate(asked["channels"]):
            if self.now - self.at > LATEST:
                return
            if place and any(number in self.opened for number in range(first, len(self.messages))):
                return
            if self._sent(f"{name}/{place}", send["channel"]):
                yield from self._until(self.now + duration(send["wait"], ""))

    def _sent(self, node: str, channel: str) -> bool:
        if self.now - self.at > LATEST or channel not in self.channels:
            return False
        self.messages.append((node, channel, self.now))
        self.at = self.now
        return True


WAIT = st.sampled_from(["1 hour", "5 hours", "30 hours", "4 days"])
SEND = st.fixed_dictionaries({"channel": st.sampled_from(CHANNELS), "template": st.just("t")}, optional={"wait": WAIT})
REACH = st.fixed_dictionaries({"channel": st.sampled_from(CHANNELS), "template": st.just("t"), "wait": WAIT})
PLAIN = st.one_of(
    st.fixed_dictionaries({"send": SEND}),
    st.fixed_dictionaries({"wait": WAIT}),
    st.just({"update": {"seen": 1}}),
    st.just({"exit": {}}),
    st.fixed_dictionaries({"cascade": st.fixed_dictionaries({"channels": st.lists(REACH, min_size=1, max_size=3)})}),
)


def _branch(condition: int, steps: list[Any], others: list[Any]) -> dict[str, Any]:
    path = {"if": {"trait": {"name": "number", "equals": condition}}, "steps": steps}
    return {"branch": {"paths": [path], "else": others}}


def _wait(name: str, timeout: str, steps: list[Any], others: list[Any]) -> dict[str, Any]:
    return {"wait": {"event": name, "timeout": timeout, "then": steps, "else": others}}


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, max_size=2)
    return st.one_of(
        st.builds(_branch, st.sampled_from(PEOPLE), some, some),
        st.builds(_wait, st.sampled_from("ab"), WAIT, some, some),
    )


STEP = st.recursive(PLAIN, _nested, max_leaves=4)


def named(step: dict[str, Any], count: Iterator[int]) -> dict[str, Any]:
    """The step and those in it with ids."""
    ((kind, asked),) = step.items()
    if kind == "branch":
        (path,) = asked["paths"]
        inner = {**path, "steps": [named(one, count) for one in path["steps"]]}
        asked = {"paths": [inner], "else": [named(one, count) for one in asked["else"]]}
    elif kind == "wait" and isinstance(asked, dict):
        asked = {**asked, **{side: [named(one, count) for one in asked[side]] for side in ("then", "else")}}
    return {"id": f"s{next(count)}", kind: asked}


def _document(steps: list[Any], loop: int | None, goal: bool) -> dict[str, Any]:
    found = [named(step, count) for count in [iter(range(1_000))] for step in steps]
    found.append({"id": "last", "update": {"seen": 2}})
    if loop is not None:
        back = {"id": "back", "jump": {"to": found[loop % len(found)]["id"], "times": 2}}
        found += [{"id": "pause", "wait": "20 hours"}, back]
    return {"steps": found, "goal": {"event": "goal"} if goal else None}


DOCUMENT = st.builds(_document, st.lists(STEP, min_size=1, max_size=4), st.none() | st.integers(0, 5), st.booleans())
EVENTS = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from(PEOPLE), st.sampled_from(["a", "b", "b", "goal"])), max_size=8
)
PAUSES = st.lists(st.sampled_from([1, 2, 7, 24, 100]), min_size=2, max_size=12)
REACH_OF = st.fixed_dictionaries({number: st.sets(st.sampled_from(CHANNELS)) for number in PEOPLE})


def agree(store: Warehouse, document: Any, events: Any, pauses: Any, reach: Any, opens: Any) -> None:
    for facts in ALL_FACTS:
        store.execute(f"DELETE FROM {facts.name}" if store.is_duckdb else f"TRUNCATE TABLE {facts.name}")
    live = journey(name="random", policy={}, **document)
    people = {}
    for number in PEOPLE:
        channels = tuple(sorted(reach[number]))
        customer(store, number, channels=CHANNELS, consents=channels)
        known = {"identifier_id": number, "customer_id": number, "name": "number", "value": str(number)}
        add(store, TRAITS, **known, occurred_at=BEFORE, event_id=f"n{number}")
        people[number] = Person(document, number, channels, NOW)
    now, waiting = NOW, sorted({(NOW + hour * HOUR + HOUR / 2, number, name) for hour, number, name in events})
    for pause in [0, *pauses]:
        now += pause * HOUR
        while waiting and waiting[0][0] <= now:
            at, number, name = waiting.pop(0)
            event(store, number, name, at)
            people[number].events.append((at, name))
        tick(store, [live], now)
        for person in people.values():
            person.tick(now)
        _open(store, people, opens, now)
    _compare(store, people)


def _open(store: Warehouse, people: dict[int, Person], opens: set[tuple[int, str]], now: datetime) -> None:
    """Whoever opens what comes on a channel opens it at once."""
    for number, channel in opens:
        person = people[number]
        person.opened |= {place for place, (_, on, _) in enumerate(person.messages) if on == channel}
    messages = store.table(MESSAGES)
    for number, channel in opens:
        mine = messages.filter(messages.customer_id == number, messages.channel == channel, messages.opened_at.isnull())
        if store.count(mine):
            opened = mine.mutate(opened_at=ibis.timestamp(naive(now)))
            store.replace(MESSAGES, ["message_id"], store.stage("opened", opened.cast(MESSAGES.schema)))


def _compare(store: Warehouse, people: dict[int, Person]) -> None:
    sent = [
        (row["customer_id"], row["step"], row["channel"], row["planned_at"])
        for row in store.rows(store.table(MESSAGES))
    ]
    passed = [(row["customer_id"], row["step"], row["way"]) for row in store.rows(store.table(PASSAGES))]
    done = [(row["customer_id"], row["step"]) for row in store.rows(store.table(EFFECTS))]
    over = {row["customer_id"]: row["state"] != "active" for row in store.rows(store.table(ENROLMENTS))}
    all_of = people.items()
    assert sorted(sent) == sorted((n, node, on, naive(at)) for n, p in all_of for node, on, at in p.messages)
    assert sorted(passed) == sorted((n, *one) for n, p in all_of for one in p.passed)
    assert sorted(done) == sorted((n, one) for n, p in all_of for one in p.effects)
    assert over == {n: p.is_over for n, p in all_of}


@pytest.fixture(scope="module")
def memory() -> Warehouse:
    warehouse = connect("duckdb://")
    warehouse.create(ALL_FACTS)
    return warehouse


RANDOM = {
    "document": DOCUMENT,
    "events": EVENTS,
    "pauses": PAUSES,
    "reach": REACH_OF,
    "opens": st.sets(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(CHANNELS)), max_size=3),
}
DRAWN = [Phase.explicit, Phase.reuse, Phase.generate]
"""Not made smaller: each try takes a second."""
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=25, deadline=None, suppress_health_check=QUIET, phases=DRAWN)
@given(**RANDOM)
def test_the_tick_does_for_all_at_once_what_the_model_does_for_each(memory: Warehouse, **case: Any) -> None:
    agree(memory, **case)


@settings(max_examples=1, deadline=None, suppress_health_check=QUIET, phases=DRAWN)
@given(**RANDOM)
def test_so_it_is_on_the_other_store(tmp_path_factory: pytest.TempPathFactory, **case: Any) -> None:
    agree(chdb(tmp_path_factory.mktemp("chdb")), **case)
