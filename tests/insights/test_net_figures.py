"""A refund, a return and a cancellation correct every figure that an order went into, on both stores."""

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from onevoice.catalog.facts import ORDER_LINES, ORDERS, PRODUCTS
from onevoice.catalog.favourites import favourites
from onevoice.customers.facts import PROFILES
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.engine.questions import timeline
from onevoice.insights import metrics
from onevoice.insights.experiments import outcomes
from onevoice.journeys.facts import ENROLMENTS
from onevoice.segments.compiler import members
from onevoice.segments.tree import condition
from onevoice.warehouse import Warehouse
from tests.catalog.telling import DAY, TODAY, completed, refunded, tell, told
from tests.conftest import NOW
from tests.journeys.builders import add

FIGURES = ("orders", "order_lines", "sales", "gross_sales", "refunded", "aov", "buyers", "repeat_purchase_rate")


def overview(store: Warehouse) -> list[Any]:
    found = metrics.overview(store, *metrics.ALWAYS)
    return [found[name] for name in (*FIGURES, "new_customers")]


@pytest.fixture
def shop(store: Warehouse) -> Warehouse:
    """Customer 1 bought twice for 25.00, customer 2 once; all had a message, and are in a journey."""
    tell(
        store,
        completed("e1"),
        completed("e2", TODAY + DAY, order_id="o2"),
        completed("e3", order_id="o3", customer=2),
    )
    for name, category in (("p1", "Cheese"), ("p2", "Wine")):
        add(store, PRODUCTS, product_id=name, name=name.upper(), category=category, updated_at=TODAY)
    for number in (1, 2):
        mine = {"identifier_id": number, "customer_id": number}
        text = {"journey": "j", "journey_version": 1, "step": "s", "enrolment_id": f"n{number}"}
        sent = {"message_id": f"m{number}", "channel": "email", "address": "a", "template": "t", "locale": "en"}
        rest = {"topic": "offers", "planned_at": TODAY - DAY, "tick": 1, "status": "opened", "cost": 1}
        add(store, MESSAGES, **mine, **text, **sent, **rest)
        news = {"event_id": f"m{number}", "message_id": f"m{number}", "news": "opened", "machine": False}
        add(store, MESSAGE_EVENTS, **news, detail="{}", occurred_at=TODAY - DAY / 2, received_at=TODAY)
        moments = {"entered_at": TODAY - DAY, "due_at": TODAY, "updated_at": TODAY}
        state = {"arm": "treated", "state": "done", "reason": ""}
        add(store, ENROLMENTS, **mine, **text, **state, **moments)
        known = {"locale": "en", "time_zone": "UTC", "traits": "{}", "first_seen_at": TODAY}
        add(store, PROFILES, customer_id=number, **known)
    return store


def earned(store: Warehouse) -> tuple[int, float]:
    """Orders and revenue put down to e-mail."""
    found = metrics.channels(store, *metrics.ALWAYS)["email"]
    return found["orders"], found["revenue"]


def outcome(store: Warehouse) -> dict[int, tuple[int, float]]:
    """Orders and revenue per customer of the journey."""
    rows = store.rows(outcomes(store, "j", timedelta(days=14)))
    return {row["customer_id"]: (int(row["orders"]), row["revenue"]) for row in rows}


def meets(store: Warehouse, **where: Any) -> set[int]:
    rows = store.rows(members(condition(where), store, NOW + 30 * DAY))
    return {row["customer_id"] for row in rows}


def test_before_anything_came_back(shop: Warehouse) -> None:
    assert overview(shop) == [3, 6, 75.0, 75.0, 0.0, 25.0, 2, 0.5, 2]
    assert earned(shop) == (3, 75.0)
    assert outcome(shop) == {1: (2, 50.0), 2: (1, 25.0)}
    assert meets(shop, orders={"at_least": 2}) == {1}
    assert meets(shop, orders={"measure": "revenue", "at_least": 25}) == {1, 2}


