"""The ecommerce events' decoding: from the words of an event to rows of orders, carts, coupons and products.

Pure but for `load`: what is made of an event depends on that event alone. How the rows become orders, carts and so on
is the catalogue's (`catalog/orders.py`, `catalog/carts.py`, `catalog/load.py`). Events not in `EVENTS` are none of it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from onevoice.catalog import carts, orders
from onevoice.catalog import load as products
from onevoice.catalog.facts import CART_EVENTS, COUPON_EVENTS, ORDER_EVENT_LINES, ORDER_EVENTS
from onevoice.catalog.load import ProductSaid
from onevoice.events.rows import Row, as_table
from onevoice.events.vocabulary import MAX_AMOUNT, Commerce, Product, text
from onevoice.warehouse import Warehouse

ORDER_KINDS = {
    "Order Completed": "completed",
    "Order Updated": "updated",
    "Order Refunded": "refunded",
    "Order Cancelled": "cancelled",
}
CART_KINDS = {
    "Product Added": "added",
    "Wishlist Product Added to Cart": "added",
    "Product Removed": "removed",
    "Cart Viewed": "held",
    "Checkout Started": "checkout",
}
COUPON_ACTIONS = {
    "Coupon Entered": "entered",
    "Coupon Applied": "applied",
    "Coupon Removed": "removed",
    "Coupon Denied": "denied",
}
SHOWN = {"Product Viewed", "Product Clicked", "Product List Viewed", "Product List Filtered"}
"""Events that show a product as it is offered; in carts and orders its price may be another."""

EVENTS = frozenset({*ORDER_KINDS, *CART_KINDS, *COUPON_ACTIONS, *SHOWN, "Product Added to Wishlist"})
"""The track events that are taken apart here."""

OWN_CHANNELS = {"offline", "server"}
"""Channels of which the shop itself is the sender; on the others it is whoever has the page's write key."""

LINE_AMOUNTS = ("price", "quantity", "revenue", "discount")
ORDER_AMOUNTS = ("subtotal", "total", "shipping", "tax")

_decoder = msgspec.json.Decoder(Commerce, strict=False)


@dataclass(frozen=True, slots=True)
class Told:
    """An ecommerce event: whose it is and when (naive UTC), and its properties as JSON."""

    name: str
    event_id: str
    source_id: int
    identifier_id: int
    channel: str
    occurred_at: datetime
    received_at: datetime
    properties: bytes


@dataclass(slots=True)
class Rows:
    """What a batch of events told, as rows of the catalogue's tables; a row's customer is filled in later."""

    order_events: list[Row] = field(default_factory=list)
    order_event_lines: list[Row] = field(default_factory=list)
    cart_events: list[Row] = field(default_factory=list)
    coupon_events: list[Row] = field(default_factory=list)
    products: dict[ProductSaid, datetime] = field(default_factory=dict)  # and when it was last said


def load(warehouse: Warehouse, told: Sequence[Told], customers: Mapping[int, int]) -> None:
    """Takes the events in, within the load's transaction; `customers` tells each identifier's customer."""
    if not told:
        return
    rows = Rows()
    for event in _once({event.event_id: event for event in told}.values()):
        take(rows, event, read(event.properties))
    products.take(warehouse, rows.products)
    if rows.order_events:
        events = as_table(ORDER_EVENTS, rows.order_events, customers)
        orders.take(warehouse, events, as_table(ORDER_EVENT_LINES, rows.order_event_lines, customers))
    if rows.cart_events:
        carts.take(warehouse, as_table(CART_EVENTS, rows.cart_events, customers))
    if rows.coupon_events:
        warehouse.replace(COUPON_EVENTS, ["event_id"], as_table(COUPON_EVENTS, rows.coupon_events, customers))


def _once(told: Iterable[Told]) -> Iterator[Told]:
    """The events without those that show what a newer one shows in the same words: they say only when last."""
    shown: dict[tuple[str, bytes], Told] = {}
    for event in told:
        if event.name not in SHOWN:
            yield event
            continue
        key = (event.channel, event.properties)
        held = shown.get(key)
        if held is None or held.occurred_at < event.occurred_at:
            shown[key] = event
    yield from shown.values()


def read(properties: msgspec.Raw | bytes) -> Commerce:
    """The properties of an event in `EVENTS`. Raises msgspec.DecodeError, RecursionError."""
    return _decoder.decode(properties)


def fault(name: str, said: Commerce) -> str:
    """Why an event cannot be taken though it can be read, naming the field; empty where it can."""
    total = 0.0
    for index, line in enumerate((said, *(said.products or ()))):
        for field_name in LINE_AMOUNTS:
            amount = getattr(line, field_name)
            if amount is not None and not -MAX_AMOUNT < amount < MAX_AMOUNT:
                return _too_much(f"products[{index - 1}].{field_name}" if index else field_name)
        total += abs(_revenue(line) or 0.0)
    if not total < MAX_AMOUNT:
        return _too_much("price × quantity")
    for field_name in ORDER_AMOUNTS:
        amount = getattr(said, field_name)
        if amount is not None and not -MAX_AMOUNT < amount < MAX_AMOUNT:
            return _too_much(field_name)
    if ORDER_KINDS.get(name) in ("updated", "cancelled") and not _order_id(said):
        return "`order_id` is missing, and there is no `receipt` either"
    return ""


def _too_much(where: str) -> str:
    return f"`{where}` is no number or over a trillion"


def loyalty_card(properties: bytes) -> str:
    """The card shown at the till, which names the customer; empty where there is none."""
    return text(read(properties).loyalty_card) if b'"loyalty_card"' in properties else ""


