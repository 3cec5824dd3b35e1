"""Aggregates, times, RFM, affinity, coupons, places, anniversaries, lists, shares: as plain Python has them."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import ceil
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from onevoice.kernel.errors import InvalidInput
from onevoice.segments.compiler import evaluated, is_population_relative, members, reads
from onevoice.segments.conditions.kind import Asked
from onevoice.segments.conditions.rfm import GROUPS
from onevoice.segments.facts import LIST_ENTRIES
from onevoice.segments.tree import condition
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.segments.shop import CUSTOMERS, TODAY, Row, fill, make

SHOP = make()
EVERYBODY = set(CUSTOMERS)
CATEGORY = {row["product_id"]: row for row in SHOP.products}
LISTED = {30, 41, 50, 601, 999_999}


@pytest.fixture
def shop(store: Warehouse) -> Warehouse:
    fill(store, SHOP)
    names: dict[str, list[object]] = {"list": ["vip"] * 5, "snapshot": [1] * 5, "identifier_id": sorted(LISTED)}
    store.append(LIST_ENTRIES, LIST_ENTRIES.arrow(names))
    return store


Rows = dict[int, list[Row]]


def past(rows: list[Row], moment: str, test: Callable[[Row], bool] = lambda row: True) -> Rows:
    """Each customer's rows up to now that pass a test, by time."""
    found: Rows = defaultdict(list)
    for row in sorted(rows, key=lambda row: row[moment]):
        if row[moment] <= TODAY and test(row):
            found[row["customer_id"]].append(row)
    return found


def days_ago(row: Row, moment: str = "ordered_at") -> float:
    return (TODAY - row[moment]) / timedelta(days=1)


def orders(test: Callable[[Row], bool] = lambda row: True) -> Rows:
    return past(SHOP.orders, "ordered_at", lambda row: row["status"] == "placed" and test(row))


def lines(test: Callable[[Row], bool] = lambda row: True) -> Rows:
    return past(SHOP.lines, "ordered_at", lambda row: row["quantity"] > 0 and test(row))


def viewed(test: Callable[[Row], bool] = lambda row: True) -> Rows:
    return past(SHOP.events, "occurred_at", lambda row: row["name"] == "Product Viewed" and test(row))


def of(row: Row, name: str) -> Any:
    return json.loads(row["properties"]).get(name)


def product(row: Row, name: str) -> Any:
    return CATEGORY.get(row["product_id"], {}).get(name)


def having(rows: Rows, test: Callable[[list[Row]], bool]) -> set[int]:
    return {customer for customer, mine in rows.items() if test(mine)}


def revenue(rows: list[Row]) -> float:
    return float(sum(row["revenue"] for row in rows))


def top(values: dict[int, float], percent: float) -> set[int]:
    edge = sorted(values.values(), reverse=True)[ceil(len(values) * percent / 100) - 1]
    return {customer for customer, value in values.items() if value >= edge}


def most_frequent(values: list[str]) -> str | None:
    counted = Counter(values)
    return min(counted, key=lambda value: (-counted[value], value)) if counted else None


def newest(name: str) -> dict[int, Any]:
    rows = sorted((row for row in SHOP.traits if row["name"] == name), key=lambda r: (r["occurred_at"], r["event_id"]))
    found = {row["customer_id"]: row["value"] for row in rows}
    return {customer: json.loads(value) for customer, value in found.items() if value is not None}


SPENT = {customer: revenue(mine) for customer, mine in orders().items()}
NORTH = {customer: revenue(mine) for customer, mine in orders(lambda row: row["store_id"] == "north").items()}
RECENT, EARLIER = orders(lambda row: days_ago(row) < 60), orders(lambda row: 60 <= days_ago(row) < 120)


def scores(values: dict[int, float]) -> dict[int, int]:
    ordered = sorted(values.values())
    edges = [ordered[ceil(len(ordered) * fifth / 5) - 1] for fifth in (1, 2, 3, 4)]
    return {customer: 1 + sum(value > edge for edge in edges) for customer, value in values.items()}


