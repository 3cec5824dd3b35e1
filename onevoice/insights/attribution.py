"""Last touch: which message an order is put down to. One rule, named wherever its result is shown.

An order belongs to the last message, within `WINDOW` before it, that its customer opened or clicked; a message on a channel
that has no opens (SMS) counts from its delivery. An order belongs to one message at most. It says what came after what,
not what caused what: for that, see experiments.py.
"""

from datetime import timedelta

import ibis
import ibis.expr.types as ir

from onevoice.catalog.facts import ORDERS
from onevoice.delivery.facts import MESSAGES
from onevoice.warehouse import Warehouse

WINDOW = timedelta(days=7)
"""How long after the touch an order counts."""

WITHOUT_OPENS = ("sms",)
"""Channels on which reading leaves no trace; there delivery is the touch."""


def last_touch(warehouse: Warehouse, window: timedelta = WINDOW) -> ir.Table:
    """source_id, order_id, revenue, ordered_at, message_id, journey, channel of every order put down to a message."""
    messages, orders = warehouse.table(MESSAGES), warehouse.table(ORDERS)
    read = ibis.coalesce(messages.opened_at, messages.clicked_at)
    touch = ibis.ifelse(messages.channel.isin(list(WITHOUT_OPENS)), ibis.coalesce(messages.delivered_at, read), read)
    touches = messages.mutate(touched_at=touch)
    touches = touches.filter(touches.touched_at.notnull()).select(
        "message_id", "journey", message_channel="channel", toucher="customer_id", touched_at="touched_at"
    )
    pairs = orders.select("source_id", "order_id", "revenue", "ordered_at", "customer_id").join(
        touches, orders.customer_id == touches.toucher
    )
    near = pairs.filter(
        pairs.ordered_at >= pairs.touched_at,
        pairs.ordered_at <= pairs.touched_at + ibis.interval(seconds=int(window.total_seconds())),
    )
    ranked = near.mutate(
        rank=ibis.row_number().over(
            group_by=["source_id", "order_id"], order_by=[ibis.desc("touched_at"), near.message_id]
        )
    )
    return ranked.filter(ranked["rank"] == 0).select(
        "source_id", "order_id", "revenue", "ordered_at", "message_id", "journey", channel=ranked.message_channel
    )
