"""Warehouse tables of the catalogue, the orders, the carts and the coupons. Till and online orders are one table.

`orders`, `order_lines` and `refunds` are projections over `order_events` and `order_event_lines` by event time
(orders.py), `carts` and `cart_lines` over `cart_events` (carts.py), `products` over `product_fields` (load.py); so
whatever comes late, twice or out of order gives the same rows.

Money on an order and its lines is net: after discounts, refunds and returns, without tax and shipping. It may be summed
over any rows: a cancelled order's is zero, a return without its sale has it negative. To count orders, filter with
`orders.counted`.
"""

from onevoice.warehouse import MONEY, Facts

PRODUCTS = Facts(
    "products",
    {
        "product_id": "!string",
        "name": "!string",
        "brand": "string",
        "category": "string",
        "department": "string",
        "url": "string",
        "updated_at": "!timestamp(6)",
        "sku": "string",
        "variant": "string",
        "price": MONEY,
        "image_url": "string",
    },
    ("product_id",),
)

PRODUCT_FIELDS = Facts(
    "product_fields",  # the newest value by time, per product and field; the shop's own word first
    {
        "product_id": "!string",
        "field": "!string",
        "value": "!string",
        "is_own": "!boolean",  # said by the shop itself, which wins over what browsers say, however new
        "occurred_at": "!timestamp(6)",
    },
    ("product_id", "field"),
)

ORDERS = Facts(
    "orders",
    {
        "order_id": "!string",  # unique within its source
        "source_id": "!int64",
        "identifier_id": "!int64",
        "customer_id": "!int64",
        "channel": "!string",  # offline, web, app
        "store_id": "string",
        "ordered_at": "!timestamp(6)",
        "currency": "!string",  # ISO 4217
        "revenue": f"!{MONEY}",  # gross_revenue - refunded; 0 for cancelled orders
        "discount": f"!{MONEY}",
        "coupon": "string",
        "lines": "!int64",
        "event_id": "!string",
        "status": "!string",  # placed, cancelled, returned (wholly, or a return whose sale is not known)
        "gross_revenue": f"!{MONEY}",  # as it was sold: net of discounts, without tax and shipping
        "refunded": f"!{MONEY}",
        "till_id": "string",
        "receipt": "string",
        "cashier": "string",
        "loyalty_card": "string",
        "cart_id": "string",
        "checkout_id": "string",
        "updated_at": "!timestamp(6)",  # of the order's newest event
    },
    ("customer_id", "ordered_at"),
)

ORDER_LINES = Facts(
    "order_lines",
    {
        "order_id": "!string",
        "source_id": "!int64",
        "line": "!int64",  # from 0
        "identifier_id": "!int64",
        "customer_id": "!int64",
        "ordered_at": "!timestamp(6)",
        "product_id": "!string",
        "quantity": "!float64",  # net as the revenue is; 0: all of it came back, or the order was cancelled
        "revenue": f"!{MONEY}",
        "discount": f"!{MONEY}",
        "gross_quantity": "!float64",
        "gross_revenue": f"!{MONEY}",
    },
    ("customer_id", "ordered_at"),
)

REFUNDS = Facts(
    "refunds",  # one row per refund or return; those of an order sum to what it has as `refunded`
    {
        "event_id": "!string",
        "source_id": "!int64",  # who refunded; with order_source_id another than the order's
        "order_id": "!string",
        "order_source_id": "!int64",
        "identifier_id": "!int64",  # what the refund came with; the order may have another
        "customer_id": "!int64",
        "channel": "!string",
        "store_id": "string",
        "till_id": "string",
        "receipt": "string",  # of the return, not of the sale
        "cashier": "string",
        "refunded_at": "!timestamp(6)",
        "currency": "!string",
        "amount": f"!{MONEY}",
        "quantity": "!float64",  # pieces named; 0 where it names no products
        "sale_known": "!boolean",
    },
    ("customer_id", "refunded_at"),
)