RECENCY = scores(
    {customer: mine[-1]["ordered_at"].replace(tzinfo=UTC).timestamp() for customer, mine in orders().items()}
)
FREQUENCY = scores({customer: len(mine) for customer, mine in orders().items()})
MONETARY = scores(SPENT)


def gap(mine: list[Row], days: int, within: int) -> bool:
    """Whether one of the window came after so long a silence."""
    moments = [row["occurred_at"] for row in mine]
    return any(
        TODAY - after < timedelta(days=within) and after - before >= timedelta(days=days)
        for before, after in pairwise(moments)
    )


def unused(mine: list[Row]) -> int:
    held, spent = {}, {}
    for row in mine:
        (held if row["action"] in ("entered", "applied") else spent)[row["coupon"]] = row["occurred_at"]
    return sum(coupon not in spent or spent[coupon] < at for coupon, at in held.items())


def coupons(test: Callable[[Row], bool] = lambda row: True) -> Rows:
    return past(SHOP.coupons, "occurred_at", test)


def carts(state: str, hours: float, test: Callable[[Row], bool] = lambda cart: True) -> set[int]:
    """Who has such a cart; bought is also what an order online that was not cancelled came after."""
    online = past(SHOP.orders, "ordered_at", lambda row: row["channel"] != "offline" and row["status"] != "cancelled")
    found = set()
    for cart in (cart for mine in past(SHOP.carts, "updated_at").values() for cart in mine):
        bought = any(row["ordered_at"] >= cart["updated_at"] for row in online.get(cart["customer_id"], []))
        alone = cart["items"] > 0 and TODAY - cart["updated_at"] >= timedelta(hours=hours)
        now = "converted" if bought or cart["state"] == "converted" else "abandoned" if alone else "open"
        if now == state and test(cart):
            found.add(cart["customer_id"])
    return found


def in_cart(cart: Row, category: str) -> bool:
    return any(product(row, "category") == category for row in SHOP.cart_lines if row["cart_id"] == cart["cart_id"])


