"""Webhook sources: a shop's own notifications, their signatures checked, said again in the words of the tracking API.

One module per platform, each a `Platform`: how it signs, and how a delivery becomes calls, products and consents.
"""

import base64
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from onevoice.catalog.schemas import ProductEntry

Json = dict[str, Any]


@dataclass(frozen=True)
class Permission:
    """What the shop says of a customer's consent. `namespace` and `value` name the customer."""

    namespace: str
    value: str
    channel: str
    state: str  # granted, denied, withdrawn
    occurred_at: datetime
    evidence: Json


@dataclass(frozen=True)
class Delivery:
    """A delivery in our words: tracking calls (Segment's spec, each with its messageId), products, consents."""

    calls: list[Json] = field(default_factory=list)
    products: list[ProductEntry] = field(default_factory=list)
    permissions: list[Permission] = field(default_factory=list)


@dataclass(frozen=True)
class Platform:
    """A shop system that sends webhooks."""

    name: str
    topic_header: str
    signature_header: str
    translate: Callable[[str, Json], Delivery | None]
    """(topic, body) to our words; None for a topic that says nothing of customers, orders or products.

    Raises KeyError, TypeError, ValueError or AttributeError for a body that is not what the topic promises.
    """


FAULTS = (LookupError, TypeError, ValueError, AttributeError)
"""What `Platform.translate` raises for a body of another shape."""


def is_signed(platform: Platform, headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Whether the body was signed with the secret: base64 of HMAC-SHA256 over the raw bytes, both platforms' way.

    Sources: shopify.dev, "Verify webhook deliveries"; developer.woocommerce.com, "Webhooks", Delivery.
    """
    wanted = base64.b64encode(hmac.new(secret.encode(), body, sha256).digest())
    return hmac.compare_digest(headers.get(platform.signature_header, "").encode(), wanted)


def external_id(value: object, namespace: str) -> Json:
    """One of a call's `context.externalIds`."""
    return {"id": str(value), "type": namespace, "collection": "users", "encoding": "none"}


def without_empty(document: Json) -> Json:
    """A document without what says nothing: null would delete a trait."""
    return {name: value for name, value in document.items() if value not in (None, "", [], {})}


def platforms() -> dict[str, Platform]:
    """All of them, by name."""
    from onevoice.events.webhooks import shopify, woocommerce  # they import this module

    return {one.name: one for one in (shopify.PLATFORM, woocommerce.PLATFORM)}
