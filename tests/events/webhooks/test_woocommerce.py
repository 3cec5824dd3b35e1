"""WooCommerce's deliveries: what an order's state says happened, once each."""

from onevoice.events.webhooks import Delivery
from onevoice.events.webhooks.woocommerce import CUSTOMER, translate
from tests.events.webhooks.payloads import woo_order


def told(topic: str, body: dict) -> Delivery:
    made = translate(topic, body)
    assert made is not None
    return made


def events(delivery: Delivery) -> list[str]:
    return [call.get("event", call["type"]) for call in delivery.calls]


def test_an_order_to_be_fulfilled_is_completed_and_names_the_account() -> None:
    delivery = told("order.created", woo_order())

    assert events(delivery) == ["identify", "Order Completed"]
    order = delivery.calls[1]
    assert order["context"]["externalIds"][0] == {
        "id": "88",
        "type": CUSTOMER,
        "collection": "users",
        "encoding": "none",
    }
    said = order["properties"]
    assert (said["order_id"], said["revenue"], said["total"], said["discount"]) == ("4750", 45.0, 50.0, 5.0)
    assert said["products"][0]["name"] == "Moka & cup" and said["products"][0]["discount"] == 5.0
    assert order["timestamp"] == "2026-03-01T09:00:00+00:00"


def test_an_order_not_yet_paid_is_a_checkout_and_becomes_an_order_later() -> None:
    pending = told("order.created", woo_order(status="pending", date_paid_gmt=None))
    paid = told("order.updated", woo_order(date_modified_gmt="2026-03-01T09:05:00"))

    assert events(pending) == ["identify", "Checkout Started"]
    assert events(paid) == ["identify", "Order Completed", "Order Updated"]
    again = told("order.updated", woo_order(date_modified_gmt="2026-03-01T10:00:00"))
    assert paid.calls[1]["messageId"] == again.calls[1]["messageId"]
    assert paid.calls[2]["messageId"] != again.calls[2]["messageId"]


def test_each_refund_is_told_with_its_own_id_and_a_positive_amount() -> None:
    delivery = told("order.updated", woo_order(refunds=[{"id": 9, "reason": "late", "total": "-12.50"}]))

    refund = delivery.calls[-1]
    assert (refund["event"], refund["messageId"]) == ("Order Refunded", "woo-order-refunded-9")
    assert refund["properties"] == {
        "order_id": "4750",
        "refund_id": "9",
        "total": 12.5,
        "currency": "EUR",
        "reason": "late",
    }


def test_a_cancelled_and_a_deleted_order_are_the_same_word() -> None:
    cancelled = told("order.updated", woo_order(status="cancelled"))
    deleted = told("order.deleted", {"id": 4750})

    assert events(cancelled)[-1] == events(deleted)[0] == "Order Cancelled"
    assert cancelled.calls[-1]["messageId"] == deleted.calls[0]["messageId"]


def test_a_guest_is_named_by_the_email_they_gave_and_else_by_the_order() -> None:
    identify, order = told("order.created", woo_order(customer_id=0)).calls
    (nameless,) = told("order.created", woo_order(customer_id=0, billing={})).calls

    named = {"id": "ioana@example.com", "type": "email", "collection": "users", "encoding": "none"}
    assert order["context"]["externalIds"] == identify["context"]["externalIds"] == [named]
    assert nameless["anonymousId"] == "woo-order-4750"


def test_a_customer_and_a_product_enter() -> None:
    customer = {"id": 88, "email": "ioana@example.com", "first_name": "Ioana", "last_name": "Pop", "billing": {}}
    customer["date_modified_gmt"] = "2026-03-01T09:00:00"
    product = {
        "id": 301,
        "name": "Moka &amp; cup",
        "categories": [{"name": "Coffee"}],
        "permalink": "https://x.example",
    }
    product["date_modified_gmt"] = "2026-03-01T09:00:00"

    assert told("customer.updated", customer).calls[0]["traits"] == {
        "email": "ioana@example.com",
        "first_name": "Ioana",
        "last_name": "Pop",
    }
    (entry,) = told("product.created", product).products
    assert (entry.name, entry.category, entry.url) == ("Moka & cup", "Coffee", "https://x.example")