CASES: list[tuple[dict[str, Any], set[int]]] = [
    # Windows and properties.
    (
        {"event": {"name": "Product Viewed", "where": {"size": {"above": 1, "below": 2.5}}}},
        set(viewed(lambda row: 1 < of(row, "size") < 2.5)),
    ),
    (
        {"event": {"name": "Product Viewed", "where": {"colour": ["red", "green"], "size": {"not_equals": 1}}}},
        set(viewed(lambda row: of(row, "colour") == "red" and of(row, "size") != 1)),
    ),
    (
        {"event": {"name": "Product Viewed", "at_least": 1, "within": "200 days", "before": "100 days"}},
        set(viewed(lambda row: 100 <= days_ago(row, "occurred_at") < 200)),
    ),
    (
        {"event": {"name": "Product Viewed", "since": "2025-12-01", "until": "2026-01-31", "time_zone": "Europe/Rome"}},
        set(viewed(lambda row: datetime(2025, 11, 30, 23) <= row["occurred_at"] < datetime(2026, 1, 31, 23))),
    ),
    (
        {"orders": {"at_least": 1, "during": "last month", "time_zone": "Europe/Rome"}},
        set(orders(lambda row: datetime(2026, 1, 31, 23) <= row["ordered_at"] < datetime(2026, 2, 28, 23))),
    ),
    (
        {"orders": {"at_least": 2, "where": {"store_id": "north"}}},
        having(orders(lambda row: row["store_id"] == "north"), lambda mine: len(mine) >= 2),
    ),
    # Aggregates.
    (
        {"aggregate": {"of": "orders", "function": "sum", "property": "revenue", "above": 40}},
        {c for c, spent in SPENT.items() if spent > 40},
    ),
    (
        {"aggregate": {"of": "orders", "function": "sum", "property": "revenue", "below": 30}},
        {c for c in EVERYBODY if SPENT.get(c, 0) < 30},
    ),
    (
        {"aggregate": {"of": "orders", "function": "average", "property": "revenue", "at_least": 20}},
        having(orders(), lambda mine: revenue(mine) / len(mine) >= 20),
    ),
    (
        {"aggregate": {"of": "lines", "function": "max", "property": "revenue", "at_least": 19}},
        having(lines(), lambda mine: max(row["revenue"] for row in mine) >= 19),
    ),
    (
        {"aggregate": {"event": "Product Viewed", "function": "min", "property": "size", "equals": 2}},
        having(viewed(), lambda mine: min(of(row, "size") for row in mine) == 2),
    ),
    (
        {"aggregate": {"event": "Product Viewed", "function": "sum", "property": "size", "at_most": 3.5}},
        {c for c in EVERYBODY if sum(of(row, "size") for row in viewed().get(c, [])) <= 3.5},
    ),
    (
        {"aggregate": {"of": "lines", "function": "distinct", "property": "category", "at_least": 3}},
        having(lines(), lambda mine: len({product(row, "category") for row in mine} - {None}) >= 3),
    ),
    (
        {
            "aggregate": {
                "of": "lines",
                "function": "distinct",
                "property": "month",
                "within": "300 days",
                "at_least": 3,
            }
        },
        having(
            lines(lambda row: days_ago(row) < 300),
            lambda mine: len({row["ordered_at"].strftime("%Y-%m") for row in mine}) >= 3,
        ),
    ),
    (
        {"aggregate": {"of": "lines", "function": "most_frequent", "property": "brand", "equals": "Acme"}},
        having(lines(), lambda mine: most_frequent([b for row in mine if (b := product(row, "brand"))]) == "Acme"),
    ),
    (
        {"aggregate": {"of": "orders", "function": "most_frequent", "property": "weekday", "one_of": [5, 6]}},
        having(orders(), lambda mine: most_frequent([str(row["ordered_at"].weekday()) for row in mine]) in ("5", "6")),
    ),
    (
        {"aggregate": {"of": "orders", "function": "first", "property": "channel", "equals": "web"}},
        having(orders(), lambda mine: mine[0]["channel"] == "web"),
    ),
    (
        {"aggregate": {"of": "orders", "function": "last", "property": "store_id", "not_equals": "north"}},
        having(orders(lambda row: row["store_id"] is not None), lambda mine: mine[-1]["store_id"] != "north"),
    ),
    (
        {"aggregate": {"of": "orders", "function": "count", "at_most": 1, "where": {"channel": "web"}}},
        {c for c in EVERYBODY if len(orders(lambda row: row["channel"] == "web").get(c, [])) <= 1},
    ),
    ({"aggregate": {"of": "orders", "function": "count", "equals": 0}}, EVERYBODY - set(orders())),
    (
        {
            "aggregate": {
                "of": "lines",
                "function": "sum",
                "property": "quantity",
                "where": {"category": "Wine"},
                "at_least": 3,
            }
        },
        having(
            lines(lambda row: product(row, "category") == "Wine"),
            lambda mine: sum(row["quantity"] for row in mine) >= 3,
        ),
    ),
    # The population, and another figure.
    (
        {
            "aggregate": {
                "of": "orders",
                "function": "sum",
                "property": "revenue",
                "where": {"store_id": "north"},
                "top_percent": 10,
            }
        },
        top(NORTH, 10),
    ),
    (
        {"aggregate": {"of": "orders", "function": "count", "bottom_percent": 20}},
        top({c: -len(mine) for c, mine in orders().items()}, 20),
    ),
    (
        {
            "aggregate": {
                "of": "orders",
                "function": "sum",
                "property": "revenue",
                "within": "60 days",
                "below": {
                    "of": "orders",
                    "function": "sum",
                    "property": "revenue",
                    "within": "120 days",
                    "before": "60 days",
                    "times": 0.5,
                },
            }
        },
        {c for c in EVERYBODY if revenue(RECENT.get(c, [])) < revenue(EARLIER.get(c, [])) * 0.5},
    ),
    (
        {
            "aggregate": {
                "of": "orders",
                "function": "count",
                "within": "60 days",
                "at_least": {"of": "orders", "function": "count", "within": "120 days", "before": "60 days"},
            }
        },
        {c for c in EVERYBODY if len(RECENT.get(c, [])) >= len(EARLIER.get(c, []))},
    ),
    # Times.
    (
        {"last": {"event": "Product Viewed", "before": "60 days"}},
        having(viewed(), lambda mine: days_ago(mine[-1], "occurred_at") >= 60),
    ),
    (
        {"last": {"of": "lines", "where": {"category": "Wine"}, "within": "120 days", "before": "30 days"}},
        having(lines(lambda row: product(row, "category") == "Wine"), lambda mine: 30 <= days_ago(mine[-1]) < 120),
    ),
    ({"first": {"of": "orders", "within": "90 days"}}, having(orders(), lambda mine: days_ago(mine[0]) < 90)),
    (
        {"first": {"of": "orders", "until": "2025-12-31"}},
        having(orders(), lambda mine: mine[0]["ordered_at"] < datetime(2026, 1, 1)),
    ),
    (
        {"stopped": {"of": "orders", "active": "120 days", "quiet": "60 days", "at_least": 2}},
        {c for c, mine in orders(lambda row: 60 <= days_ago(row) < 180).items() if len(mine) >= 2 and c not in RECENT},
    ),
    (
        {"returned": {"event": "Product Viewed", "quiet": "70 days", "within": "60 days"}},
        having(viewed(), lambda mine: gap(mine, 70, 60)),
    ),
    # Recency, frequency, monetary value.
    ({"rfm": {"group": "champions"}}, {c for c in SPENT if (RECENCY[c], FREQUENCY[c]) in GROUPS["champions"]}),
    (
        {"rfm": {"group": ["at_risk", "hibernating"], "monetary": [2, 3, 4, 5]}},
        {c for c in SPENT if RECENCY[c] < 3 and FREQUENCY[c] < 5 and MONETARY[c] > 1},
    ),
    ({"rfm": {"recency": [4, 5]}}, {c for c in SPENT if RECENCY[c] >= 4}),
    # What is liked.
    (
        {"brand": {"name": "Acme", "at_least": 2}},
        having(lines(lambda row: product(row, "brand") == "Acme"), lambda mine: len(mine) >= 2),
    ),
    (
        {"brand": {"name": "Acme", "measure": "share", "at_least": 0.4}},
        having(
            lines(),
            lambda mine: revenue([row for row in mine if product(row, "brand") == "Acme"]) >= 0.4 * revenue(mine),
        ),
    ),
    # Carts, coupons and loyalty.
    ({"cart": {"state": "open"}}, carts("open", 1)),
    (
        {"cart": {"state": "converted", "within": "3 days"}},
        carts("converted", 1, lambda cart: days_ago(cart, "updated_at") < 3),
    ),
    (
        {"cart": {"state": "abandoned", "abandoned_after": "12 hours", "at_least": 11}},
        carts("abandoned", 12, lambda cart: cart["value"] >= 11),
    ),
    (
        {"cart": {"state": "abandoned", "contains": {"category": "Wine"}}},
        carts("abandoned", 1, lambda cart: in_cart(cart, "Wine")),
    ),
    ({"coupon": {"state": "redeemed"}}, set(coupons(lambda row: row["action"] == "redeemed"))),
    (
        {"coupon": {"state": "applied", "coupon": "SPRING", "within": "20 days"}},
        set(
            coupons(
                lambda row: (
                    row["action"] == "applied" and row["coupon"] == "SPRING" and days_ago(row, "occurred_at") < 20
                )
            )
        ),
    ),
    ({"coupon": {"state": "unused"}}, having(coupons(), lambda mine: unused(mine) >= 1)),
    ({"loyalty": {"member": True}}, {r["customer_id"] for r in SHOP.identifiers if r["namespace"] == "loyalty_card"}),
    (
        {"loyalty": {"member": False}},
        EVERYBODY - {r["customer_id"] for r in SHOP.identifiers if r["namespace"] == "loyalty_card"},
    ),
    ({"loyalty": {"tier": ["gold"]}}, {c for c, tier in newest("loyalty_tier").items() if tier == "gold"}),
    ({"loyalty": {"at_least": 90}}, {c for c, points in newest("loyalty_points").items() if points >= 90}),
    # Places and days.
    ({"country": {"one_of": ["it"]}}, {row["customer_id"] for row in SHOP.profiles if row["country"] == "IT"}),
    (
        {"near": {"latitude": 41.89, "longitude": 12.49, "km": 20}},
        {c for c in EVERYBODY if newest("latitude").get(c) == 41.9 and newest("longitude").get(c) == 12.5},
    ),
    # Lists and shares.
    ({"list": {"name": "vip"}}, {row["customer_id"] for row in SHOP.identifiers if row["identifier_id"] in LISTED}),
]


