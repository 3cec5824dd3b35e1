"""Shopify's deliveries say again, in the tracking API's words, what happened: once each, with the shop's own times."""

import pytest

from onevoice.events.webhooks import Delivery
from onevoice.events.webhooks.shopify import CUSTOMER, translate
from tests.events.webhooks.payloads import shopify_customer, shopify_order, shopify_refund


def told(topic: str, body: dict) -> Delivery:
    made = translate(topic, body)
    assert made is not None
    return made


def test_an_order_becomes_an_identify_and_an_order_completed_of_the_shops_customer() -> None:
    identify, order = told("orders/create", shopify_order()).calls

    assert identify["traits"]["first_name"] == "Chiara" and identify["traits"]["country"] == "IT"
    assert (order["event"], order["timestamp"]) == ("Order Completed", "2026-03-01T10:00:00+01:00")
    assert order["context"]["externalIds"] == [
        {"id": "71001", "type": CUSTOMER, "collection": "users", "encoding": "none"}
    ]
    said = order["properties"]
    assert (said["order_id"], said["revenue"], said["discount"], said["coupon"]) == ("5001", 45.0, 5.0, "SPRING")
    assert [(line["product_id"], line["quantity"], line["revenue"]) for line in said["products"]] == [
        ("301", 2.0, 35.0),
        ("302", 1.0, 10.0),
    ]


def test_the_same_order_told_again_has_the_same_message_id_and_a_change_has_another() -> None:
    once, again = (told("orders/create", shopify_order(updated_at=at)).calls[-1] for at in ("2026-03-01", "2026-03-02"))
    changed = told("orders/updated", shopify_order()).calls[-1]

    assert once["messageId"] == again["messageId"] != changed["messageId"]
    assert changed["event"] == "Order Updated"


def test_a_refund_is_told_once_whether_by_itself_or_within_its_order() -> None:
    alone = told("refunds/create", shopify_refund()).calls
    within = told("orders/updated", shopify_order(refunds=[shopify_refund()])).calls

    assert [call["messageId"] for call in alone] == [
        call["messageId"] for call in within if call.get("event") == "Order Refunded"
    ]
    said = alone[0]["properties"]
    assert (said["order_id"], said["total"], said["products"][0]["quantity"]) == ("5001", 17.5, 1.0)


def test_an_order_at_the_till_without_a_customer_keeps_store_and_till_and_names_nobody() -> None:
    till = {"source_name": "pos", "location_id": 12, "device_id": 3, "user_id": 44}
    till |= {"customer": None, "email": ""}
    (order,) = told("orders/create", shopify_order(**till)).calls

    assert order["anonymousId"] == "shopify-order-5001"
    said = order["properties"]
    assert (said["store_id"], said["till_id"], said["cashier"], said["receipt"]) == ("12", "3", "44", "#1001")


def test_a_cancelled_order_is_cancelled_at_its_time() -> None:
    call = told("orders/cancelled", shopify_order(cancelled_at="2026-03-02T08:00:00+01:00")).calls[-1]

    assert (call["event"], call["timestamp"]) == ("Order Cancelled", "2026-03-02T08:00:00+01:00")


def test_what_the_customer_said_about_being_contacted_is_a_consent_with_its_time() -> None:
    (permission,) = told("customers/update", shopify_customer()).permissions

    assert (permission.channel, permission.state, permission.value) == ("email", "granted", "71001")
    assert permission.occurred_at.isoformat() == "2026-02-27T08:00:00+01:00"
    assert permission.evidence["opt_in_level"] == "confirmed_opt_in"


def test_a_product_enters_the_catalogue() -> None:
    body = {"id": 301, "title": "Moka pot", "vendor": "Bialetti", "product_type": "Coffee", "updated_at": "2026-03-01"}
    (product,) = told("products/update", {**body, "updated_at": "2026-03-01T10:00:00+01:00"}).products

    assert (product.product_id, product.name, product.brand, product.category) == (
        "301",
        "Moka pot",
        "Bialetti",
        "Coffee",
    )


def test_a_test_order_and_a_topic_of_no_interest_are_nothing() -> None:
    assert told("orders/create", shopify_order(test=True)) == Delivery()
    assert translate("themes/publish", {}) is None


def test_a_body_of_another_shape_is_a_fault_and_not_an_order() -> None:
    with pytest.raises(KeyError):
        translate("orders/create", {"id": 1})
