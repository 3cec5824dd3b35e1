"""Ecommerce events on their way into the warehouse: the load hands them over, they become typed orders and lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onevoice.catalog.facts import ORDER_LINES, ORDERS
from onevoice.events.vocabulary import OrderCompleted, OrderLine, text
from onevoice.warehouse import Facts, Warehouse

EVENTS = frozenset({"Order Completed"})
"""The track events the load hands over."""

_order = msgspec.json.Decoder(OrderCompleted, strict=False)

Row = tuple[object, ...]
"""A row in the order of its table's columns."""

Order = tuple[Row, list[OrderLine], list[float]]
"""An order's row, its lines as they came, and their revenues."""


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


def load(warehouse: Warehouse, told: Sequence[Told], customers: Mapping[int, int]) -> None:
    """Takes the events in, within the load's transaction; `customers` tells each identifier's customer.

    An order id that comes again under another message id replaces what was held.
    """
    made = dict(map(_order_of, told))
    if not made:
        return
    orders = _table(ORDERS, [header for header, *_ in made.values()], customers)
    incoming = warehouse.stage("incoming_orders", orders)
    keys = incoming.select("source_id", "order_id")
    warehouse.delete(ORDER_LINES, keys)
    warehouse.delete(ORDERS, keys)
    warehouse.append(ORDERS, incoming)
    warehouse.append(ORDER_LINES, _lines(orders, list(made.values())))


def _order_of(told: Told) -> tuple[tuple[int, str], Order]:
    order = _order.decode(told.properties)
    order_id = text(order.order_id) or told.event_id
    revenues = [
        line.revenue if line.revenue is not None else (line.price or 0.0) * line.quantity for line in order.products
    ]
    revenue = order.revenue if order.revenue is not None else sum(revenues) if revenues else order.total or 0.0
    header: Row = (
        order_id,
        told.source_id,
        told.identifier_id,
        told.identifier_id,
        told.channel,
        text(order.store_id) or None,
        told.occurred_at,
        order.currency or "",
        revenue,
        order.discount or 0.0,
        order.coupon,
        len(revenues),
        told.event_id,
        "placed",
        revenue,
        0.0,
        *(None,) * 6,
        told.occurred_at,
    )
    return (told.source_id, order_id), (header, order.products, revenues)


def _lines(orders: pa.Table, made: Sequence[Order]) -> pa.Table:
    """The lines of the batch's orders; what a line shares with its order is repeated by index, not by row."""
    counts = orders["lines"].to_numpy()
    order = np.repeat(np.arange(len(counts)), counts)
    products = [line for _, lines, _ in made for line in lines]
    money = ORDER_LINES.schema["revenue"].to_pyarrow()
    columns = {name: orders[name].take(order) for name in ("order_id", "source_id", "identifier_id", "customer_id")}
    columns |= {
        "ordered_at": orders["ordered_at"].take(order),
        "line": pa.array(np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)),
        "product_id": pa.array([text(line.product_id) or text(line.sku) for line in products], pa.string()),
        "quantity": pa.array([line.quantity for line in products], pa.float64()),
        "revenue": pc.cast(pa.array([r for *_, revenues in made for r in revenues], pa.float64()), money),
        "discount": pc.cast(pa.array([line.discount or 0.0 for line in products], pa.float64()), money),
    }
    columns |= {"gross_quantity": columns["quantity"], "gross_revenue": columns["revenue"]}
    schema = ORDER_LINES.schema.to_pyarrow()
    return pa.table([columns[field.name] for field in schema], schema=schema)


def _table(facts: Facts, rows: Sequence[Row], customers: Mapping[int, int]) -> pa.Table:
    """Rows as an Arrow table of the table's types, with the customer of each row's identifier filled in."""
    schema = facts.schema.to_pyarrow()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = []
    for column, at in zip(columns, schema, strict=True):
        if at.name == "customer_id":
            arrays.append(pa.array([customers[i] for i in column], at.type))
        elif pa.types.is_decimal(at.type):
            arrays.append(pc.cast(pa.array(column, pa.float64()), at.type))
        else:
            arrays.append(pa.array(column, at.type))
    return pa.table(arrays, schema=schema)