def test_all_conditions_find_whom_plain_python_finds(shop: Warehouse) -> None:
    some_of_them = set(range(1, 121, 4))
    for document, expected in CASES:
        asked = condition(document)
        found = [row["customer_id"] for row in shop.rows(members(asked, shop, NOW))]
        assert len(found) == len(set(found)), document
        assert set(found) == expected, document
        narrowed = {row["customer_id"] for row in shop.rows(members(asked, shop, NOW, some_of_them))}
        assert narrowed == expected & some_of_them, document
        for customer in (3, 4):
            assert isinstance(asked, Asked)
            assert evaluated(asked, shop, NOW, customer).holds == (customer in expected), document


def test_the_cases_tell_conditions_apart() -> None:
    for document, expected in CASES:
        assert 0 < len(expected) < len(EVERYBODY), document


leaves = some.sampled_from([(document, frozenset(expected)) for document, expected in CASES])


def _both(kind: str, parts: list[Any]) -> tuple[dict[str, Any], frozenset[int]]:
    sets = [expected for _, expected in parts]
    found = frozenset.intersection(*sets) if kind == "all" else frozenset.union(*sets)
    return {kind: [document for document, _ in parts]}, found


trees = some.recursive(
    leaves,
    lambda inner: (
        some.builds(_both, some.sampled_from(["all", "any"]), some.lists(inner, min_size=1, max_size=3))
        | inner.map(lambda one: ({"not": one[0]}, frozenset(EVERYBODY) - one[1]))
    ),
    max_leaves=6,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees)
