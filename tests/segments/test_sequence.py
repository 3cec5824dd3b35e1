"""Sequences find, on both stores, exactly the histories that trying out every choice of rows finds."""

import json
import random
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some

from onevoice.customers.facts import PROFILES
from onevoice.events.facts import EVENTS
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.compiler import evaluated, members
from onevoice.segments.tree import condition
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.segments.shop import TODAY

HOURS = 30
"""How far back the histories go; so few that things often happen at the same instant."""

PEOPLE = range(1, 241)


def histories() -> dict[int, list[dict[str, Any]]]:
    """Up to seven events each, of three names, about one of two items or none, in one of two shops."""
    dice = random.Random(5)
    return {
        customer: [
            {
                "name": dice.choice("ABC"),
                "hour": dice.randrange(HOURS),
                "item": dice.choice(["x", "y", None]),
                "shop": dice.choice(["x", "z"]),
            }
            for _ in range(dice.randrange(8))
        ]
        for customer in PEOPLE
    }


HISTORIES = histories()


@pytest.fixture
def past(store: Warehouse) -> Warehouse:
    profiles = [
        {"customer_id": one, "locale": "en", "time_zone": "UTC", "traits": "{}", "first_seen_at": TODAY}
        for one in PEOPLE
    ]
    events = [
        {
            "event_id": f"{customer}-{number}",
            "source_id": 1,
            "type": "track",
            "name": row["name"],
            "channel": "web",
            "identifier_id": customer,
            "customer_id": customer,
            "occurred_at": TODAY - timedelta(hours=HOURS - row["hour"] - 1),
            "received_at": TODAY,
            "properties": json.dumps({name: row[name] for name in ("item", "shop") if row[name] is not None}),
        }
        for customer, rows in HISTORIES.items()
        for number, row in enumerate(rows)
    ]
    for facts, rows in ((PROFILES, profiles), (EVENTS, events)):
        store.append(facts, facts.arrow({name: [row.get(name) for row in rows] for name in facts.columns}))
    return store


def found_by_trying(steps: list[dict[str, Any]]) -> set[int]:
    return {customer for customer, rows in HISTORIES.items() if holds(rows, steps)}


def holds(rows: list[dict[str, Any]], steps: list[dict[str, Any]]) -> bool:
    """Whether some choice of one row per step that is there meets everything said."""
    present = [number for number, step in enumerate(steps, start=1) if not step.get("absent")]
    candidates = [[row for row in rows if row["name"] == steps[number - 1]["event"]] for number in present]
    return any(
        all(
            allowed(rows, steps, number, dict(zip(present, choice, strict=True))) for number in range(1, len(steps) + 1)
        )
        for choice in product(*candidates)
    )


def allowed(rows: list[dict[str, Any]], steps: list[dict[str, Any]], number: int, chosen: dict[int, Any]) -> bool:
    step = steps[number - 1]
    if number == 1:
        return True
    last = chosen[max(one for one in chosen if one < number)]["hour"]
    if not step.get("absent"):
        return fits(chosen[number], step, last, chosen)
    if "within" in step:
        if last + step["within"] > HOURS - 1:
            return False
        end = last + step["within"] + 1
    else:
        end = min((row["hour"] for one, row in chosen.items() if one > number), default=HOURS)
    return not any(
        row["name"] == step["event"] and fits(row, {**step, "within": None}, last, chosen) and row["hour"] < end
        for row in rows
    )


def fits(row: dict[str, Any], step: dict[str, Any], last: int, chosen: dict[int, Any]) -> bool:
    gap = row["hour"] - last
    if gap <= 0 or gap < step.get("after", 0) or gap > (step.get("within") or HOURS):
        return False
    for name, wanted in step.get("where", {}).items():
        for word in ("same_as", "differs_from"):
            if word in wanted:
                theirs, mine = chosen[wanted[word]][wanted.get("property", name)], row[name]
                if theirs is None or mine is None or (theirs == mine) != (word == "same_as"):
                    return False
    return True


