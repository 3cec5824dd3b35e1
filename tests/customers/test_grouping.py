"""Which links count: limits, proofs, sharing and size, decided by the links alone and said where one is refused."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onevoice.customers.arrivals import Link
from onevoice.customers.facts import IDENTIFIERS, IDENTITY_WARNINGS, TABLES
from onevoice.customers.identifiers import Identifier, Rules, rules
from onevoice.customers.identity import resolve
from onevoice.warehouse import Warehouse, connect

AT = datetime(2026, 1, 1)
STRICT = rules({"namespaces": {"loyalty_card": {"limit": 2}, "crm": {"limit": 2, "shared_over": 2}}}, {})


def named(text: str) -> Identifier:
    return Identifier(*text.split(":"))


def link(left: str, right: str, trust: str = "proven", day: int = 0, kind: str = "external") -> Link:
    return Link(named(left), named(right), kind, trust, 1, f"e{day}{left}{right}", AT + timedelta(days=day))


def groups(warehouse: Warehouse, *batches: list[Link], rules: Rules = STRICT) -> set[frozenset[str]]:
    for revision, links in enumerate(batches, 1):
        seen: dict[Identifier, datetime] = {}
        for one in links:
            for end in (one.left, one.right):
                seen[end] = min(one.linked_at, seen.get(end, one.linked_at))
        with warehouse.transaction():
            resolve(warehouse, seen, links, revision, [], rules)
    by_customer: dict[int, set[str]] = {}
    for row in warehouse.rows(warehouse.table(IDENTIFIERS)):
        by_customer.setdefault(row["customer_id"], set()).add(f"{row['namespace']}:{row['value']}")
    return {frozenset(one) for one in by_customer.values()}


def warned(warehouse: Warehouse) -> list[tuple[str, str]]:
    rows = warehouse.rows(warehouse.table(IDENTITY_WARNINGS))
    return sorted((row["rule"], row["namespace"]) for row in rows)


def test_the_card_beyond_the_limit_stays_alone_and_the_warning_names_rule_and_event(store: Warehouse) -> None:
    links = [link("user_id:u", f"loyalty_card:c{n}", day=n) for n in range(3)]
    assert groups(store, [links[2]], [links[0]], [links[1]]) == {
        frozenset({"user_id:u", "loyalty_card:c0", "loyalty_card:c1"}),
        frozenset({"loyalty_card:c2"}),
    }
    (row,) = store.rows(store.table(IDENTITY_WARNINGS))
    assert (row["rule"], row["namespace"], row["event_id"]) == ("limit", "loyalty_card", links[2].event_id)
    assert {row["identifier_id"], row["other_id"]} == {links[2].left.id, links[2].right.id}


def test_a_limit_of_a_period_lets_the_next_card_in_when_the_period_is_over(duck: Warehouse) -> None:
    links = [link("user_id:u", f"loyalty_card:c{n}", day=n * 200) for n in range(4)]
    assert len(groups(duck, links)) == 1


def test_a_card_stays_with_whom_a_till_proved_whoever_claims_it_and_however_early(duck: Warehouse) -> None:
    claims = [link(f"user_id:thief{n}", "loyalty_card:c", "claimed", day=-9) for n in range(9)]
    found = groups(duck, claims, [link("user_id:owner", "loyalty_card:c", day=5)])
    assert frozenset({"user_id:owner", "loyalty_card:c"}) in found
    assert warned(duck) == [("limit", "user_id")] * 9


def test_a_value_seen_with_too_many_joins_nobody(duck: Warehouse) -> None:
    links = [link(f"user_id:u{n}", "crm:x", day=n) for n in range(3)]
    assert frozenset({"user_id:u0", "crm:x"}) in groups(duck, links[:2])
    assert groups(duck, links[2:]) == {frozenset({one}) for one in ("user_id:u0", "user_id:u1", "user_id:u2", "crm:x")}
    assert warned(duck) == [("shared", "crm")]


def test_a_claimed_e_mail_joins_nobody_until_it_is_proven(duck: Warehouse) -> None:
    claimed = link("user_id:u", "email:a@example.com", "claimed")
    assert len(groups(duck, [claimed])) == 2
    assert warned(duck) == [("unproven", "email")]
    assert len(groups(duck, [link("user_id:u", "email:a@example.com", day=3)])) == 1
    assert warned(duck) == []


def test_two_user_ids_are_one_customer_by_a_proven_alias_only(duck: Warehouse) -> None:
    assert len(groups(duck, [link("user_id:new", "user_id:old", "claimed", kind="alias")])) == 2
    assert len(groups(duck, [link("user_id:new", "user_id:old", kind="alias")])) == 1


def test_no_profile_grows_without_end(duck: Warehouse) -> None:
    small = rules({"largest_profile": 10}, {})
    found = groups(duck, [link("user_id:u", f"anonymous_id:d{n}", "device", n) for n in range(20)], rules=small)
    assert max(map(len, found)) == 10
    assert warned(duck) == [("size", "")] * 11


@pytest.fixture(scope="module")
def memory() -> Warehouse:
    warehouse = connect("duckdb://")
    warehouse.create(TABLES)
    return warehouse


POOL = ["user_id:u1", "user_id:u2", "user_id:u3", "anonymous_id:d1", "loyalty_card:c1", "loyalty_card:c2"]
POOL += ["loyalty_card:c3", "crm:x", "email:a@example.com"]
LINKS = st.lists(
    st.builds(
        link,
        st.sampled_from(POOL[:5]),
        st.sampled_from(POOL[3:]),
        st.sampled_from(["proven", "claimed", "device"]),
        st.integers(0, 500),
        st.sampled_from(["external", "alias"]),
    ).filter(lambda one: one.left != one.right),
    max_size=12,
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(links=LINKS, cuts=st.lists(st.integers(0, 12), max_size=3), seed=st.randoms())
def test_groups_and_warnings_are_a_function_of_the_links_alone(memory, links, cuts, seed) -> None:
    def told(batches: list[list[Link]]) -> object:
        for facts in TABLES:
            memory.execute(f"DELETE FROM {facts.name}")
        groups(memory, *[batch for batch in batches if batch])
        said = []
        for facts in TABLES:
            rows = memory.rows(memory.table(facts))
            said.append(sorted(repr({k: v for k, v in row.items() if k != "revision"}) for row in rows))
        return said

    shuffled = list(links)
    seed.shuffle(shuffled)
    edges = [0, *sorted(cuts), len(shuffled)]
    pieces = [shuffled[start:end] for start, end in pairwise(edges)]
    assert told(pieces) == told([links])
