"""WooCommerce's webhooks: orders with their refunds, customers, products.

There is one topic for whatever changes about an order, so its state says what happened: an order counts as completed
once it is to be fulfilled; before that it is a checkout. Message ids are made of the order's and refund's own ids, so
what is told again counts once. Shapes: woocommerce.github.io, REST API v3, orders, customers, products, webhooks.
"""

from collections.abc import Callable
from datetime import datetime
from html import unescape

from onevoice.catalog.schemas import ProductEntry
from onevoice.events.webhooks import Delivery, Json, Platform, external_id, without_empty

CUSTOMER = "woocommerce_customer_id"

PLACED = {"processing", "on-hold", "completed", "refunded"}
OPEN = {"pending", "checkout-draft", "failed"}
CANCELLED = {"cancelled", "trash"}


def translate(topic: str, body: Json) -> Delivery | None:
    """A delivery in our words; None for topics that are not ours."""
    maker = TOPICS.get(topic)
    return maker(body) if maker is not None else None


def _order(body: Json) -> Delivery:
    number, status = str(body["id"]), body["status"]
    created, changed = _at(body, "date_created"), _at(body, "date_modified")
    who, properties = _who(body, number), _properties(body)
    calls = [_identify(body, changed)]
    if status in OPEN:
        started = {**properties, "checkout_id": number, "value": properties["total"]}
        calls.append(_track("Checkout Started", f"woo-checkout-{number}-{changed}", changed, who, started))
    elif status in PLACED:
        completed = _at(body, "date_paid") if body.get("date_paid_gmt") else created
        calls.append(_track("Order Completed", f"woo-order-completed-{number}", completed, who, properties))
        if changed > completed:
            calls.append(_track("Order Updated", f"woo-order-updated-{number}-{changed}", changed, who, properties))
    elif status in CANCELLED:
        calls.append(_track("Order Cancelled", f"woo-order-cancelled-{number}", changed, who, properties))
    for refund in body.get("refunds") or []:
        told = {
            "order_id": number,
            "refund_id": str(refund["id"]),
            "total": abs(float(refund["total"])),
            "currency": body["currency"],
        }
        if refund.get("reason"):
            told["reason"] = refund["reason"]
        # The order names its refunds without their times; the first word of one comes with the change that made it.
        calls.append(_track("Order Refunded", f"woo-order-refunded-{refund['id']}", changed, who, told))
    return Delivery(calls=[call for call in calls if call])


def _deleted(body: Json) -> Delivery:
    """Only the order's id comes; it happens now."""
    number = str(body["id"])
    call = _track("Order Cancelled", f"woo-order-cancelled-{number}", "", {}, {"order_id": number})
    del call["timestamp"]
    return Delivery(calls=[{**call, "anonymousId": f"woo-order-{number}"}])


def _properties(body: Json) -> Json:
    total, shipping, tax = float(body["total"]), float(body["shipping_total"]), float(body["total_tax"])
    return without_empty(
        {
            "order_id": str(body["id"]),
            "revenue": round(sum(float(line["total"]) for line in body["line_items"]), 4),  # net of discounts and tax
            "total": total,
            "shipping": shipping,
            "tax": tax,
            "discount": float(body["discount_total"]),
            "coupon": ",".join(line["code"] for line in body.get("coupon_lines") or []),
            "currency": body["currency"],
            "payment_method": body.get("payment_method"),
            "products": [_line(line) for line in body["line_items"]],
        }
    ) | {"total": total}


def _line(line: Json) -> Json:
    return without_empty(
        {
            "product_id": str(line.get("product_id") or line.get("sku") or line["name"]),
            "sku": line.get("sku"),
            "name": unescape(line["name"]),
            "variant": str(line["variation_id"]) if line.get("variation_id") else None,
            "quantity": float(line["quantity"]),
            "price": float(line.get("price") or 0),
            "revenue": float(line["total"]),
            "discount": round(float(line.get("subtotal") or line["total"]) - float(line["total"]), 4),
        }
    )


def _identify(body: Json, at: str) -> Json:
    """The billing details as traits of the account, or of the guest by the e-mail they gave."""
    billing = body.get("billing") or {}
    if body.get("customer_id"):
        return _customer_call(CUSTOMER, body["customer_id"], at, billing, billing.get("email"))
    return _customer_call("email", billing["email"], at, billing, billing["email"]) if billing.get("email") else {}


def _customer(body: Json) -> Delivery:
    at = _at(body, "date_modified" if body.get("date_modified_gmt") else "date_created")
    billing = {**(body.get("billing") or {})}
    for name in ("first_name", "last_name"):
        billing[name] = body.get(name) or billing.get(name)
    return Delivery(
        calls=[_customer_call(CUSTOMER, body["id"], at, billing, body.get("email") or billing.get("email"))]
    )


def _customer_call(namespace: str, number: object, at: str, billing: Json, email: str | None) -> Json:
    traits = without_empty(
        {
            "email": email,
            "phone": billing.get("phone"),
            "first_name": billing.get("first_name"),
            "last_name": billing.get("last_name"),
            "city": billing.get("city"),
            "postal_code": billing.get("postcode"),
            "country": billing.get("country"),
        }
    )
    return {
        "type": "identify",
        "messageId": f"woo-customer-{number}-{at}",
        "timestamp": at,
        "traits": traits,
        "context": {"externalIds": [external_id(number, namespace)]},
    }


def _product(body: Json) -> Delivery:
    categories = body.get("categories") or []
    brands = body.get("brands") or []
    at = _at(body, "date_modified" if body.get("date_modified_gmt") else "date_created")
    entry = ProductEntry(
        product_id=str(body["id"]),
        name=unescape(body["name"]),
        occurred_at=datetime.fromisoformat(at),
        brand=unescape(brands[0]["name"]) if brands else None,
        category=unescape(categories[0]["name"]) if categories else None,
        url=body.get("permalink"),
    )
    return Delivery(products=[entry])


def _who(body: Json, number: str) -> Json:
    """Names the customer by the shop's account, a guest by the e-mail they gave; else the order stands for them.

    An account is not joined to its e-mail: whoever registers may claim anybody's.
    """
    if body.get("customer_id"):
        return {"context": {"externalIds": [external_id(body["customer_id"], CUSTOMER)]}}
    email = (body.get("billing") or {}).get("email")
    if email:
        return {"context": {"externalIds": [external_id(email, "email")]}}
    return {"anonymousId": f"woo-order-{number}"}


def _track(event: str, message_id: str, at: str, who: Json, properties: Json) -> Json:
    call = {"type": "track", "event": event, "messageId": message_id, "timestamp": at, "properties": properties}
    return {**call, **who}


def _at(body: Json, name: str) -> str:
    """A `_gmt` time, which is written without its zone, as ISO 8601 in UTC."""
    return datetime.fromisoformat(body[f"{name}_gmt"].removesuffix("Z")).isoformat(timespec="seconds") + "+00:00"


TOPICS: dict[str, Callable[[Json], Delivery]] = {
    "order.created": _order,
    "order.updated": _order,
    "order.restored": _order,
    "order.deleted": _deleted,
    "customer.created": _customer,
    "customer.updated": _customer,
    "product.created": _product,
    "product.updated": _product,
    "product.restored": _product,
}

PLATFORM = Platform("woocommerce", "x-wc-webhook-topic", "x-wc-webhook-signature", translate)
