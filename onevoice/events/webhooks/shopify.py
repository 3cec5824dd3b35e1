"""Shopify's webhooks (REST payloads): orders, refunds, checkouts, carts, customers, products.

Every order payload repeats its refunds; their message ids are made of the refund's own id, so each counts once however
often it is told. Shapes: shopify.dev, Admin REST API, resources Order, Refund, Checkout, Cart, Customer, Product.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from onevoice.catalog.schemas import ProductEntry
from onevoice.events.webhooks import Delivery, Json, Permission, Platform, external_id, without_empty

CUSTOMER = "shopify_customer_id"
POINT_OF_SALE = "pos"
"""The `source_name` of an order made at a till."""


def translate(topic: str, body: Json) -> Delivery | None:
    """A delivery in our words; None for topics that are not ours."""
    maker = TOPICS.get(topic)
    return maker(body) if maker is not None else None


def _order(event: str, moment: str) -> Callable[[Json], Delivery]:
    def made(body: Json) -> Delivery:
        if body.get("test"):
            return Delivery()
        at = body.get(moment) or body["updated_at"]
        who = _who(body, f"shopify-order-{body['id']}")
        message_id = f"shopify-{topic_of(event)}-{body['id']}" + ("" if event == "Order Completed" else f"-{at}")
        order = _call(event, message_id, at, who, _order_properties(body))
        refunds = [_refund(refund, body, who) for refund in body.get("refunds") or []]
        calls = [order, *refunds]
        if body.get("customer"):
            calls.insert(0, _identify(body["customer"], body.get("updated_at") or at))
        return Delivery(calls=calls)

    return made


def topic_of(event: str) -> str:
    """`Order Completed` as a part of an id: order-completed."""
    return event.lower().replace(" ", "-")


def _order_properties(body: Json) -> Json:
    at_till = body.get("source_name") == POINT_OF_SALE
    codes = [code["code"] for code in body.get("discount_codes") or []]
    shipping = ((body.get("total_shipping_price_set") or {}).get("shop_money") or {}).get("amount")
    return without_empty(
        {
            "order_id": str(body["id"]),
            "checkout_id": body.get("checkout_token"),
            "cart_id": body.get("cart_token"),
            "revenue": float(body["subtotal_price"]),  # items after discounts, without shipping
            "total": float(body["total_price"]),
            "tax": _number(body.get("total_tax")),
            "shipping": _number(shipping),
            "discount": _number(body.get("total_discounts")),
            "coupon": ",".join(codes),
            "currency": body["currency"],
            "receipt": body.get("name"),
            "store_id": str(body["location_id"]) if at_till and body.get("location_id") else None,
            "till_id": str(body["device_id"]) if at_till and body.get("device_id") else None,
            "cashier": str(body["user_id"]) if at_till and body.get("user_id") else None,
            "products": [_product(line) for line in body["line_items"]],
        }
    )


def _product(line: Json) -> Json:
    quantity, price = float(line["quantity"]), float(line["price"])
    allocated = sum(float(one["amount"]) for one in line.get("discount_allocations") or [])
    discount = allocated or float(line.get("total_discount") or 0)
    return without_empty(
        {
            "product_id": _product_id(line),
            "sku": line.get("sku"),
            "name": line.get("title"),
            "brand": line.get("vendor"),
            "variant": line.get("variant_title"),
            "price": price,
            "quantity": quantity,
            "discount": discount,
            "revenue": round(price * quantity - discount, 4),
        }
    )


def _product_id(line: Json) -> str:
    """A line of the shop's own making (a tip, a custom item) has no product."""
    return str(line.get("product_id") or line.get("sku") or line.get("title") or line["id"])


def _refund(refund: Json, order: Json | None, who: Json) -> Json:
    lines = refund.get("refund_line_items") or []
    paid = sum(
        float(one["amount"])
        for one in refund.get("transactions") or []
        if one.get("kind") == "refund" and one.get("status", "success") == "success"
    )
    products = [
        {
            **_product(line["line_item"]),
            "quantity": float(line["quantity"]),
            "revenue": float(line.get("subtotal") or 0),
        }
        for line in lines
    ]
    properties = without_empty(
        {
            "order_id": str(refund["order_id"] if refund.get("order_id") else (order or {})["id"]),
            "refund_id": str(refund["id"]),
            "total": paid or None,
            "revenue": round(sum(product["revenue"] for product in products), 4) if products else None,
            "currency": (order or {}).get("currency"),
            "reason": refund.get("note"),
            "store_id": str(refund["location_id"]) if refund.get("location_id") else None,
            "cashier": str(refund["user_id"]) if refund.get("user_id") else None,
            "products": products,
        }
    )
    message_id = f"shopify-order-refunded-{refund['id']}"
    return _call("Order Refunded", message_id, refund.get("processed_at") or refund["created_at"], who, properties)


