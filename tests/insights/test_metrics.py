"""The figures equal plain Python's over the same facts, on both stores."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from onevoice.delivery.facts import MESSAGES
from onevoice.insights import metrics
from onevoice.insights.attribution import last_touch
from onevoice.kernel.clock import aware
from onevoice.warehouse import Warehouse
from tests.segments.shop import TODAY, Row, fill, make

SHOP = make()


def message(number: int, customer: int, channel: str, **moments: Any) -> Row:
    """A message that cost a cent; moments are days before today."""
    row: Row = {
        "message_id": f"m{number}",
        "journey": "j",
        "journey_version": 1,
        "step": "s/0",
        "channel": channel,
        "enrolment_id": f"n{customer}",
        "identifier_id": customer,
        "customer_id": customer,
        "address": "a",
        "template": "t",
        "locale": "en",
        "topic": "offers",
        "planned_at": TODAY - timedelta(days=100),
        "tick": 1,
        "status": "delivered",
        "cost": Decimal("0.01"),
    }
    return row | {name: TODAY - timedelta(days=days) for name, days in moments.items()}


def messages() -> list[Row]:
    """For every order of the shop within reach: an e-mail opened before it, an SMS delivered nearer to it, or too far."""
    rows = []
    for number, order in enumerate(SHOP.orders):
        days = (TODAY - order["ordered_at"]) / timedelta(days=1)
        customer = order["customer_id"]
        rows.append(
            message(3 * number, customer, "email", accepted_at=days + 6, opened_at=days + 5, clicked_at=days + 4)
        )
        if number % 2:
            rows.append(message(3 * number + 1, customer, "sms", accepted_at=days + 3, delivered_at=days + 2))
        if number % 3 == 0:
            rows.append(message(3 * number + 2, customer, "push", accepted_at=days + 9, opened_at=days + 8))
    return rows


def touched(rows: list[Row]) -> dict[str, str]:
    """Order → message by the rule in attribution.py, in plain Python."""
    found = {}
    for order in SHOP.orders:
        near = []
        for row in rows:
            at = row.get("delivered_at") or row.get("opened_at") if row["channel"] == "sms" else row.get("opened_at")
            gap = order["ordered_at"] - at if at else None
            if (
                row["customer_id"] == order["customer_id"]
                and gap is not None
                and timedelta() <= gap <= timedelta(days=7)
            ):
                near.append((gap, row["message_id"]))
        if near:
            found[order["order_id"]] = min(near)[1]
    return found


@pytest.fixture
def shop(store: Warehouse) -> Warehouse:
    fill(store, SHOP)
    rows = messages()
    store.append(MESSAGES, MESSAGES.arrow({name: [row.get(name) for row in rows] for name in MESSAGES.columns}))
    return store


def test_the_overview_equals_plain_python(shop: Warehouse) -> None:
    start, end = TODAY - timedelta(days=200), TODAY - timedelta(days=20)
    inside = [order for order in SHOP.orders if start <= order["ordered_at"] < end]
    buyers = Counter(order["customer_id"] for order in inside)
    first: dict[int, Any] = {}
    for order in SHOP.orders:
        at = order["ordered_at"]
        first[order["customer_id"]] = min(at, first.get(order["customer_id"], at))
    new = sum(start <= at < end for at in first.values())
    found = metrics.overview(shop, aware(start), aware(end))
    assert found["orders"] == len(inside)
    assert found["order_lines"] == sum(order["lines"] for order in inside)
    assert found["sales"] == pytest.approx(float(sum(order["revenue"] for order in inside)))
    assert found["aov"] == pytest.approx(found["sales"] / len(inside))
    assert found["repeat_purchase_rate"] == pytest.approx(sum(n > 1 for n in buyers.values()) / len(buyers))
    assert found["new_customers"] == new
    assert found["cac"] == pytest.approx(len(messages()) * 0.01 / new)


def test_a_rate_without_a_denominator_is_none(store: Warehouse) -> None:
    found = metrics.overview(store, *metrics.ALWAYS)
    assert found["orders"] == 0 and found["sales"] == 0
    assert found["aov"] is None and found["repeat_purchase_rate"] is None and found["cac"] is None


def test_an_order_belongs_to_the_last_touch_within_the_window_and_to_no_other(shop: Warehouse) -> None:
    found = {row["order_id"]: row["message_id"] for row in shop.rows(last_touch(shop))}
    assert found == touched(messages())
    assert {shop_id for shop_id in found.values()} & {
        row["message_id"] for row in messages() if row["channel"] == "sms"
    }


def test_channels_add_up_to_the_messages_and_the_orders_they_earned(shop: Warehouse) -> None:
    rows, owner = messages(), touched(messages())
    by_id = {row["message_id"]: row["channel"] for row in rows}
    revenue = {order["order_id"]: order["revenue"] for order in SHOP.orders}
    found = metrics.channels(shop, *metrics.ALWAYS, journey="j")
    assert set(found) == {"email", "push", "sms"}
    for channel, figures in found.items():
        mine = [row for row in rows if row["channel"] == channel]
        orders = [order for order, owned in owner.items() if by_id[owned] == channel]
        assert figures["planned"] == len(mine)
        assert figures["sent"] == sum("accepted_at" in row for row in mine)
        assert figures["opened"] == sum("opened_at" in row for row in mine)
        assert figures["orders"] == len(orders)
        assert figures["revenue"] == pytest.approx(float(sum(revenue[order] for order in orders)))
        assert figures["cost"] == pytest.approx(len(mine) * 0.01)
        assert figures["cpa"] == (pytest.approx(figures["cost"] / len(orders)) if orders else None)
    assert metrics.channels(shop, *metrics.ALWAYS, journey="another") == {}