def test_a_tree_is_the_algebra_of_its_leaves(shop: Warehouse, tree: tuple[dict[str, Any], frozenset[int]]) -> None:
    document, expected = tree
    found = [row["customer_id"] for row in shop.rows(members(condition(document), shop, NOW))]
    assert len(found) == len(set(found)) and set(found) == expected


def test_a_share_is_about_as_large_as_asked_sticky_and_independent_of_another_salt(shop: Warehouse) -> None:
    def share(**asked: Any) -> set[int]:
        return {row["customer_id"] for row in shop.rows(members(condition({"share": asked}), shop, NOW))}

    half, rest = share(salt="spring", percent=50), share(salt="spring", percent=50, skip=50)
    assert half | rest == EVERYBODY and not half & rest
    assert share(salt="spring", percent=20) < half
    assert share(salt="spring", percent=100) == EVERYBODY
    assert 40 <= len(half) <= 80
    assert 10 <= len(half & share(salt="autumn", percent=50)) <= 50
    assert {1, 7, 120} & half == {7, 120}  # pinned: whoever is in a share stays in it, on every store, for good


@pytest.mark.parametrize(
    ("now", "ahead", "ago", "expected"),
    [
        (datetime(2026, 2, 28, 12, tzinfo=UTC), 0, 0, {"1990-02-28", "1992-02-29"}),
        (datetime(2028, 2, 28, 12, tzinfo=UTC), 0, 0, {"1990-02-28"}),
        (datetime(2028, 2, 29, 12, tzinfo=UTC), 0, 0, {"1992-02-29"}),
        (datetime(2026, 3, 3, 12, tzinfo=UTC), 1, 2, {"1985-03-01", "2001-03-04"}),
        (datetime(2026, 12, 30, 12, tzinfo=UTC), 0, 31, {"1970-11-30"}),
        (datetime(2027, 1, 2, 12, tzinfo=UTC), 0, 40, {"1970-11-30"}),
    ],
)
def test_an_anniversary_comes_every_year_and_29_february_on_the_28th(
    shop: Warehouse, now: datetime, ahead: int, ago: int, expected: set[str]
) -> None:
    asked = condition({"anniversary": {"trait": "birthday", "ahead": ahead, "ago": ago}})
    found = {row["customer_id"] for row in shop.rows(members(asked, shop, now))}
    zones = {row["customer_id"]: row["time_zone"] for row in SHOP.profiles}
    # At noon in UTC it is the same day in Los Angeles, and not in Auckland.
    told = {c: born[:10] for c, born in newest("birthday").items() if zones[c] != "Pacific/Auckland"}
    assert {c for c in found if c in told} == {c for c, born in told.items() if born in expected}


