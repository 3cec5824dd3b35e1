"""The figures equal plain Python's over the same facts, on both stores."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from onevoice.catalog.facts import ORDERS
from onevoice.customers.facts import IDENTIFIERS, PROFILES
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.insights import metrics
from onevoice.insights.attribution import last_touch
from onevoice.journeys.facts import DECISIONS
from onevoice.kernel.clock import aware, naive
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.builders import add
from tests.journeys.test_habits import message as sent
from tests.segments.shop import TODAY, Row, fill, make

SHOP = make()


def message(number: int, customer: int, channel: str, **moments: datetime) -> Row:
    """A message that cost a cent, and when what happened to it."""
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
    return row | moments


def heard(message: Row, news: str, at: datetime, machine: bool = False) -> Row:
    """News of a message."""
    return {
        "event_id": f"{message['message_id']}-{news}-{at}",
        "message_id": message["message_id"],
        "news": news,
        "occurred_at": at,
        "received_at": at,
        "machine": machine,
        "detail": "{}",
    }


def told() -> tuple[list[Row], list[Row]]:
    """Messages and their news about the shop's orders: touched near, far, late, again, by machines, or bounced."""
    messages, news = [], []
    for number, order in enumerate(SHOP.orders):
        customer, at = order["customer_id"], order["ordered_at"]

        def ago(days: float, at: datetime = at) -> datetime:
            return at - timedelta(days=days)  # type: ignore[no-any-return]

        email = message(3 * number, customer, "email", accepted_at=ago(12), opened_at=ago(11))
        messages.append(email)
        news += [heard(email, "delivered", ago(12)), heard(email, "opened", ago(11))]
        if number % 2:
            news.append(heard(email, "clicked", ago(4)))  # again, after a week
        news.append(heard(email, "opened", ago(0.5), machine=True))
        if number % 4 < 3:
            sms = message(3 * number + 1, customer, "sms", accepted_at=ago(3))
            messages.append(sms | ({"delivered_at": ago(3)} if number % 4 else {}))
            news.append(heard(sms, "delivered", ago(3)))  # every fourth bounced afterwards
            if number % 4 == 2:
                news.append(heard(sms, "clicked", ago(-1)))
        if number % 3 == 0:
            push = message(3 * number + 2, customer, "push", accepted_at=ago(9), opened_at=ago(7))
            messages.append(push)
            news.append(heard(push, "opened", ago(7)))
    return messages, news


MESSAGE_ROWS, NEWS_ROWS = told()

COUNTED = [order for order in SHOP.orders if order["status"] == "placed"]
"""The orders that count; others' revenue is 0 in this shop."""


def touched() -> dict[str, str]:
    """Order → message by the rule in attribution.py, in plain Python."""
    by_id = {row["message_id"]: row for row in MESSAGE_ROWS}
    found = {}
    for order in COUNTED:
        near = []
        for row in NEWS_ROWS:
            message = by_id[row["message_id"]]
            personal = row["news"] in ("opened", "clicked") and not row["machine"]
            arrived = row["news"] == "delivered" and message["channel"] == "sms" and message.get("delivered_at")
            gap = order["ordered_at"] - row["occurred_at"]
            mine = message["customer_id"] == order["customer_id"]
            if mine and (personal or arrived) and timedelta() <= gap <= timedelta(days=7):
                near.append((row["news"] != "clicked", gap, row["message_id"]))
        if near:
            found[order["order_id"]] = min(near)[2]
    return found


@pytest.fixture
def shop(store: Warehouse) -> Warehouse:
    fill(store, replace(SHOP, messages=MESSAGE_ROWS, news=NEWS_ROWS))
    return store


def test_the_overview_equals_plain_python(shop: Warehouse) -> None:
    start, end = TODAY - timedelta(days=200), TODAY - timedelta(days=20)
    inside = [order for order in COUNTED if start <= order["ordered_at"] < end]
    buyers = Counter(order["customer_id"] for order in inside)
    first: dict[int, Any] = {}
    for order in COUNTED:
        at = order["ordered_at"]
        first[order["customer_id"]] = min(at, first.get(order["customer_id"], at))
    new = sum(start <= at < end for at in first.values())
    found = metrics.overview(shop, aware(start), aware(end))
    assert found["orders"] == len(inside)
    kept = [line for line in SHOP.lines if line["quantity"] > 0 and start <= line["ordered_at"] < end]
    assert found["order_lines"] == len(kept)
    assert found["sales"] == pytest.approx(float(sum(order["revenue"] for order in inside)))
    assert found["aov"] == pytest.approx(found["sales"] / len(inside))
    assert found["repeat_purchase_rate"] == pytest.approx(sum(n > 1 for n in buyers.values()) / len(buyers))
    assert found["new_customers"] == new
    assert found["cac"] == pytest.approx(len(MESSAGE_ROWS) * 0.01 / new)


