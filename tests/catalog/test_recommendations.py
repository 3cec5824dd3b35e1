"""Recommendations: the most frequent, filled with the popular; every method is scored on the last basket alike."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from onevoice.catalog.factorised import methods
from onevoice.catalog.facts import ORDER_LINES
from onevoice.catalog.recommendations import evaluation, frequent, popular
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.builders import add


def line(customer_id: int, order: int, product: str, **changes: Any) -> dict[str, Any]:
    """A product on a receipt; orders are numbered by the day."""
    return {
        "order_id": f"{customer_id}-{order}",
        "source_id": 1,
        "line": 0,
        "identifier_id": customer_id,
        "customer_id": customer_id,
        "ordered_at": naive(NOW - timedelta(days=50 - order)),
        "product_id": product,
        "quantity": 1.0,
        "revenue": Decimal(2),
        "discount": Decimal(0),
        "gross_quantity": 1.0,
        "gross_revenue": Decimal(2),
        **changes,
    }


def asked(store: Warehouse, *numbers: int) -> Any:
    return store.stage("asked", pa.table({"customer_id": pa.array(numbers, pa.int64())}))


def named(store: Warehouse, rows: Any) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for row in sorted(store.rows(rows), key=lambda row: (row["customer_id"], row["place"])):
        found.setdefault(row["customer_id"], []).append(row["product_id"])
    return found


def test_the_most_frequent_come_first_and_the_popular_fill_up(store: Warehouse) -> None:
    add(
        store,
        ORDER_LINES,
        *(line(1, order, "milk") for order in (1, 2, 3)),
        line(1, 1, "tea", revenue=Decimal(9)),
        line(1, 2, "rice"),
        *(line(who, 4, "bread") for who in range(2, 8)),
        *(line(who, 5, "milk") for who in range(2, 4)),
        line(2, 6, "wine", quantity=0.0),  # it came back
    )
    found = named(store, frequent(store, store.table(ORDER_LINES), asked(store, 1, 2, 9), 4))
    assert found[1] == ["milk", "tea", "rice", "bread"]
    assert found[2] == ["bread", "milk", "tea", "rice"]
    assert found[9] == ["bread", "milk", "tea", "rice"]  # of whom nothing is known


def test_a_method_is_scored_on_the_last_basket(store: Warehouse) -> None:
    add(
        store,
        ORDER_LINES,
        *(line(1, order, "milk") for order in (1, 2, 3)),  # as always
        *(line(2, order, "milk") for order in (1, 2)),
        line(2, 3, "tea"),  # something new
        line(2, 3, "milk", line=1),
        line(3, 1, "milk"),  # one basket: not counted
    )
    scores = evaluation(store, store.table(ORDER_LINES), {"frequent": frequent, "popular": popular}, 1)
    assert scores["frequent"] == pytest.approx({"hit_rate": 1.0, "recall": 0.75, "ndcg": 1.0, "customers": 2})
    assert scores["popular"] == scores["frequent"]


def test_of_no_baskets_nothing_is_scored(store: Warehouse) -> None:
    assert evaluation(store, store.table(ORDER_LINES), {"frequent": frequent})["frequent"]["customers"] == 0


def test_the_models_name_what_people_alike_buy(duck: Warehouse) -> None:
    pytest.importorskip("implicit")
    rows = []
    for who in range(1, 41):
        basket = ("milk", "bread", "butter") if who % 2 else ("wine", "cheese", "olives")
        rows += [line(who, order, product) for order in (1, 2) for product in basket[: 3 if who > 4 else 2]]
    add(duck, ORDER_LINES, *rows)
    for name, method in methods().items():
        found = named(duck, method(duck, duck.table(ORDER_LINES), asked(duck, 1, 2, 99), 3))
        assert set(found[1]) == {"milk", "bread", "butter"}, name
        assert set(found[2]) == {"wine", "cheese", "olives"}, name
        assert 99 not in found