def take(rows: Rows, event: Told, said: Commerce) -> None:
    """Adds what one event told."""
    name = event.name
    if name in ORDER_KINDS:
        _take_order(rows, ORDER_KINDS[name], event, said)
    elif name in CART_KINDS:
        _take_cart(rows, CART_KINDS[name], event, said)
    elif name in COUPON_ACTIONS:
        _take_coupon(rows, COUPON_ACTIONS[name], event, said)
    if name != "Order Refunded":
        is_own, is_shown = event.channel in OWN_CHANNELS, name in SHOWN
        for product in said.products or (said,):
            _take_product(rows, product, event.occurred_at, is_own, is_shown)


def _take_order(rows: Rows, kind: str, event: Told, said: Commerce) -> None:
    lines = said.products or []
    revenue = said.revenue if said.revenue is not None else said.subtotal
    total = None if said.total is None else said.total - (said.tax or 0.0) - (said.shipping or 0.0)
    receipt, store = _given(said.receipt), _given(said.store_id)
    refund_id = None
    if kind == "refunded":
        order_id = text(said.order_id)
        refund_id = _given(said.refund_id) or (f"{store or ''}/{receipt}" if receipt else event.event_id)
        revenue, total = _positive(revenue), _positive(total)  # some send what goes back with a minus
    else:
        order_id = _order_id(said) or event.event_id
        if revenue is None:
            paid = [_revenue(line) for line in lines]
            revenue = sum(amount or 0.0 for amount in paid) if any(amount is not None for amount in paid) else None
    rows.order_events.append(
        (
            event.event_id,
            event.source_id,
            order_id,
            kind,
            event.identifier_id,
            event.identifier_id,
            event.channel,
            event.occurred_at,
            store,
            _given(said.till_id),
            receipt,
            _given(said.cashier),
            _given(said.loyalty_card),
            _given(said.original_receipt),
            _given(said.original_store_id) or store,
            said.currency,
            revenue,
            total,
            said.discount,
            _given(said.coupon),
            _given(said.cart_id),
            _given(said.checkout_id),
            refund_id,
            len(lines),
        )
    )
    for number, line in enumerate(lines):
        quantity, amount = 1.0 if line.quantity is None else line.quantity, _revenue(line)
        if kind == "refunded":
            quantity, amount = abs(quantity), _positive(amount)
        rows.order_event_lines.append(
            (
                event.event_id,
                event.source_id,
                number,
                event.identifier_id,
                event.identifier_id,
                _product_id(line),
                quantity,
                amount,
                line.discount,
            )
        )
    if kind == "completed" and event.channel != "offline":
        _add_to_cart(rows, "ordered", event, said, -1, None)


def _take_cart(rows: Rows, kind: str, event: Told, said: Commerce) -> None:
    if kind in ("added", "removed"):
        if _product_id(said):
            _add_to_cart(rows, kind, event, said, 0, said)
        return
    if kind == "checkout":
        _add_to_cart(rows, "checkout", event, said, -1, None)
    for number, line in enumerate(said.products or ()):
        if _product_id(line):
            _add_to_cart(rows, "held", event, said, number, line)
    if kind == "held" and said.products == []:
        _add_to_cart(rows, "held", event, said, -1, None)


def _add_to_cart(rows: Rows, kind: str, event: Told, said: Commerce, number: int, product: Product | None) -> None:
    quantity = product.quantity if product else None
    rows.cart_events.append(
        (
            event.event_id,
            number,
            event.source_id,
            text(said.cart_id),
            kind,
            event.identifier_id,
            event.identifier_id,
            event.channel,
            event.occurred_at,
            _product_id(product) if product else None,
            1.0 if product and quantity is None and kind != "removed" else quantity,
            product.price if product else None,
            said.currency,
            _given(said.order_id),
            _given(said.checkout_id),
        )
    )


def _take_coupon(rows: Rows, action: str, event: Told, said: Commerce) -> None:
    coupon = _given(said.coupon_id) or _given(said.coupon) or _given(said.coupon_name)
    if coupon is None:
        return
    rows.coupon_events.append(
        (
            event.event_id,
            event.source_id,
            event.identifier_id,
            event.identifier_id,
            event.channel,
            coupon,
            action,
            _given(said.order_id),
            _given(said.cart_id),
            said.discount,
            _given(said.reason),
            event.occurred_at,
        )
    )


def _take_product(rows: Rows, product: Product, at: datetime, is_own: bool, is_shown: bool) -> None:
    name = product.name
    if name is None and product.category is None and product.brand is None and product.price is None:
        return
    product_id = _product_id(product)
    if not product_id:
        return
    key = ProductSaid(
        product_id,
        is_own,
        _given(name),
        _given(product.brand),
        _given(product.category),
        None,
        _given(product.url),
        _given(product.sku),
        _given(product.variant),
        product.price if is_shown else None,
        _given(product.image_url),
    )
    held = rows.products.get(key)
    if held is None or held < at:
        rows.products[key] = at


def _order_id(said: Commerce) -> str:
    """What names the sale; a till that has no order ids has receipts, each once per store."""
    return text(said.order_id) or (f"{text(said.store_id)}/{text(said.receipt)}" if text(said.receipt) else "")


def _product_id(product: Product) -> str:
    return text(product.product_id) or text(product.sku)


def _revenue(line: Product) -> float | None:
    if line.revenue is not None or line.price is None:
        return line.revenue
    return line.price * (1.0 if line.quantity is None else line.quantity)


def _positive(amount: float | None) -> float | None:
    return None if amount is None else abs(amount)


def _given(value: object) -> str | None:
    return text(value) or None
