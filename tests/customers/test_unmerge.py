"""Merge and unmerge are exact: after the undo every table is as if the merge had never been, whatever came when."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onevoice.customers.decisions import Decision, entry, undoing
from onevoice.customers.facts import IDENTIFIERS, IDENTITY_DECISIONS
from onevoice.customers.identifiers import RULES, Identifier, Rules
from onevoice.database.inbox import Entry, Kind
from onevoice.engine.load import TABLES, take
from onevoice.engine.merging import preview
from onevoice.insights import metrics
from onevoice.segments.compiler import members
from onevoice.segments.tree import condition
from onevoice.warehouse import Warehouse, connect
from tests.conftest import NOW

SOURCES = {1: "server", 2: "web", 3: "till"}
PEOPLE = ["user_id:u1", "user_id:u2", "loyalty_card:c1", "loyalty_card:c2", "anonymous_id:d1", "email:a@example.com"]
SEGMENTS = (
    {"event": {"name": "Order Completed", "at_least": 2}},
    {"trait": {"name": "city", "equals": "Roma"}},
)
DERIVED = {"revision", "arrival"}  # numbers of loads
"""Says when a row was written, not what is so."""


def named(text: str) -> Identifier:
    return Identifier(*text.split(":"))


def event(number: int, who: Sequence[str], what: str, source: int, days: int) -> Entry:
    """An event that names up to two identifiers."""
    call: dict[str, Any] = {"context": {"externalIds": []}}
    for text in who:
        one = named(text)
        if one.namespace == "user_id":
            call["previousId" if "userId" in call else "userId"] = one.value
        elif one.namespace == "anonymous_id":
            call["anonymousId"] = one.value
        else:
            call["context"]["externalIds"].append({"type": one.namespace, "id": one.value})
    kind = "track"
    if what == "order":
        call |= {
            "event": "Order Completed",
            "properties": {"order_id": f"o{number}", "revenue": number + 1, "products": []},
        }
    else:
        kind = "alias" if "previousId" in call else "identify"
        call |= {"traits": {"city": ["Roma", "Milano"][number % 2], "email": f"t{number}@example.com"}}
    at = NOW + timedelta(days=days)
    told = {"type": kind, "message_id": f"m{number}", "occurred_at": at.isoformat(), "call": call}
    return Entry(source, Kind.EVENT, at, json.dumps(told).encode())


def consent(number: int, text: str) -> Entry:
    one = named(text)
    told = {
        "identifier_id": one.id,
        "channel": "email",
        "topic": "offers",
        "state": ["granted", "withdrawn"][number % 2],
    }
    told |= {
        "occurred_at": (NOW + timedelta(minutes=number)).isoformat(),
        "namespace": one.namespace,
        "value": one.value,
    }
    return Entry(0, Kind.CONSENT, NOW, json.dumps(told).encode())


def decided(told: Any) -> Entry:
    return Entry(0, Kind.IDENTITY, NOW, msgspec.json.encode(told))


def merge(one: str, other: str, minutes: int = 0) -> Any:
    return entry(Decision("merge", named(one), named(other), "eva", "same hand", NOW + timedelta(minutes=minutes)))


def part(one: str, other: str) -> Any:
    return entry(Decision("part", named(one), named(other), "eva", "father and son", NOW))


def empty(warehouse: Warehouse) -> None:
    for facts in TABLES:
        warehouse.execute(f"DELETE FROM {facts.name}" if warehouse.is_duckdb else f"TRUNCATE TABLE {facts.name}")


def world(warehouse: Warehouse, batches: Sequence[Sequence[Entry]], rules: Rules = RULES) -> dict[str, Any]:
    """All that the warehouse says once the batches are in."""
    empty(warehouse)
    for revision, batch in enumerate(batches, 1):
        if batch:
            with warehouse.transaction():
                take(warehouse, batch, SOURCES, b"secret", revision, rules)
    return state(warehouse)


def state(warehouse: Warehouse) -> dict[str, Any]:
    """Every table, who is in which segment, the KPIs."""
    said: dict[str, Any] = {}
    for facts in TABLES:
        if facts is not IDENTITY_DECISIONS:
            told = warehouse.rows(warehouse.table(facts))
            said[facts.name] = sorted(repr({k: v for k, v in row.items() if k not in DERIVED}) for row in told)
    # The order in which a profile's traits stand in its text says nothing.
    told = warehouse.rows(warehouse.table(next(f for f in TABLES if f.name == "profiles")))
    said["profiles"] = sorted(repr({**row, "traits": sorted(json.loads(row["traits"]).items())}) for row in told)
    for number, where in enumerate(SEGMENTS):
        inside = warehouse.rows(members(condition(where), warehouse, NOW + timedelta(days=400)))
        said[f"segment {number}"] = sorted(row["customer_id"] for row in inside)
    said["identities"] = metrics.identities(warehouse)
    said["overview"] = metrics.overview(warehouse, *metrics.ALWAYS)
    return said


EVENTS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=2, unique=True),
        st.sampled_from(["order", "traits"]),
        st.sampled_from(list(SOURCES)),
        st.integers(0, 300),
    ),
    min_size=1,
    max_size=8,
)
PAIRS = st.lists(st.sampled_from(PEOPLE), min_size=2, max_size=2, unique=True)


def check(warehouse: Warehouse, events: Any, pairs: Any, cuts: tuple[int, int], refused: bool) -> None:
    entries = [event(number, *one) for number, one in enumerate(events)]
    entries += [consent(number, who[0]) for number, (who, *_) in enumerate(events) if number % 3 == 0]
    never = world(warehouse, [entries])
    told = [(part if refused else merge)(*pair) for pair in pairs]
    undone = [undoing(one, "eva", "no", NOW + timedelta(hours=1)) for one in told]
    first, second = sorted(cuts)
    batches = [
        [*entries[:first], *map(decided, told)],
        entries[first:second],
        [*map(decided, undone), *entries[second:], decided(told[0])],  # the same word again changes nothing
    ]
    assert world(warehouse, batches) == never


@pytest.fixture(scope="module")
def memory() -> Warehouse:
    warehouse = connect("duckdb://")
    warehouse.create(TABLES)
    return warehouse


BOUNDS = st.tuples(st.integers(0, 10), st.integers(0, 10))


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=EVENTS, pairs=st.lists(PAIRS, min_size=1, max_size=3), cuts=BOUNDS, refused=st.booleans())
def test_what_is_undone_has_never_been(memory, events, pairs, cuts, refused) -> None:
    check(memory, events, pairs, cuts, refused)


def test_what_is_undone_has_never_been_on_both_stores(store: Warehouse) -> None:
    events = [
        (["user_id:u1", "anonymous_id:d1"], "traits", 2, 0),
        (["loyalty_card:c1"], "order", 3, 1),
        (["user_id:u2", "anonymous_id:d1"], "order", 2, 2),
        (["user_id:u2", "loyalty_card:c2"], "traits", 1, 3),
    ]
    check(store, events, [["user_id:u1", "loyalty_card:c1"], ["user_id:u1", "user_id:u2"]], (2, 3), False)


def customers(warehouse: Warehouse) -> set[frozenset[str]]:
    by_customer: dict[int, set[str]] = {}
    for row in warehouse.rows(warehouse.table(IDENTIFIERS)):
        by_customer.setdefault(row["customer_id"], set()).add(f"{row['namespace']}:{row['value']}")
    return {frozenset(one) for one in by_customer.values()}


def test_a_part_holds_when_the_same_link_comes_again_and_the_undo_brings_the_link_back(store: Warehouse) -> None:
    link = [event(0, ["user_id:u1", "loyalty_card:c1"], "traits", 1, 0)]
    told = part("user_id:u1", "loyalty_card:c1")
    again = [event(1, ["user_id:u1", "loyalty_card:c1"], "traits", 1, 1)]
    world(store, [link, [decided(told)], again])
    assert customers(store) == {frozenset({"user_id:u1"}), frozenset({"loyalty_card:c1"})}
    warned = store.rows(store.table(next(f for f in TABLES if f.name == "identity_warnings")))
    assert [row["rule"] for row in warned] == ["apart"]
    with store.transaction():
        take(store, [decided(undoing(told, "eva", "", NOW))], SOURCES, b"secret", 9)
    assert customers(store) == {frozenset({"user_id:u1", "loyalty_card:c1"})}


def test_a_merge_made_before_an_identifier_came_counts_when_it_comes(duck: Warehouse) -> None:
    world(duck, [[decided(merge("user_id:u1", "loyalty_card:c1"))], [event(0, ["user_id:u1"], "order", 1, 0)]])
    with duck.transaction():
        take(duck, [event(1, ["loyalty_card:c1"], "order", 3, 1)], SOURCES, b"secret", 9)
    assert customers(duck) == {frozenset({"user_id:u1", "loyalty_card:c1"})}


def test_a_preview_says_what_the_merge_then_does_and_changes_nothing(duck: Warehouse) -> None:
    world(duck, [[event(0, ["user_id:u1"], "order", 1, 0), event(1, ["loyalty_card:c1"], "order", 3, 1)]])
    told = merge("user_id:u1", "loyalty_card:c1")
    before = customers(duck)
    shown = preview(duck, told, RULES)
    assert customers(duck) == before
    assert shown["after"] == [
        {"customer_id": str(named("user_id:u1").id), "identifiers": ["loyalty_card:c1", "user_id:u1"]}
    ]
    assert shown["moved"]["events"] == shown["moved"]["orders"] == 1
    with duck.transaction():
        take(duck, [decided(told)], SOURCES, b"secret", 9)
    assert customers(duck) == {frozenset(shown["after"][0]["identifiers"])}


def test_people_who_share_a_tablet_and_are_merged_by_hand_share_it_no_more(duck: Warehouse) -> None:
    shared = [event(n, [f"user_id:u{n}", "anonymous_id:d1"], "traits", 2, n) for n in (1, 2)]
    told = merge("user_id:u1", "user_id:u2")
    world(duck, [shared, [decided(told)]])
    assert customers(duck) == {frozenset({"user_id:u1", "user_id:u2", "anonymous_id:d1"})}
    with duck.transaction():
        take(duck, [decided(undoing(told, "eva", "", NOW))], SOURCES, b"secret", 9)
    assert customers(duck) == {frozenset({one}) for one in ("user_id:u1", "user_id:u2", "anonymous_id:d1")}
