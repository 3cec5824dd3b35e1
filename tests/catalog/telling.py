"""Tells a warehouse of ecommerce events, as the load would."""

import json
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, settings

from onevoice.catalog.facts import ORDER_LINES, ORDERS, REFUNDS, TABLES
from onevoice.events.commerce import Told, load
from onevoice.warehouse import Facts, Warehouse
from tests.conftest import NOW

TODAY = NOW.replace(tzinfo=None)
DAY = timedelta(days=1)
CHANNELS = {1: "web", 2: "offline"}

Row = dict[str, Any]


def told(name: str, event_id: str, at: datetime = TODAY, source: int = 1, customer: int = 1, **properties: Any) -> Told:
    """An event of the web shop (source 1) or the till (source 2)."""
    body = json.dumps(properties).encode()
    return Told(name, event_id, source, customer, CHANNELS[source], at, at, body)


def completed(event_id: str, at: datetime = TODAY, order_id: str = "o1", **changes: Any) -> Told:
    """Two of p1 at 10.00 and one of p2 at 5.00."""
    products = [{"product_id": "p1", "quantity": 2, "price": 10}, {"product_id": "p2", "price": 5}]
    return told("Order Completed", event_id, at, **{"order_id": order_id, "products": products, **changes})


def refunded(event_id: str, at: datetime = TODAY + DAY, **changes: Any) -> Told:
    """A refund of that order."""
    return told("Order Refunded", event_id, at, **{"order_id": "o1", **changes})


def tell(store: Warehouse, *events: Told) -> None:
    """Takes the events in as one batch."""
    with store.transaction():
        load(store, events, {event.identifier_id: event.identifier_id for event in events})


def forget(store: Warehouse) -> None:
    """Empties the tables of the catalogue."""
    for facts in TABLES:
        store.execute(f"TRUNCATE TABLE {facts.name}")


def order(store: Warehouse) -> Row:
    """The only order."""
    (row,) = store.rows(store.table(ORDERS))
    return row


def lines(store: Warehouse) -> list[tuple[str, float, float]]:
    """Product, quantity and revenue of each line."""
    rows = store.rows(store.table(ORDER_LINES).order_by("order_id", "line"))
    return [(row["product_id"], row["quantity"], float(row["revenue"])) for row in rows]


def amounts(store: Warehouse) -> list[float]:
    """The refunds' amounts, the oldest first."""
    return [float(row["amount"]) for row in store.rows(store.table(REFUNDS).order_by("refunded_at", "event_id"))]


def everything(store: Warehouse, *tables: Facts) -> dict[str, list[Row]]:
    """All rows of some tables, in an order that says nothing."""
    return {facts.name: sorted(store.rows(store.table(facts)), key=repr) for facts in tables}


def tried(store: Warehouse) -> settings:
    """A few examples, since each tells a warehouse a dozen times; not shrunk, being short as they are."""
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    number = 25 if store.is_duckdb else 4
    return settings(max_examples=number, deadline=None, phases=phases, suppress_health_check=list(HealthCheck))