def test_an_order_with_a_messages_coupon_is_put_down_to_it_unless_another_was_clicked(store: Warehouse) -> None:
    long_ago, lately = NOW - timedelta(days=30), NOW - timedelta(days=1)
    gave = [sent(n, n, "email", long_ago, coupon="Welcome10") for n in (1, 2, 3)]
    add(store, MESSAGES, *gave, sent(9, 2, "email", lately, clicked_at=naive(lately), delivered_at=naive(lately)))
    clicked = {"message_id": "m9", "news": "clicked", "occurred_at": naive(lately), "received_at": naive(lately)}
    add(store, MESSAGE_EVENTS, {**clicked, "event_id": "e", "machine": False, "detail": "{}"})
    for who, coupon in ((1, "WELCOME10"), (2, "welcome10"), (3, "OTHER")):
        row = {"order_id": f"o{who}", "source_id": 1, "identifier_id": who, "customer_id": who, "coupon": coupon}
        money = {"revenue": 10, "gross_revenue": 10, "refunded": 0, "discount": 0, "currency": "EUR"}
        about = {"channel": "web", "status": "placed", "lines": 1, "event_id": f"e{who}"}
        add(store, ORDERS, {**row, **money, **about, "ordered_at": naive(NOW), "updated_at": naive(NOW)})
    found = {row["order_id"]: (row["message_id"], row["rule"]) for row in store.rows(last_touch(store))}
    assert found == {"o1": ("m1", "coupon"), "o2": ("m9", "click")}


def test_a_rate_without_a_denominator_is_none(store: Warehouse) -> None:
    found = metrics.overview(store, *metrics.ALWAYS)
    assert found["orders"] == 0 and found["sales"] == 0
    assert found["aov"] is None and found["repeat_purchase_rate"] is None and found["cac"] is None
    assert found["cac_reason"] == "Nobody bought for the first time in the period"


def test_an_order_belongs_to_the_last_touch_within_the_window_and_to_no_other(shop: Warehouse) -> None:
    found = [(row["order_id"], row["message_id"]) for row in shop.rows(last_touch(shop))]
    assert len(found) == len(dict(found))
    assert dict(found) == touched()
    channels = {row["message_id"]: row["channel"] for row in MESSAGE_ROWS}
    assert {channels[message] for _, message in found} == {"email", "push", "sms"}
    assert len(found) < len(SHOP.orders)


def test_channels_add_up_to_the_messages_and_the_orders_they_earned(shop: Warehouse) -> None:
    owner = touched()
    by_id = {row["message_id"]: row["channel"] for row in MESSAGE_ROWS}
    revenue = {order["order_id"]: order["revenue"] for order in SHOP.orders}
    found = metrics.channels(shop, *metrics.ALWAYS, journey="j")
    assert set(found) == {"email", "push", "sms"}
    for channel, figures in found.items():
        mine = [row for row in MESSAGE_ROWS if row["channel"] == channel]
        orders = [order for order, owned in owner.items() if by_id[owned] == channel]
        assert figures["planned"] == len(mine)
        assert sum(figures[f"orders_by_{rule}"] for rule in ("click", "coupon", "window")) == len(orders)
        machines = {row["message_id"] for row in NEWS_ROWS if row["machine"]}
        people = {row["message_id"] for row in MESSAGE_ROWS if "opened_at" in row}
        assert figures["opened_by_machines"] == sum(row["message_id"] in machines - people for row in mine)
        assert figures["sent"] == sum("accepted_at" in row for row in mine)
        assert figures["opened"] == sum("opened_at" in row for row in mine)
        assert figures["orders"] == len(orders)
        assert figures["revenue"] == pytest.approx(float(sum(revenue[order] for order in orders)))
        assert figures["cost"] == pytest.approx(len(mine) * 0.01)
        assert figures["cpa"] == (pytest.approx(figures["cost"] / len(orders)) if orders else None)
    assert metrics.channels(shop, *metrics.ALWAYS, journey="another") == {}


def test_decisions_and_identities_are_counted(store: Warehouse) -> None:
    for number, reason in enumerate(("allowed", "no_consent", "allowed", "holdout")):
        add(
            store,
            DECISIONS,
            decision_id=f"d{number}",
            enrolment_id="n",
            journey="j" if number else "k",
            step="s",
            channel="email",
            identifier_id=1,
            customer_id=1,
            decided_at=TODAY,
            outcome="skip",
            reason=reason,
            seen="{}",
        )
    assert list(metrics.decisions(store).items()) == [("allowed", 2), ("holdout", 1), ("no_consent", 1)]
    assert metrics.decisions(store, "j") == {"allowed": 1, "holdout": 1, "no_consent": 1}
    for number, (namespace, customer) in enumerate((("user_id", 1), ("anonymous_id", 1), ("anonymous_id", 3))):
        identifier = {"identifier_id": number, "namespace": namespace, "value": "v", "customer_id": customer}
        add(store, IDENTIFIERS, **identifier, first_seen_at=TODAY, revision=1)
    for customer in (1, 3):
        add(store, PROFILES, customer_id=customer, locale="en", time_zone="UTC", traits="{}", first_seen_at=TODAY)
    assert metrics.identities(store) == {
        "customers": 2,
        "known": 1,
        "identifiers": 3,
        "by_namespace": {"anonymous_id": 2, "user_id": 1},
        "links": 0,
        "unified": 1,
    }