def _refunded(body: Json) -> Delivery:
    """`refunds/create` names the order, not the customer; what is refunded counts against that order."""
    return Delivery(calls=[_refund(body, None, {"anonymousId": f"shopify-order-{body['order_id']}"})])


def _checkout(body: Json) -> Delivery:
    who = _who(body, f"shopify-cart-{body.get('cart_token') or body['token']}")
    properties = without_empty(
        {
            "checkout_id": body["token"],
            "cart_id": body.get("cart_token"),
            "order_id": str(body["order_id"]) if body.get("order_id") else None,
            "value": float(body["total_price"]),
            "revenue": _number(body.get("subtotal_price")),
            "currency": body.get("currency") or body.get("presentment_currency"),
            "url": body.get("abandoned_checkout_url"),
            "products": [_product(line) for line in body.get("line_items") or []],
        }
    )
    at = body["updated_at"]
    return Delivery(calls=[_call("Checkout Started", f"shopify-checkout-{body['token']}-{at}", at, who, properties)])


def _cart(body: Json) -> Delivery:
    token, at = str(body["token"]), body["updated_at"]
    properties = {"cart_id": token, "products": [_product(line) for line in body["line_items"]]}
    who = {"anonymousId": f"shopify-cart-{token}"}
    return Delivery(calls=[_call("Cart Viewed", f"shopify-cart-{token}-{at}", at, who, properties)])


def _customer(body: Json) -> Delivery:
    at = body["updated_at"]
    permissions = []
    for channel, name in (("email", "email_marketing_consent"), ("sms", "sms_marketing_consent")):
        said = body.get(name) or {}
        state = {"subscribed": "granted", "unsubscribed": "withdrawn"}.get(said.get("state") or "")
        if state is not None:
            moment = datetime.fromisoformat(said.get("consent_updated_at") or at)
            evidence = without_empty({"shop": "shopify", **said})
            permissions.append(Permission(CUSTOMER, str(body["id"]), channel, state, moment, evidence))
    return Delivery(calls=[_identify(body, at)], permissions=permissions)


def _products(body: Json) -> Delivery:
    entry = ProductEntry(
        product_id=str(body["id"]),
        name=body["title"],
        occurred_at=datetime.fromisoformat(body["updated_at"]),
        brand=body.get("vendor") or None,
        category=body.get("product_type") or None,
    )
    return Delivery(products=[entry])


def _identify(customer: Json, at: str) -> Json:
    address = customer.get("default_address") or {}
    traits = without_empty(
        {
            "email": customer.get("email"),
            "phone": customer.get("phone") or address.get("phone"),
            "first_name": customer.get("first_name"),
            "last_name": customer.get("last_name"),
            "city": address.get("city"),
            "postal_code": address.get("zip"),
            "country": address.get("country_code"),
        }
    )
    return {
        "type": "identify",
        "messageId": f"shopify-customer-{customer['id']}-{at}",
        "timestamp": at,
        "traits": traits,
        "context": {"externalIds": [external_id(customer["id"], CUSTOMER)]},
    }


def _who(body: Json, otherwise: str) -> Json:
    """Names the customer by the shop's id, a guest by the e-mail they gave; else the order or cart stands for them.

    An account is not joined to its e-mail: whoever registers may claim anybody's.
    """
    customer = body.get("customer") or {}
    if customer.get("id"):
        return {"context": {"externalIds": [external_id(customer["id"], CUSTOMER)]}}
    if body.get("email"):
        return {"context": {"externalIds": [external_id(body["email"], "email")]}}
    return {"anonymousId": otherwise}


def _call(event: str, message_id: str, at: str, who: Json, properties: Json) -> Json:
    call = {"type": "track", "event": event, "messageId": message_id, "timestamp": at, "properties": properties}
    return {**call, **who}


def _number(value: Any) -> float | None:
    return float(value) if value not in (None, "") else None


TOPICS: dict[str, Callable[[Json], Delivery]] = {
    "orders/create": _order("Order Completed", "processed_at"),
    "orders/updated": _order("Order Updated", "updated_at"),
    "orders/cancelled": _order("Order Cancelled", "cancelled_at"),
    "refunds/create": _refunded,
    "checkouts/create": _checkout,
    "checkouts/update": _checkout,
    "carts/create": _cart,
    "carts/update": _cart,
    "customers/create": _customer,
    "customers/update": _customer,
    "products/create": _products,
    "products/update": _products,
}

PLATFORM = Platform("shopify", "x-shopify-topic", "x-shopify-hmac-sha256", translate)
