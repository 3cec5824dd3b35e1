"""Warehouse tables of the catalogue and the orders. Offline (till) and online orders are one table."""

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
    },
    ("product_id",),
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
        "revenue": f"!{MONEY}",  # net of discounts, without tax and shipping, as the source gives it
        "discount": f"!{MONEY}",
        "coupon": "string",
        "lines": "!int64",
        "event_id": "!string",
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
        "quantity": "!float64",
        "revenue": f"!{MONEY}",
        "discount": f"!{MONEY}",
    },
    ("customer_id", "ordered_at"),
)

TABLES = (PRODUCTS, ORDERS, ORDER_LINES)