ORDER_EVENTS = Facts(
    "order_events",  # what was told of orders, as it was told: a field not given is null
    {
        "event_id": "!string",
        "source_id": "!int64",
        "order_id": "!string",  # of the sale; empty for a return that names none
        "kind": "!string",  # completed, updated, refunded, cancelled
        "identifier_id": "!int64",
        "customer_id": "!int64",
        "channel": "!string",
        "occurred_at": "!timestamp(6)",
        "store_id": "string",
        "till_id": "string",
        "receipt": "string",
        "cashier": "string",
        "loyalty_card": "string",
        "original_receipt": "string",  # of the sale that a return at the till takes back
        "original_store_id": "string",
        "currency": "string",
        "revenue": MONEY,
        "total": MONEY,  # the next best for the revenue: without tax and shipping as far as they are known
        "discount": MONEY,
        "coupon": "string",
        "cart_id": "string",
        "checkout_id": "string",
        "refund_id": "string",  # names a refund: told again, it is the same one
        "lines": "!int64",
    },
    ("order_id", "occurred_at"),
)

ORDER_EVENT_LINES = Facts(
    "order_event_lines",
    {
        "event_id": "!string",
        "source_id": "!int64",
        "line": "!int64",
        "identifier_id": "!int64",
        "customer_id": "!int64",
        "product_id": "!string",
        "quantity": "!float64",
        "revenue": MONEY,  # null where the line has neither revenue nor price
        "discount": MONEY,
    },
    ("event_id", "line"),
)

CARTS = Facts(
    "carts",
    {
        "cart_id": "!string",  # unique within its source; `identifier-N` for calls that name no cart
        "source_id": "!int64",
        "identifier_id": "!int64",
        "customer_id": "!int64",
        "channel": "!string",
        "state": "!string",  # open, converted; whether it is abandoned depends on the time: carts.standing
        "updated_at": "!timestamp(6)",
        "value": f"!{MONEY}",
        "items": "!float64",  # pieces
        "currency": "string",
        "order_id": "string",  # that its checkout or its order named
        "checkout_id": "string",
        "checkout_at": "timestamp(6)",  # when the checkout began, if it did
    },
    ("customer_id", "updated_at"),
)

CART_LINES = Facts(
    "cart_lines",
    {
        "cart_id": "!string",
        "source_id": "!int64",
        "identifier_id": "!int64",
        "customer_id": "!int64",
        "product_id": "!string",
        "quantity": "!float64",
        "value": f"!{MONEY}",
        "updated_at": "!timestamp(6)",
    },
    ("customer_id", "updated_at"),
)

CART_EVENTS = Facts(
    "cart_events",  # what was told of carts; an event that names several products has a row for each
    {
        "event_id": "!string",
        "line": "!int64",
        "source_id": "!int64",
        "cart_id": "!string",  # empty where the call names none
        "kind": "!string",  # added, removed, held (one product of the whole content), checkout, ordered
        "identifier_id": "!int64",
        "customer_id": "!int64",
        "channel": "!string",
        "occurred_at": "!timestamp(6)",
        "product_id": "string",
        "quantity": "float64",  # null: removed whatever there was
        "price": MONEY,
        "currency": "string",
        "order_id": "string",
        "checkout_id": "string",
    },
    ("cart_id", "occurred_at"),
)

COUPON_EVENTS = Facts(
    "coupon_events",
    {
        "event_id": "!string",
        "source_id": "!int64",
        "identifier_id": "!int64",
        "customer_id": "!int64",
        "channel": "!string",
        "coupon": "!string",
        "action": "!string",  # entered, applied, removed, denied; redeemed: by an order that was not cancelled
        "order_id": "string",
        "cart_id": "string",
        "discount": MONEY,
        "reason": "string",  # of a denial
        "occurred_at": "!timestamp(6)",
    },
    ("customer_id", "occurred_at"),
)

TABLES = (
    PRODUCTS,
    PRODUCT_FIELDS,
    ORDERS,
    ORDER_LINES,
    REFUNDS,
    ORDER_EVENTS,
    ORDER_EVENT_LINES,
    CARTS,
    CART_LINES,
    CART_EVENTS,
    COUPON_EVENTS,
)
