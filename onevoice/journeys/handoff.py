"""The hand-off: planned messages from the warehouse into the delivery queue, exactly once.

The receiver keeps the watermark (the last tick queued) in the transaction that queues the messages. What personalises a
message is looked up here, in bulk, and frozen with it.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import ibis.expr.types as ir
from sqlalchemy import Connection

from onevoice.catalog.facts import ORDER_LINES, PRODUCTS
from onevoice.catalog.favourites import NAMED, favourites
from onevoice.content import templates
from onevoice.customers.facts import PROFILES
from onevoice.delivery import queue
from onevoice.delivery.facts import MESSAGES
from onevoice.delivery.schemas import QueuedMessage
from onevoice.kernel.clock import aware
from onevoice.warehouse import Warehouse

EXPIRES_AFTER = timedelta(days=3)
"""A message that could not be sent for so long is not sent any more."""


def hand_off(warehouse: Warehouse, connection: Connection, now: datetime) -> int:
    """Queues what has been planned since the receiver's watermark; returns how many messages."""
    position = queue.position(connection)
    messages = warehouse.table(MESSAGES)
    last = warehouse.rows(messages.aggregate(tick=messages.tick.max()))[0]["tick"] or 0
    if last <= position:
        return 0
    planned = messages.filter(messages.tick > position, messages.tick <= last)
    rows = warehouse.rows(_personalised(warehouse, planned))
    versions = templates.newest_versions(connection)
    return queue.enqueue(connection, _queued(rows, versions, now), last)


def _personalised(warehouse: Warehouse, planned: ir.Table) -> ir.Table:
    customers = planned.select("customer_id").distinct()
    favourite = favourites(warehouse.table(ORDER_LINES), warehouse.table(PRODUCTS), customers)
    profiles = warehouse.table(PROFILES).select("customer_id", "first_name", "last_name")
    rows = planned.left_join(profiles, "customer_id").drop("customer_id_right")
    return rows.left_join(favourite, "customer_id").drop("customer_id_right")


def _queued(rows: list[dict[str, Any]], versions: dict[str, int], now: datetime) -> Iterator[QueuedMessage]:
    for row in rows:
        products = [row[f"product_{place + 1}"] for place in range(NAMED)]
        variables = {
            "customer": {
                "first_name": row["first_name"],
                "last_name": row["last_name"],
                "locale": row["locale"],
                "favourite_category": row["category"],
                "products": [{"name": name} for name in products if name],
            },
            "favourite": {"category": row["category"], "products": [name for name in products if name]},
            "journey": row["journey"],
        }
        yield QueuedMessage(
            message_id=row["message_id"],
            journey=row["journey"],
            step=row["step"],
            channel=row["channel"],
            identifier_id=row["identifier_id"],
            address=row["address"],
            template=row["template"],
            template_version=versions.get(row["template"], 0),  # 0: the worker fails it and says which is missing
            locale=row["locale"],
            topic=row["topic"],
            variables=variables,
            not_before=now,
            expires_at=aware(row["planned_at"]) + EXPIRES_AFTER,
        )