def test_a_part_refunded_lowers_the_money_and_no_count(shop: Warehouse) -> None:
    tell(shop, refunded("r1", products=[{"product_id": "p1", "quantity": 1}]))
    assert overview(shop) == [3, 6, 65.0, 75.0, 10.0, pytest.approx(65 / 3), 2, 0.5, 2]
    assert earned(shop) == (3, 65.0)
    assert outcome(shop) == {1: (2, 40.0), 2: (1, 25.0)}
    assert meets(shop, orders={"measure": "revenue", "at_least": 45}) == set()


@pytest.mark.parametrize("name", ["Order Refunded", "Order Cancelled"])
def test_an_order_wholly_returned_or_cancelled_counts_no_more(shop: Warehouse, name: str) -> None:
    tell(shop, told(name, "r1", TODAY + 3 * DAY, order_id="o2"))
    is_refund = name == "Order Refunded"
    money = [50.0, 75.0, 25.0] if is_refund else [50.0, 50.0, 0.0]
    assert overview(shop) == [2, 4, *money, 25.0, 2, 0.0, 2]
    assert earned(shop) == (2, 50.0)
    assert outcome(shop) == {1: (1, 25.0), 2: (1, 25.0)}
    assert meets(shop, orders={"at_least": 2}) == set()
    tell(shop, told(name, "r2", TODAY + 3 * DAY, order_id="o3"))
    assert overview(shop)[-3:] == [1, 0.0, 1]
    assert meets(shop, orders={"at_least": 1}) == {1}
    assert meets(shop, category={"name": "Cheese", "at_least": 1}) == {1}


def test_a_return_at_the_till_without_its_sale_lowers_customer_and_store(shop: Warehouse) -> None:
    back = {"order_id": None, "source": 2, "store_id": "316", "receipt": "B-1"}
    tell(shop, refunded("r1", **back, products=[{"product_id": "p2", "price": 5}]))
    assert overview(shop) == [3, 6, 70.0, 75.0, 5.0, pytest.approx(70 / 3), 2, 0.5, 2]
    assert outcome(shop) == {1: (2, 45.0), 2: (1, 25.0)}
    summed = {"of": "orders", "function": "sum", "property": "revenue"}
    for least, found in ((45, {1}), (45.01, set())):
        assert meets(shop, orders={"measure": "revenue", "at_least": least}) == found
        assert meets(shop, aggregate={**summed, "at_least": least}) == found
    assert meets(shop, orders={"measure": "average", "at_most": 22.5}) == {1}
    assert meets(shop, orders={"at_least": 2}) == {1}
    rows = shop.table(ORDERS)
    (store_316,) = shop.rows(rows.filter(rows.store_id == "316").aggregate(revenue=rows.revenue.sum()))
    assert store_316["revenue"] == -5


def test_what_came_back_is_no_favourite(shop: Warehouse) -> None:
    tell(shop, *(refunded(f"r{n}", order_id=f"o{n}", products=[{"product_id": "p1", "quantity": 2}]) for n in (1, 2)))
    customers = shop.stage("asked", pa.table({"customer_id": pa.array([1, 2], pa.int64())}))
    rows = shop.rows(favourites(shop.table(ORDER_LINES), shop.table(PRODUCTS), customers))
    assert {row["customer_id"]: (row["category"], row["product_1"]) for row in rows} == {
        1: ("Wine", "P2"),
        2: ("Cheese", "P1"),
    }


def test_the_timeline_says_what_went_back_of_whose_order(shop: Warehouse) -> None:
    till = {"source": 2, "customer": 2, "store_id": "316", "receipt": "B-9"}
    tell(shop, refunded("r1", **till, products=[{"product_id": "p2"}]))
    for customer in (1, 2):  # whose order it was, and who brought it back
        (item,) = [one for one in timeline(shop, NOW, customer) if one["name"] == "Order Refunded"]
        assert item["channel"] == "offline" and item["at"] == TODAY + DAY
        told_of = item["properties"]
        assert (told_of["order_id"], told_of["amount"], told_of["receipt"]) == ("o1", 5.0, "B-9")
        assert told_of["sale_known"] is True
