"""The words of the tracking API: Segment's calls and the ecommerce events, as structs that decode leniently.

Wire quirks of the real clients that these shapes must bear are in the tests (`tests/events/test_wire_quirks.py`).
Spec: the Segment HTTP tracking API and its ecommerce v2 vocabulary; `store_id`, `discount` and line `revenue` are ours.
"""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

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


class OrderLine(msgspec.Struct):
    """A product in an order. Its revenue is `revenue`, or price times quantity."""

    product_id: Loose = None
    sku: Loose = None
    quantity: float = 1.0
    price: float | None = None
    revenue: float | None = None
    discount: float | None = None


class OrderCompleted(msgspec.Struct):
    """Properties of `Order Completed`."""

    order_id: Loose = None
    revenue: float | None = None  # without shipping and tax, after discounts
    total: float | None = None
    discount: float | None = None
    coupon: str | None = None
    currency: str | None = None
    store_id: Loose = None
    products: list[OrderLine] = []


def text(value: Any) -> str:
    """An id as text: numbers as written without a trailing `.0`, None as empty, without NUL (no PostgreSQL text)."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).replace("\x00", "").strip()