def test_an_anniversary_is_on_the_customers_own_day(shop: Warehouse) -> None:
    asked = condition({"anniversary": {"trait": "birthday"}})
    found = {row["customer_id"] for row in shop.rows(members(asked, shop, datetime(2026, 2, 28, 12, tzinfo=UTC)))}
    there = {row["customer_id"] for row in SHOP.profiles if row["time_zone"] == "Pacific/Auckland"}
    assert {c for c in found if c in there} == {c for c in there if newest("birthday").get(c) == "1985-03-01"} != set()


def test_a_trait_that_one_event_gave_two_identifiers_of_a_customer_is_one_value(store: Warehouse) -> None:
    shop = make()
    told = {"customer_id": 7, "name": "size", "occurred_at": TODAY, "event_id": "e"}
    shop.traits = [{**told, "identifier_id": 70 + number, "value": str(number)} for number in (1, 3, 2)]
    fill(store, shop)
    found = members(condition({"trait": {"name": "size", "exists": True}}), store, NOW)
    assert [row["customer_id"] for row in store.rows(found)] == [7]
    assert evaluated(condition({"trait": {"name": "size", "equals": 3}}), store, NOW, 7).seen == {"value": "3"}


def test_who_is_near_is_told_by_where_they_were_last_seen(store: Warehouse) -> None:
    shop = make()
    shop.events = [
        {**shop.events[0], "event_id": f"{customer}-{ago}", "customer_id": customer, "name": "App Opened"}
        | {"occurred_at": TODAY - timedelta(days=ago), "properties": json.dumps(at)}
        for customer, ago, at in [
            (1, 1, {"latitude": 41.9, "longitude": 12.5}),
            (1, 5, {"latitude": 45.46, "longitude": 9.19}),
            (2, 5, {"latitude": 41.9, "longitude": 12.5}),
            (2, 1, {"latitude": 45.46, "longitude": 9.19}),
            (3, 5, {"latitude": 41.9, "longitude": 12.5}),
            (3, 1, {"latitude": "nowhere", "longitude": 9}),
            (4, 1, {"colour": "latitude"}),
        ]
    ]
    fill(store, shop)

    def near(km: float) -> set[int]:
        where = {"near": {"latitude": 45.4642, "longitude": 9.19, "km": km, "of": "last_seen"}}
        return {row["customer_id"] for row in store.rows(members(condition(where), store, NOW))}

    assert near(1) == {2} and near(470) == {2}
    assert near(485) == {1, 2, 3}  # from Milan to Rome it is 477 km


def test_what_is_relative_to_the_population_says_so() -> None:
    top = condition({"aggregate": {"of": "orders", "function": "count", "top_percent": 5}})
    assert is_population_relative(condition({"not": {"rfm": {"group": "loyal"}}})) and is_population_relative(top)
    for document, _ in CASES:
        relative = "rfm" in document or "percent" in json.dumps(document)
        assert is_population_relative(condition(document)) == relative, document


