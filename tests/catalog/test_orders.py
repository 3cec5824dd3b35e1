"""An order stands as all that was told of it says, whatever came first, on both stores."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onevoice.catalog.facts import COUPON_EVENTS, ORDER_EVENTS, ORDER_LINES, ORDERS, REFUNDS
from onevoice.catalog.orders import counted, kept, remake
from onevoice.warehouse import Warehouse
from tests.catalog.telling import (
    DAY,
    TODAY,
    amounts,
    completed,
    everything,
    forget,
    lines,
    order,
    refunded,
    tell,
    told,
    tried,
)


def figures(store: Warehouse) -> tuple[str, float, float, float]:
    """Status, gross, refunded and net of the only order."""
    row = order(store)
    return (row["status"], *(float(row[name]) for name in ("gross_revenue", "refunded", "revenue")))


def test_an_order_keeps_where_and_by_whom_it_was_sold(store: Warehouse) -> None:
    till = {"store_id": 316, "till_id": "4", "receipt": "R-7", "cashier": 12, "loyalty_card": "900"}
    tell(store, completed("e1", source=2, **till, currency="EUR", coupon="SPRING"))
    row = order(store)
    assert [row[name] for name in till] == ["316", "4", "R-7", "12", "900"]
    assert (row["channel"], row["currency"], row["coupon"]) == ("offline", "EUR", "SPRING")
    assert figures(store) == ("placed", 25.0, 0.0, 25.0)
    assert lines(store) == [("p1", 2.0, 20.0), ("p2", 1.0, 5.0)]


def test_a_till_without_order_ids_has_receipts(store: Warehouse) -> None:
    tell(store, completed("e1", source=2, order_id=None, store_id="s", receipt="R"))
    tell(store, completed("e2", source=2, order_id=None, store_id="s", receipt="R"))
    assert order(store)["order_id"] == "s/R"


def test_an_update_changes_what_it_says_and_nothing_else(store: Warehouse) -> None:
    tell(store, completed("e1", coupon="SPRING", currency="EUR"))
    tell(store, told("Order Updated", "e2", TODAY + DAY, order_id="o1", revenue=24.5, discount=0.5))
    row = order(store)
    assert figures(store) == ("placed", 24.5, 0.0, 24.5)
    assert (row["coupon"], row["currency"], row["discount"]) == ("SPRING", "EUR", Decimal("0.5"))
    assert (row["ordered_at"], row["updated_at"], row["event_id"]) == (TODAY, TODAY + DAY, "e1")
    assert lines(store) == [("p1", 2.0, 20.0), ("p2", 1.0, 5.0)]
    tell(store, told("Order Updated", "e3", TODAY + 2 * DAY, order_id="o1", products=[{"sku": "p3", "price": 7}]))
    assert figures(store) == ("placed", 7.0, 0.0, 7.0)
    assert lines(store) == [("p3", 1.0, 7.0)]


def test_a_total_counts_without_tax_and_shipping_and_only_where_nothing_better_was_told(store: Warehouse) -> None:
    tell(store, told("Order Completed", "e1", order_id="o1", total=30, tax=2, shipping=3))
    assert figures(store)[1] == 25.0
    tell(store, told("Order Updated", "e2", TODAY + DAY, order_id="o1", revenue=24))
    tell(store, told("Order Updated", "e3", TODAY + 2 * DAY, order_id="o1", total=30))
    assert figures(store)[1] == 24.0


def test_a_cancelled_order_is_worth_nothing_and_does_not_count(store: Warehouse) -> None:
    tell(store, completed("e1", coupon="SPRING"))
    assert [row["action"] for row in store.rows(store.table(COUPON_EVENTS))] == ["redeemed"]
    tell(store, told("Order Cancelled", "e2", TODAY + DAY, order_id="o1"))
    tell(store, told("Order Updated", "e3", TODAY + 2 * DAY, order_id="o1", coupon="SPRING"))
    assert figures(store) == ("cancelled", 25.0, 0.0, 0.0)
    assert lines(store) == [("p1", 0.0, 0.0), ("p2", 0.0, 0.0)]
    assert store.count(counted(store.table(ORDERS))) == 0
    assert store.count(store.table(COUPON_EVENTS)) == 0
    tell(store, completed("e4", TODAY + 3 * DAY))
    assert figures(store) == ("placed", 25.0, 0.0, 25.0)


@pytest.mark.parametrize(
    ("refund", "status", "net", "left"),
    [
        ({}, "returned", 0.0, [("p1", 0.0, 0.0), ("p2", 0.0, 0.0)]),
        ({"products": [{"product_id": "p1", "quantity": 1}]}, "placed", 15.0, [("p1", 1.0, 10.0), ("p2", 1.0, 5.0)]),
        ({"products": [{"product_id": "p2", "price": 4}]}, "placed", 21.0, [("p1", 2.0, 20.0), ("p2", 0.0, 1.0)]),
        ({"total": 5}, "placed", 20.0, [("p1", 2.0, 16.0), ("p2", 1.0, 4.0)]),
        ({"revenue": -5}, "placed", 20.0, [("p1", 2.0, 16.0), ("p2", 1.0, 4.0)]),
        ({"total": 30}, "returned", 0.0, [("p1", 0.0, 0.0), ("p2", 0.0, 0.0)]),
        # All of it came back, and a part of the money was kept.
        (
            {"revenue": 20, "products": [{"product_id": "p1", "quantity": 2}, {"product_id": "p2"}]},
            "returned",
            5.0,
            [("p1", 0.0, 0.0), ("p2", 0.0, 0.0)],
        ),
        # One p1 and something beyond it: the rest is shared out over what is left, 10 and 5.
        (
            {"revenue": 13, "products": [{"product_id": "p1", "quantity": 1}]},
            "placed",
            12.0,
            [("p1", 1.0, 8.0), ("p2", 1.0, 4.0)],
        ),
    ],
)
def test_a_refund_takes_off_what_it_names(
    store: Warehouse, refund: dict[str, Any], status: str, net: float, left: list[Any]
) -> None:
    tell(store, completed("e1"))
    tell(store, refunded("e2", **refund))
    assert figures(store) == (status, 25.0, 25.0 - net, net)
    assert lines(store) == left
    assert amounts(store) == [25.0 - net]


def test_several_refunds_together_never_exceed_the_order(store: Warehouse) -> None:
    tell(store, completed("e1"), refunded("e2", total=10), refunded("e3", TODAY + 2 * DAY, total=10))
    assert figures(store) == ("placed", 25.0, 20.0, 5.0)
    tell(store, refunded("e4", TODAY + 3 * DAY, total=10), refunded("e5", TODAY + 4 * DAY, total=10))
    assert figures(store) == ("returned", 25.0, 25.0, 0.0)
    assert amounts(store) == [10.0, 10.0, 5.0, 0.0]


def test_a_refund_told_again_under_its_own_id_is_one(store: Warehouse) -> None:
    tell(store, completed("e1"), refunded("e2", total=10, refund_id="r1"))
    tell(store, refunded("e3", TODAY + 2 * DAY, total=12, refund_id="r1"))
    assert amounts(store) == [12.0]
    assert figures(store) == ("placed", 25.0, 12.0, 13.0)


def test_a_line_without_pieces_is_kept_until_its_money_goes_back(store: Warehouse) -> None:
    weighed = {"product_id": "p1", "quantity": 0, "revenue": 3}
    tell(store, completed("e1", products=[weighed, {"product_id": "p2", "price": 5}]))
    assert store.count(kept(store.table(ORDER_LINES))) == 2
    tell(store, refunded("e2", products=[weighed]))
    assert [row["product_id"] for row in store.rows(kept(store.table(ORDER_LINES)))] == ["p2"]


def test_a_share_of_a_cent_is_not_lost(store: Warehouse) -> None:
    products = [{"product_id": f"p{n}", "price": 1} for n in range(3)]
    tell(store, completed("e1", products=products), refunded("e2", total=1))
    assert sum(row["revenue"] for row in store.rows(store.table(ORDER_LINES))) == Decimal(2)


def test_what_was_bought_online_is_returned_in_a_store(store: Warehouse) -> None:
    tell(store, completed("e1"))
    till = {"source": 2, "customer": 2, "store_id": "316", "till_id": "4", "receipt": "B-9", "cashier": "12"}
    tell(store, refunded("e2", **till, products=[{"product_id": "p2"}]))
    assert figures(store) == ("placed", 25.0, 5.0, 20.0)
    (row,) = store.rows(store.table(REFUNDS))
    assert (row["source_id"], row["order_source_id"], row["order_id"], row["sale_known"]) == (2, 1, "o1", True)
    assert (row["store_id"], row["till_id"], row["receipt"], row["cashier"]) == ("316", "4", "B-9", "12")
    assert (row["customer_id"], order(store)["customer_id"]) == (2, 1)


def test_a_return_finds_its_sale_by_receipt_and_store(store: Warehouse) -> None:
    sale = completed("e1", source=2, order_id="x-1", store_id="s1", receipt="R")
    other = completed("e2", source=2, order_id="x-2", store_id="s2", receipt="R")
    back = {"source": 2, "order_id": None, "store_id": "s2", "receipt": "B", "products": [{"product_id": "p1"}]}
    tell(store, refunded("e3", **back, original_receipt="R", original_store_id="s1"))
    assert figures(store) == ("returned", 0.0, 0.0, 0.0)  # nothing tells yet what it was worth
    tell(store, other)
    tell(store, sale)
    revenue = {row["order_id"]: float(row["revenue"]) for row in store.rows(store.table(ORDERS))}
    assert revenue == {"x-1": 15.0, "x-2": 25.0}


def test_a_return_without_its_sale_lowers_the_revenue_and_is_no_order(store: Warehouse) -> None:
    back = {"source": 2, "order_id": None, "store_id": "s", "receipt": "B", "currency": "EUR"}
    tell(store, refunded("e1", **back, products=[{"product_id": "p1", "quantity": 2, "price": 3}, {"sku": "p2"}]))
    assert figures(store) == ("returned", 0.0, 6.0, -6.0)
    assert lines(store) == [("p1", -2.0, -6.0), ("p2", -1.0, 0.0)]
    assert order(store)["order_id"] == "e1" and order(store)["store_id"] == "s"
    assert store.count(counted(store.table(ORDERS))) == 0
    assert amounts(store) == [6.0]


def test_the_same_batch_twice_is_once(store: Warehouse) -> None:
    batch = completed("e1", coupon="c"), refunded("e2", total=5), told("Coupon Applied", "e3", coupon_id="c")
    tell(store, *batch)
    first = everything(store, ORDERS, ORDER_LINES, REFUNDS, COUPON_EVENTS, ORDER_EVENTS)
    tell(store, *batch, *batch)
    assert everything(store, ORDERS, ORDER_LINES, REFUNDS, COUPON_EVENTS, ORDER_EVENTS) == first


def test_a_return_without_order_or_receipt_told_again_is_one(store: Warehouse) -> None:
    for event_id, at in (("e1", TODAY), ("e1", TODAY), ("e2", TODAY + DAY)):
        tell(store, refunded(event_id, at, order_id=None, refund_id="f", total=3))
    assert figures(store) == ("returned", 0.0, 3.0, -3.0)


PRODUCTS = st.lists(
    st.fixed_dictionaries(
        {"product_id": st.sampled_from(["p1", "p2"])},
        optional={"quantity": st.integers(-1, 3), "price": st.sampled_from([0, 1.5, 9.99]), "revenue": st.just(7)},
    ),
    max_size=3,
)
EVENT = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["Order Completed", "Order Updated", "Order Refunded", "Order Refunded"])
        | st.just("Order Cancelled"),
        "source": st.sampled_from([1, 2]),
        "days": st.integers(0, 3),
        "order_id": st.sampled_from(["o1", "o1", "o2", None]),
    },
    optional={
        "products": PRODUCTS,
        "revenue": st.sampled_from([0, 3, 10.01, -2]),
        "total": st.sampled_from([4, 12]),
        "receipt": st.sampled_from(["r1", "r2"]),
        "original_receipt": st.sampled_from(["r1", "r2"]),
        "refund_id": st.sampled_from(["f1", "f2"]),
        "coupon": st.just("c"),
    },
)


def test_nothing_depends_on_the_order_of_arrival(store: Warehouse) -> None:
    tables = (ORDERS, ORDER_LINES, REFUNDS, COUPON_EVENTS, ORDER_EVENTS)

    @tried(store)
    @given(st.lists(EVENT, min_size=1, max_size=7), st.randoms(use_true_random=False))
    def check(said: list[dict[str, Any]], dice: Any) -> None:
        events = [
            told(one["name"], f"e{number}", TODAY + one["days"] * DAY, customer=number % 3, **rest)
            for number, one in enumerate(said)
            for rest in [{name: value for name, value in one.items() if name not in ("name", "days")}]
            if one["order_id"] or one.get("receipt") or one["name"] in ("Order Completed", "Order Refunded")
        ]
        if not events:
            return
        forget(store)
        tell(store, *events)
        at_once = everything(store, *tables)
        forget(store)
        late = [*events, *dice.choices(events, k=2)]
        dice.shuffle(late)
        while late:
            size = dice.randint(1, 3)
            tell(store, *late[:size])
            late = late[size:]
        assert everything(store, *tables) == at_once
        with store.transaction():
            remake(store)
        assert everything(store, *tables) == at_once
        for row in at_once["orders"]:
            if row["status"] != "cancelled":
                assert row["revenue"] == row["gross_revenue"] - row["refunded"]
            mine = [
                one["amount"]
                for one in at_once["refunds"]
                if (one["order_source_id"], one["order_id"]) == (row["source_id"], row["order_id"])
            ]
            assert sum(mine) == row["refunded"] >= 0

    check()
