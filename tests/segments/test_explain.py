"""What an explanation says is what the compiler decides, with the values seen; and a preview tells the overlap."""

import pytest

from onevoice.segments.compiler import members
from onevoice.segments.explain import explain
from onevoice.segments.preview import preview
from onevoice.segments.refresh import refresh
from onevoice.segments.service import SavedSegment
from onevoice.segments.tree import condition
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.segments.shop import CUSTOMERS, fill, make

SHOP = make()
WHERE = {
    "all": [
        {"any": [{"orders": {"at_least": 2}}, {"event": {"name": "Product Viewed", "within": "90 days"}}]},
        {"not": {"trait": {"name": "city", "equals": "Roma"}}},
    ]
}


@pytest.fixture
def shop(store: Warehouse) -> Warehouse:
    fill(store, SHOP)
    return store


def test_an_explanation_decides_as_the_segment_does_for_every_customer(shop: Warehouse) -> None:
    tree = condition(WHERE)
    inside = {row["customer_id"] for row in shop.rows(members(tree, shop, NOW))}
    some = list(CUSTOMERS)[:12]
    assert {one for one in some if explain(tree, shop, NOW, one)["holds"]} == inside & set(some)
    assert 0 < len(inside & set(some)) < len(some)


def test_every_node_says_whether_it_holds_and_every_leaf_what_it_saw(shop: Warehouse) -> None:
    buyer = max(CUSTOMERS, key=lambda one: sum(row["customer_id"] == one for row in SHOP.orders))
    told = explain(condition(WHERE), shop, NOW, buyer)
    assert [one["kind"] for one in told["conditions"]] == ["any", "not"]
    orders = told["conditions"][0]["conditions"][0]
    assert orders["kind"] == "orders" and orders["holds"] and orders["asked"] == {"at_least": 2}
    assert orders["seen"]["count"] >= 2


def test_a_preview_tells_how_many_are_also_in_each_other_segment(shop: Warehouse) -> None:
    buyers = SavedSegment("buyers", 1, {"where": {"orders": {"at_least": 1}}})
    nobody = SavedSegment("nobody", 1, {"where": {"orders": {"at_least": 1_000}}})
    refresh(shop, [buyers, nobody], NOW)
    found = preview(shop, condition({"orders": {"at_least": 2}}), NOW, sample=2, overlap=True)
    (one,) = found["overlap"]
    assert one["segment"] == "buyers" and one["both"] == found["size"] > 0 and one["share_of_this"] == 1.0
    assert 0 < one["share_of_other"] < 1 and len(found["sample"]) == 2
