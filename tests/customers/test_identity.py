"""Identity: connected parts of links, the same whatever the order, exactly undone when a link goes."""

from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onevoice.customers.arrivals import Link
from onevoice.customers.facts import IDENTIFIERS, TABLES, TRAITS
from onevoice.customers.identifiers import ANONYMOUS, USER, Identifier
from onevoice.customers.identity import resolve
from onevoice.warehouse import Warehouse, connect

AT = datetime(2026, 1, 1)


def user(value: str) -> Identifier:
    return Identifier(USER, value)


def device(value: str) -> Identifier:
    return Identifier(ANONYMOUS, value)


def card(value: str) -> Identifier:
    return Identifier("loyalty_card", value)


def link(left: Identifier, right: Identifier) -> Link:
    return Link(left, right, "identify", "device", 1, "e", AT)


def take(warehouse: Warehouse, *links: Link, alone: tuple[Identifier, ...] = (), revision: int = 1) -> None:
    seen = dict.fromkeys([end for one in links for end in (one.left, one.right)] + list(alone), AT)
    with warehouse.transaction():
        resolve(warehouse, seen, links, revision, [TRAITS])


def groups(warehouse: Warehouse) -> set[frozenset[str]]:
    rows = warehouse.rows(warehouse.table(IDENTIFIERS))
    by_customer: dict[int, set[str]] = {}
    for row in rows:
        by_customer.setdefault(row["customer_id"], set()).add(row["value"])
    return {frozenset(values) for values in by_customer.values()}


def test_links_join_identifiers_across_batches_and_the_user_id_names_the_customer(store: Warehouse) -> None:
    take(store, link(user("anna"), device("phone")))
    take(store, link(user("anna"), card("c1")), alone=(device("stranger"),), revision=2)
    assert groups(store) == {frozenset({"anna", "phone", "c1"}), frozenset({"stranger"})}
    identifiers = store.table(IDENTIFIERS)
    assert {r["customer_id"] for r in store.rows(identifiers.filter(identifiers.value == "c1"))} == {user("anna").id}


def test_a_shared_tablet_joins_nobody_and_lets_go_of_whom_it_had_joined(store: Warehouse) -> None:
    take(store, link(user("anna"), device("tablet")))
    assert frozenset({"anna", "tablet"}) in groups(store)
    take(store, link(user("bruno"), device("tablet")), revision=2)
    assert groups(store) == {frozenset({"anna"}), frozenset({"bruno"}), frozenset({"tablet"})}


def test_links_past_a_shared_tablet_are_looked_at_though_it_joins_nobody(store: Warehouse) -> None:
    take(store, link(user("anna"), device("tablet")), link(user("bruno"), device("tablet")))
    take(store, link(user("bruno"), device("phone")), revision=2)
    take(store, link(user("anna"), card("c1")), revision=3)
    take(store, link(device("tablet"), card("c1")), revision=4)
    assert groups(store) == {frozenset({"anna", "c1"}), frozenset({"bruno", "phone"}), frozenset({"tablet"})}


def test_facts_follow_their_identifier_to_the_new_customer(store: Warehouse) -> None:
    take(store, alone=(card("c1"), user("anna")))
    row = {
        "identifier_id": [card("c1").id],
        "customer_id": [card("c1").id],
        "name": ["city"],
        "value": ['"Roma"'],
        "occurred_at": [AT],
        "event_id": ["e"],
    }
    store.append(TRAITS, TRAITS.arrow(row))
    take(store, link(user("anna"), card("c1")), revision=2)
    assert [(r["identifier_id"], r["customer_id"]) for r in store.rows(store.table(TRAITS))] == [
        (card("c1").id, user("anna").id)
    ]


@pytest.fixture(scope="module")
def memory() -> Warehouse:
    warehouse = connect("duckdb://")
    warehouse.create([*TABLES])
    return warehouse


POOL = [user("u1"), user("u2"), user("u3"), device("d1"), device("d2"), device("d3"), card("c1"), card("c2")]
PAIRS = st.tuples(st.sampled_from(POOL), st.sampled_from(POOL)).filter(lambda pair: pair[0] != pair[1])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(PAIRS, max_size=10), cut=st.integers(0, 10), seed=st.randoms())
def test_customers_depend_on_the_links_alone_not_on_their_order_or_batches(memory, pairs, cut, seed) -> None:
    links = [link(left, right) for left, right in pairs]
    shuffled = list(links)
    seed.shuffle(shuffled)
    results = []
    one_by_one = [[], *([one] for one in shuffled)]
    for batches in ([links], [shuffled[:cut], shuffled[cut:]], [shuffled, links], one_by_one):
        for facts in TABLES:
            memory.execute(f"DELETE FROM {facts.name}")
        for revision, batch in enumerate(batches, 1):
            take(memory, *batch, alone=tuple(POOL), revision=revision)
        results.append(sorted((r["identifier_id"], r["customer_id"]) for r in memory.rows(memory.table(IDENTIFIERS))))
    assert all(result == results[0] for result in results)
