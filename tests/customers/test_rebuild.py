"""Rules that change: grouped anew, all is as if the new rules had always held, and the dry run says so before."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from onevoice.customers.decisions import REBUILD
from onevoice.customers.facts import IDENTIFIERS
from onevoice.customers.identifiers import NAMESPACES, RULES, Namespace, Rules
from onevoice.customers.schemas import DecisionEntry
from onevoice.engine.load import TABLES, take
from onevoice.engine.merging import rebuilt
from onevoice.warehouse import Warehouse, connect
from tests.conftest import NOW
from tests.customers.test_unmerge import EVENTS, SOURCES, decided, event, named, state, world

TIGHT = Rules({**NAMESPACES, "loyalty_card": Namespace("proven", limit=1, priority=10)}, largest_profile=3)
LOOSE = Rules({**NAMESPACES, "user_id": replace(NAMESPACES["user_id"], limit=5)})

TOGETHER = [
    (["user_id:u1", "loyalty_card:c1"], "order", 1, 0),
    (["user_id:u1", "loyalty_card:c2"], "order", 1, 1),
    (["user_id:u2", "loyalty_card:c2"], "traits", 1, 2),
]


@pytest.fixture(scope="module")
def memory() -> Warehouse:
    warehouse = connect("duckdb://")
    warehouse.create(TABLES)
    return warehouse


def rebuild(warehouse: Warehouse, rules: Rules) -> None:
    with warehouse.transaction():
        take(warehouse, [decided(DecisionEntry("", REBUILD, "eva", "", NOW))], SOURCES, b"secret", 9, rules)


def customers(warehouse: Warehouse) -> dict[int, int]:
    return {row["identifier_id"]: row["customer_id"] for row in warehouse.rows(warehouse.table(IDENTIFIERS))}


@given(events=EVENTS)
@example(events=TOGETHER)  # each of the rules below makes something else of it
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.parametrize(("before", "after"), [(RULES, TIGHT), (TIGHT, LOOSE), (LOOSE, RULES)])
def test_what_is_rebuilt_is_as_if_the_rules_had_always_held(
    before: Rules, after: Rules, memory: Warehouse, events: Any
) -> None:
    entries = [event(number, *one) for number, one in enumerate(events)]
    always = world(memory, [entries], after)
    world(memory, [entries], before)
    was, foreseen = customers(memory), rebuilt(memory, after)
    rebuild(memory, after)
    assert state(memory) == always
    became = customers(memory)
    assert foreseen["moved"]["identifiers"] == sum(was[one] != became[one] for one in was)
    assert (foreseen["profiles_before"], foreseen["profiles_after"]) == (
        len(set(was.values())),
        len(set(became.values())),
    )
    assert rebuilt(memory, after)["moved"]["identifiers"] == 0


def test_the_rules_above_differ_in_what_they_make_of_it(duck: Warehouse) -> None:
    told = [event(number, *one) for number, one in enumerate(TOGETHER)]
    made = []
    for rules in (RULES, TIGHT, LOOSE):
        world(duck, [told], rules)
        made.append(len(set(customers(duck).values())))
    assert made[1] > made[2] and made[0] > made[2]


def test_a_value_blocked_after_it_came_joins_nobody_any_more(duck: Warehouse) -> None:
    told = [event(0, ["user_id:u1", "loyalty_card:c1"], "order", 1, 0)]
    told += [event(1, ["user_id:u2", "loyalty_card:c1"], "order", 1, 1)]
    loose = Rules({**NAMESPACES, "user_id": replace(NAMESPACES["user_id"], limit=5)})
    world(duck, [told], loose)
    assert len(set(customers(duck).values())) == 1
    blocking = replace(loose, blocked=frozenset({"c1"}))
    assert rebuilt(duck, blocking) == {
        "profiles_before": 1,
        "profiles_after": 3,
        "split": 1,
        "merged": 0,
        "moved": {"identifiers": 2, "events": 1, "orders": 1, "consents": 0, "traits": 0},
    }
    rebuild(duck, blocking)
    found = customers(duck)
    assert len(set(found.values())) == 3
    assert found[named("loyalty_card:c1").id] == named("loyalty_card:c1").id
    rebuild(duck, loose)
    assert len(set(customers(duck).values())) == 1
