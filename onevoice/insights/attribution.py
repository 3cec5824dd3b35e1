"""Last touch: which message an order is put down to. One rule, named wherever its result is shown.

An order belongs to the message that its customer, in person, last opened or clicked within `WINDOW` before it, be it
for the first time or again; on a channel that has no opens (SMS) delivery is a touch too. An order belongs to one
message at most; one that was cancelled or wholly returned belongs to none, and what was refunded of the others is off
their revenue. It says what came after what, not what caused what: for that, see experiments.py.
"""

from datetime import timedelta

import ibis
import ibis.expr.types as ir

from onevoice.catalog.facts import ORDERS
from onevoice.catalog.orders import counted
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.delivery.statuses import PERSONAL
from onevoice.warehouse import Warehouse

WINDOW = timedelta(days=7)
"""How long after the touch an order counts."""

WITHOUT_OPENS = ("sms",)
"""Channels on which reading leaves no trace; there delivery is a touch."""


def last_touch(warehouse: Warehouse, window: timedelta = WINDOW) -> ir.Table:
    """source_id, order_id, revenue, ordered_at, message_id, journey, channel of every order put down to a message."""
    touches, orders = _touches(warehouse), counted(warehouse.table(ORDERS))
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


def _touches(warehouse: Warehouse) -> ir.Table:
    """toucher (a customer), touched_at, message_id, journey, message_channel: what people did with messages."""
    news, messages = warehouse.table(MESSAGE_EVENTS), warehouse.table(MESSAGES)
    heard = news.filter(news.news.isin([*PERSONAL, "delivered"])).select("message_id", "news", "occurred_at", "machine")
    rows = heard.join(
        messages.select("message_id", "journey", "channel", "customer_id", "delivered_at"),
        "message_id",
    )
    in_person = rows.news.isin(PERSONAL) & ~rows.machine
    arrived = (rows.news == "delivered") & rows.channel.isin(WITHOUT_OPENS) & rows.delivered_at.notnull()
    return rows.filter(in_person | arrived).select(
        "message_id", "journey", message_channel="channel", toucher="customer_id", touched_at="occurred_at"
    )
