"""The words of the tracking API: Segment's calls and the ecommerce events, as structs that decode leniently.

Wire quirks of the real clients that these shapes must bear are in the tests (`tests/events/test_wire_quirks.py`).
Spec: the Segment HTTP tracking API and its ecommerce v2 vocabulary. Ours are the till's words (`store_id`, `till_id`,
`receipt`, `cashier`, `loyalty_card`, `original_receipt`, `original_store_id`), `refund_id`, and a line's `revenue`.
"""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

MAX_AMOUNT = 1e12  # of money or pieces, in a line and in an order; more is a mistake, and does not fit its column

CALL_TYPES = ("track", "identify", "page", "screen", "group", "alias")

Loose = str | int | float | None
"""Ids come as strings, and from careless callers as numbers."""


class ExternalId(msgspec.Struct):
    """One of `context.externalIds`: a further identifier, such as a loyalty card."""

    id: Loose
    type: str
    collection: str = "users"


class Context(msgspec.Struct, rename="camel"):
    """The parts of a call's context we read; the rest stays in the stored call."""

    traits: Raw | UnsetType = UNSET  # rudder-sdk-python sends traits here
    external_ids: list[ExternalId] = []


class Call(msgspec.Struct, rename="camel"):
    """A tracking call as the load reads it."""

    user_id: Loose = None
    anonymous_id: Loose = None
    previous_id: Loose = None
    group_id: Loose = None
    event: str | None = None
    name: str | None = None
    properties: Raw | UnsetType = UNSET
    traits: Raw | UnsetType = UNSET
    context: Context | None = None


class EventEntry(msgspec.Struct):
    """An event in the inbox: what ingest found out, and the call exactly as it came."""

    type: str  # one of CALL_TYPES
    message_id: str
    occurred_at: datetime  # corrected by the sender's clock
    call: Raw
    context: Raw | UnsetType = UNSET  # the batch's context, which counts where the call has none


class Product(msgspec.Struct):
    """A product as events name it, in a page, a cart, an order. A line's revenue is `revenue`, or price × quantity."""

    product_id: Loose = None
    sku: Loose = None
    name: Loose = None
    brand: Loose = None
    category: Loose = None
    variant: Loose = None
    url: Loose = None
    image_url: Loose = None
    quantity: float | None = None
    price: float | None = None
    revenue: float | None = None
    discount: float | None = None


class Commerce(Product):
    """Properties of the ecommerce events. Each event has some of them (docs/reference/commerce-events.md).

    One struct for all, because the same few words return in most; that of a product's event is itself a product.
    """

    order_id: Loose = None
    cart_id: Loose = None
    checkout_id: Loose = None
    refund_id: Loose = None
    subtotal: float | None = None  # after discounts, without shipping and tax, as `revenue` is
    total: float | None = None  # with shipping and tax
    shipping: float | None = None
    tax: float | None = None
    currency: str | None = None
    coupon: Loose = None
    coupon_id: Loose = None
    coupon_name: Loose = None
    reason: Loose = None
    store_id: Loose = None
    till_id: Loose = None
    receipt: Loose = None
    cashier: Loose = None
    loyalty_card: Loose = None
    original_receipt: Loose = None
    original_store_id: Loose = None
    products: list[Product] | None = None


def text(value: Any) -> str:
    """An id as text: numbers as written without a trailing `.0`, None as empty, without NUL (no PostgreSQL text)."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).replace("\x00", "").strip()