def test_a_condition_says_what_it_reads() -> None:
    of_lines = reads(condition({"last": {"of": "lines", "before": "9 days"}}))
    assert of_lines.tables == {"order_lines", "products"} and of_lines.windows
    dated = reads(condition({"first": {"event": "A", "since": "2026-01-01"}}))
    assert dated.tables == {"events"} and dated.events == {"A"} and not dated.windows
    sequence = {"sequence": {"steps": [{"event": "A"}, {"event": "B", "absent": True, "within": "3 days"}]}}
    assert reads(condition(sequence)).events == {"A", "B"} and reads(condition(sequence)).windows
    assert reads(condition({"near": {"latitude": 1, "longitude": 1, "km": 1, "of": "last_seen"}})).events is None


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ({"aggregate": {"function": "count", "at_least": 1}}, r"where\.aggregate: give exactly one of event"),
        ({"aggregate": {"of": "orders", "function": "sum", "at_least": 1}}, "sum needs a property"),
        ({"aggregate": {"of": "orders", "function": "count"}}, "give exactly one of equals"),
        (
            {"aggregate": {"of": "orders", "function": "sum", "property": "colour", "above": 1}},
            "orders have no 'colour'",
        ),
        ({"aggregate": {"of": "orders", "function": "count", "top_percent": 0}}, r"top_percent: expected a percentage"),
        ({"aggregate": {"of": "orders", "function": "count", "equals": "x"}}, "count gives a number"),
        ({"event": {"name": "A", "where": {"b": {}}}}, r"where\.event\.where\.b: give one of"),
        ({"event": {"name": "A", "where": {"b": {"same_as": 1}}}}, "no step 1 to refer to; expected none"),
        ({"event": {"name": "A", "during": "this month", "within": "1 day"}}, "give during or within, not both"),
        ({"event": {"name": "A", "within": "1 day", "before": "2 days"}}, "within must be longer than before"),
        ({"event": {"name": "A", "since": "yesterday"}}, r"event\.since: expected a day like 2026-03-31"),
        ({"event": {"name": "A", "since": "2026-01-02", "until": "2026-01-01"}}, "since comes after until"),
        ({"event": {"name": "A", "during": "today", "time_zone": "Rome"}}, "'Rome' is no time zone"),
        ({"last": {"event": "A"}}, r"where\.last: give within, before, since, until or during"),
        (
            {"stopped": {"event": "A", "active": "9 days", "quiet": "soon"}},
            r"stopped\.quiet: expected a number of days",
        ),
        ({"returned": {"event": "A", "quiet": "9 days", "within": "10 days"}}, "at most as long as quiet"),
        ({"rfm": {}}, r"where\.rfm: give at least one of group, recency"),
        ({"rfm": {"recency": 6}}, r"rfm\.recency: expected scores from 1 to 5; got 6"),
        ({"rfm": {"group": "vip"}}, r"where\.rfm: Invalid enum value 'vip'"),
        (
            {"cart": {"state": "open", "contains": {"colour": "red"}}},
            r"cart\.contains: a cart's lines have no 'colour'",
        ),
        ({"coupon": {"state": "redeemed", "at_least": 0}}, r"coupon\.at_least: expected 1 or more"),
        ({"loyalty": {}}, "give exactly one of member, tier"),
        ({"country": {"one_of": ["Italy"]}}, "expected two-letter codes like IT; got 'Italy'"),
        ({"near": {"latitude": 91, "longitude": 0, "km": 1}}, r"where\.near: expected a latitude"),
        ({"anniversary": {"trait": "birthday", "ahead": 200}}, r"where\.anniversary: expected days"),
        ({"share": {"salt": "a", "percent": 60, "skip": 50}}, r"where\.share: expected a percent"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused_with_its_place(where: object, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        condition(where)
