"""Every condition finds, on both stores, exactly the customers that plain Python finds."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from onevoice.customers.facts import PROFILES
from onevoice.segments.compiler import evaluated, is_population_relative, members, reads
from onevoice.segments.conditions.channels import REACTIONS
from onevoice.segments.conditions.kind import Asked
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.segments.tree import DEEPEST, condition
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.segments.shop import CUSTOMERS, TODAY, Row, Shop, fill, make

SHOP = make()
EVERYBODY = set(CUSTOMERS)


@pytest.fixture
def shop(store: Warehouse) -> Warehouse:
    fill(store, SHOP)
    store.append(
        SEGMENT_MEMBERS,
        SEGMENT_MEMBERS.arrow({"segment": ["even"] * 60, "customer_id": range(2, 122, 2), "entered_at": [TODAY] * 60}),
    )
    return store


def since(rows: list[Row], moment: str, days: int | None) -> list[Row]:
    start = TODAY - timedelta(days=days) if days else None
    return [row for row in rows if row[moment] <= TODAY and (start is None or row[moment] > start)]


def count(rows: list[Row]) -> Counter[int]:
    return Counter(row["customer_id"] for row in rows)


def orders(days: int | None = None) -> dict[int, list[float]]:
    found: dict[int, list[float]] = defaultdict(list)
    for row in since(SHOP.orders, "ordered_at", days):
        if row["status"] != "placed":
            continue
        found[row["customer_id"]].append(float(row["revenue"]))
    return found


def named(name: str, days: int | None = None, **properties: Any) -> list[Row]:
    rows = [row for row in since(SHOP.events, "occurred_at", days) if row["name"] == name]
    return [row for row in rows if properties.items() <= json.loads(row["properties"]).items()]


def trait(name: str, test: Callable[[Any], bool]) -> set[int]:
    newest: dict[int, Row] = {}
    for row in sorted(SHOP.traits, key=lambda row: (row["occurred_at"], row["event_id"])):
        if row["name"] == name:
            newest[row["customer_id"]] = row
    return {c for c, row in newest.items() if row["value"] is not None and test(json.loads(row["value"]))}


def is_number(value: Any) -> bool:
    return not isinstance(value, str)


def category_lines(days: int | None = None) -> dict[int, list[tuple[str | None, float]]]:
    categories = {row["product_id"]: row["category"] for row in SHOP.products} | {"p12": None}
    found: dict[int, list[tuple[str | None, float]]] = defaultdict(list)
    for row in since(SHOP.lines, "ordered_at", days):
        if not row["quantity"]:
            continue
        found[row["customer_id"]].append((categories[row["product_id"]], float(row["revenue"])))
    return found


def top(lines: list[tuple[str | None, float]]) -> str | None:
    groups = {name for name, _ in lines if name}
    keyed = [(-sum(n == g for n, _ in lines), -round(sum(r for n, r in lines if n == g), 4), g) for g in groups]
    return min(keyed)[2] if keyed else None


def preferring(channel: str) -> set[int]:
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for row in since(SHOP.events, "occurred_at", 90):
        if row["name"] in REACTIONS:
            found[row["customer_id"]][REACTIONS[row["name"]]] += 1
    messages = {row["message_id"]: row for row in SHOP.messages}
    for row in since(SHOP.news, "occurred_at", 90):
        if row["news"] in ("opened", "clicked") and not row["machine"]:
            message = messages[row["message_id"]]
            found[message["customer_id"]][message["channel"]] += 1
    return {customer for customer, counts in found.items() if counts[channel] == max(counts.values())}


def consenting() -> set[int]:
    last: dict[int, dict[bool, Any]] = defaultdict(dict)
    for row in SHOP.consents:
        granted = row["state"] == "granted"
        held = last[row["customer_id"]].get(granted)
        last[row["customer_id"]][granted] = max(held or row["occurred_at"], row["occurred_at"])
    return {c for c, at in last.items() if True in at and (False not in at or at[True] > at[False])}


def reachable() -> set[int]:
    listed = {row["address_hash"] for row in SHOP.suppressions}
    return {row["customer_id"] for row in SHOP.addresses if row["address_hash"] not in listed}


BREAD = {c for c, lines in category_lines().items() if sum(n == "Bread" for n, _ in lines) >= 2}

CASES: list[tuple[dict[str, Any], set[int]]] = [
    ({"trait": {"name": "city", "equals": "القاهرة"}}, trait("city", lambda v: v == "القاهرة")),
    ({"trait": {"name": "city", "one_of": ["Roma", "Iași"]}}, trait("city", lambda v: v in ("Roma", "Iași"))),
    ({"trait": {"name": "city", "not_equals": "Roma"}}, trait("city", lambda v: v != "Roma")),
    ({"trait": {"name": "city", "contains": "om"}}, trait("city", lambda v: "om" in v)),
    ({"trait": {"name": "city", "contains": "\"nell'"}}, trait("city", lambda v: "\"nell'" in v)),
    ({"trait": {"name": "likes", "contains": "wine"}}, trait("likes", lambda v: "wine" in v)),
    ({"trait": {"name": "age", "equals": 30}}, trait("age", lambda v: v == 30)),
    ({"trait": {"name": "age", "not_equals": 30}}, trait("age", lambda v: v != 30)),
    ({"trait": {"name": "age", "one_of": [17, "unknown"]}}, trait("age", lambda v: v in (17, "unknown"))),
    ({"trait": {"name": "age", "at_least": 30}}, trait("age", lambda v: is_number(v) and v >= 30)),
    ({"trait": {"name": "age", "at_most": 30}}, trait("age", lambda v: is_number(v) and v <= 30)),
    ({"trait": {"name": "age", "above": 30}}, trait("age", lambda v: is_number(v) and v > 30)),
    ({"trait": {"name": "age", "below": 30}}, trait("age", lambda v: is_number(v) and v < 30)),
    ({"trait": {"name": "vip", "equals": True}}, trait("vip", lambda v: v is True)),
    ({"trait": {"name": "vip", "exists": True}}, trait("vip", lambda v: True)),
    ({"event": {"name": "Product Viewed"}}, set(count(named("Product Viewed")))),
    (
        {"event": {"name": "Product Viewed", "at_least": 2, "within": "90 days"}},
        {c for c, n in count(named("Product Viewed", 90)).items() if n >= 2},
    ),
    (
        {"event": {"name": "Product Viewed", "at_most": 1}},
        EVERYBODY - {c for c, n in count(named("Product Viewed")).items() if n > 1},
    ),
    ({"event": {"name": "Product Viewed", "exactly": 0}}, EVERYBODY - set(count(named("Product Viewed")))),
    (
        {"event": {"name": "Product Viewed", "exactly": 2}},
        {c for c, n in count(named("Product Viewed")).items() if n == 2},
    ),
    (
        {"event": {"name": "Product Viewed", "where": {"colour": "red", "size": 2.5}}},
        set(count(named("Product Viewed", colour="red", size=2.5))),
    ),
    ({"event": {"name": "Product Viewed", "where": {"size": 2}}}, set(count(named("Product Viewed", size=2)))),
    ({"orders": {"at_least": 2}}, {c for c, paid in orders().items() if len(paid) >= 2}),
    ({"orders": {"at_most": 1}}, EVERYBODY - {c for c, paid in orders().items() if len(paid) > 1}),
    ({"orders": {"exactly": 0, "within": "90 days"}}, EVERYBODY - set(orders(90))),
    ({"orders": {"exactly": 1}}, {c for c, paid in orders().items() if len(paid) == 1}),
    ({"orders": {"measure": "average", "at_most": 30}}, {c for c, p in orders().items() if sum(p) / len(p) <= 30}),
    ({"orders": {"measure": "revenue", "at_most": 30}}, {c for c in EVERYBODY if sum(orders().get(c, [])) <= 30}),
    (
        {"orders": {"measure": "revenue", "at_least": 40, "within": "120 days"}},
        {c for c, paid in orders(120).items() if sum(paid) >= 40},
    ),
    (
        {"orders": {"measure": "average", "at_least": 30}},
        {c for c, paid in orders().items() if sum(paid) / len(paid) >= 30},
    ),
    ({"last_order": {"before": "60 days"}}, set(orders()) - set(orders(60))),
    ({"last_order": {"within": "60 days"}}, set(orders(60))),
    ({"category": {"name": "Bread", "at_least": 2}}, BREAD),
    (
        {"category": {"name": "Wine", "measure": "share", "at_least": 0.5}},
        {
            c
            for c, lines in category_lines().items()
            if sum(r for n, r in lines if n == "Wine") >= 0.5 * sum(r for _, r in lines)
        },
    ),
    (
        {"category": {"name": "Cheese", "measure": "top", "within": "200 days"}},
        {c for c, lines in category_lines(200).items() if top(lines) == "Cheese"},
    ),
    *(
        ({"prefers": {"channel": channel, "within": "90 days"}}, preferring(channel))
        for channel in ("email", "push", "sms", "whatsapp")
    ),
    ({"consent": {"channel": "email", "topic": "offers"}}, consenting()),
    ({"reachable": {"channel": "email"}}, reachable()),
    ({"segment": {"name": "even"}}, set(range(2, 122, 2))),
    ({"not": {"segment": {"name": "even"}}}, set(range(1, 121, 2))),
    (
        {
            "all": [
                {"not": {"last_order": {"within": "60 days"}}},
                {"any": [{"reachable": {"channel": "email"}}, {"segment": {"name": "even"}}]},
                {"not": {"all": [{"not": {"category": {"name": "Bread", "at_least": 2}}}]}},
            ]
        },
        (EVERYBODY - set(orders(60))) & (reachable() | set(range(2, 122, 2))) & BREAD,
    ),
]


def test_all_conditions_find_whom_plain_python_finds(shop: Warehouse) -> None:
    for document, expected in CASES:
        found = [row["customer_id"] for row in shop.rows(members(condition(document), shop, NOW))]
        assert len(found) == len(set(found)), document
        assert set(found) == expected, document


def test_conditions_may_be_nested_as_deep_as_allowed(shop: Warehouse) -> None:
    where: dict[str, Any] = {"orders": {"at_least": 1}}
    expected = set(orders())
    for level in range(DEEPEST):
        where = {"all": [where, {"reachable": {"channel": "email"}}]} if level % 3 else {"not": where}
        expected = expected & reachable() if level % 3 else EVERYBODY - expected
    found = {row["customer_id"] for row in shop.rows(members(condition(where), shop, NOW))}
    assert found == expected and 0 < len(expected) < len(EVERYBODY)


def test_among_some_customers_a_condition_finds_those_of_them_who_meet_it(shop: Warehouse) -> None:
    some = set(range(1, 121, 3))
    profiles = shop.table(PROFILES)
    table = profiles.filter(profiles.customer_id.isin(list(some)))
    for document, expected in CASES:
        for among in (table, some):
            found = {row["customer_id"] for row in shop.rows(members(condition(document), shop, NOW, among))}
            assert found == expected & some, document


def test_a_leaf_evaluated_for_one_customer_says_what_membership_says_with_the_values_seen(shop: Warehouse) -> None:
    for document, expected in CASES:
        asked = condition(document)
        if isinstance(asked, Asked):
            for customer in (1, 2, 3, 4):
                assert evaluated(asked, shop, NOW, customer).holds == (customer in expected), document
    customer = next(c for c, paid in orders().items() if len(paid) == 2)
    seen = evaluated(condition({"orders": {"at_least": 2}}), shop, NOW, customer).seen
    assert seen == {"count": 2}


def test_a_tree_says_what_it_reads() -> None:
    tree = {
        "all": [{"not": {"event": {"name": "A"}}}, {"last_order": {"before": "9 days"}}, {"segment": {"name": "s"}}]
    }
    found = reads(condition(tree))
    assert found.tables == {"events", "orders", "segment_members"} and found.events == {"A"}
    assert found.segments == {"s"} and found.windows
    assert not reads(condition({"orders": {"at_least": 1}})).windows
    assert not is_population_relative(condition(tree))


def test_the_cases_tell_conditions_apart() -> None:
    for document, expected in CASES:
        assert 0 < len(expected) < len(EVERYBODY), document


def test_the_shop_is_the_same_every_time() -> None:
    again: Shop = make()
    assert again == SHOP