def document(steps: list[dict[str, Any]]) -> dict[str, Any]:
    hours = {"within", "after"}
    return {"sequence": {"steps": [{k: f"{v} hours" if k in hours else v for k, v in step.items()} for step in steps]}}


@some.composite
def sequences(draw: some.DrawFn) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for index in range(draw(some.integers(2, 4))):
        step: dict[str, Any] = {"event": draw(some.sampled_from("ABC"))}
        if index:
            if draw(some.booleans()):
                step["absent"] = True
            if draw(some.booleans()):
                step["within"] = draw(some.integers(1, 20))
            if draw(some.integers(0, 3)) == 0:
                step["after"] = draw(some.integers(1, 5))
                assume(step["after"] <= step.get("within", 99))
            earlier = [number + 1 for number, one in enumerate(steps) if not one.get("absent")]
            if draw(some.booleans()):
                word = draw(some.sampled_from(["same_as", "differs_from"]))
                wanted: dict[str, Any] = {word: draw(some.sampled_from(earlier))}
                if draw(some.booleans()):
                    wanted["property"] = draw(some.sampled_from(["item", "shop"]))
                step["where"] = {draw(some.sampled_from(["item", "shop"])): wanted}
        steps.append(step)
    return steps


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=sequences())
def test_a_sequence_finds_whom_trying_every_choice_finds(past: Warehouse, steps: list[dict[str, Any]]) -> None:
    asked = condition(document(steps))
    found = {row["customer_id"] for row in past.rows(members(asked, past, NOW))}
    assert found == found_by_trying(steps)
    some_of_them = list(range(1, 60))
    narrowed = {row["customer_id"] for row in past.rows(members(asked, past, NOW, some_of_them))}
    assert narrowed == found & set(some_of_them)
    assert evaluated(asked, past, NOW, 7).holds == (7 in found)


def test_the_histories_tell_sequences_apart() -> None:
    for steps in (
        [{"event": "A"}, {"event": "B"}],
        [{"event": "A"}, {"event": "B", "absent": True, "within": 10}],
        [{"event": "A"}, {"event": "B", "absent": True}, {"event": "C"}],
        [{"event": "A"}, {"event": "A", "where": {"item": {"same_as": 1}}}],
        [{"event": "A"}, {"event": "B", "where": {"item": {"differs_from": 1, "property": "shop"}}, "after": 3}],
    ):
        assert 10 < len(found_by_trying(steps)) < len(PEOPLE) - 10, steps


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        ([{"event": "A"}], r"sequence\.steps: expected from 2 to 10 steps; got 1"),
        ([{"event": "A", "absent": True}, {"event": "B"}], r"steps\[0\]: the first step must be there"),
        ([{"event": "A", "within": "1 day"}, {"event": "B"}], r"steps\[0\]: the first step has no step before"),
        ([{"event": "A"}, {}], r"steps\[1\]: give exactly one of event \(a name\), of \(orders, lines"),
        ([{"event": "A"}, {"of": "lines", "where": {"colour": "red"}}], r"steps\[1\]: lines have no 'colour'"),
        ([{"of": "lines"}, {"event": "B", "where": {"x": {"same_as": 1}}}], r"steps\[0\]: lines have no 'x'"),
        ([{"event": "A"}, {"event": "B", "where": {"x": {"same_as": 2}}}], r"where\.x: there is no step 2 to refer to"),
        (
            [{"event": "A"}, {"event": "B", "absent": True}, {"event": "C", "where": {"x": {"same_as": 2}}}],
            r"steps\[2\]\.where\.x: step 2 is absent",
        ),
        (
            [{"event": "A"}, {"event": "B", "within": "1 hour", "after": "1 day"}],
            "within must not be shorter than after",
        ),
    ],
)
def test_a_sequence_that_makes_no_sense_is_refused_with_its_place(steps: list[Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        condition({"sequence": {"steps": steps}})
