"""Which message an order is put down to, and by which rule. Named wherever a result is shown.

Of the messages to its customer counts in this order:

1. `click`: the one that the customer, in person, clicked last, within `WINDOW` before the order
2. `coupon`: else the last one that gave the code the order was made with, within `COUPON_WINDOW`
3. `window`: else the one that was opened last, in person, within `WINDOW`; on a channel that has no opens (SMS)
   delivery is a touch too

Both be it for the first time or again. An order belongs to one message at most; one that was cancelled or wholly
returned belongs to none, and what was refunded of the others is off their revenue. It says what came after what, not
what caused what: for that, see experiments.py.
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

COUPON_WINDOW = timedelta(days=90)
"""How long after the message an order with its coupon counts."""

RULES = ("click", "coupon", "window")
"""By what an order is put down to a message, the stronger first."""

WITHOUT_OPENS = ("sms",)
"""Channels on which reading leaves no trace; there delivery is a touch."""


def last_touch(warehouse: Warehouse, window: timedelta = WINDOW) -> ir.Table:
    """source_id, order_id, revenue, ordered_at, message_id, journey, channel, rule of each order put down to a message.

    `rule` is one of RULES.
    """
    touches, orders = _touches(warehouse), counted(warehouse.table(ORDERS))
    bought = orders.select("source_id", "order_id", "revenue", "ordered_at", "customer_id", "coupon")
    pairs = bought.join(touches, bought.customer_id == touches.toucher)
    near = _since(pairs, window).drop("coupon")
    given = _coupons(warehouse)
    used = bought.join(given, (bought.customer_id == given.toucher) & (bought.coupon.lower() == given.code)).drop(
        "code"
    )
    near = near.union(_since(used, COUPON_WINDOW).drop("coupon").select(*near.columns))
    ranked = near.mutate(
        rank=ibis.row_number().over(
            group_by=["source_id", "order_id"],
            order_by=[near.rule, ibis.desc("touched_at"), near.message_id],  # by name: click, coupon, window
        )
    )
    return ranked.filter(ranked["rank"] == 0).select(
        "source_id",
        "order_id",
        "revenue",
        "ordered_at",
        "message_id",
        "journey",
        "rule",
        channel=ranked.message_channel,
    )


def _since(pairs: ir.Table, window: timedelta) -> ir.Table:
    return pairs.filter(
        pairs.ordered_at >= pairs.touched_at,
        pairs.ordered_at <= pairs.touched_at + ibis.interval(seconds=int(window.total_seconds())),
    )


def _coupons(warehouse: Warehouse) -> ir.Table:
    """The same columns of the messages that gave a coupon, with its `code` in small letters."""
    messages = warehouse.table(MESSAGES)
    gave = messages.filter(ibis.coalesce(messages.coupon, "") != "", messages.accepted_at.notnull())
    return gave.select(
        "message_id",
        "journey",
        message_channel="channel",
        toucher="customer_id",
        touched_at="accepted_at",
        rule=ibis.literal("coupon"),
        code=gave.coupon.lower(),
    )


def _touches(warehouse: Warehouse) -> ir.Table:
    """toucher (a customer), touched_at, message_id, journey, message_channel, rule: what people did with messages."""
    news, messages = warehouse.table(MESSAGE_EVENTS), warehouse.table(MESSAGES)
    heard = news.filter(news.news.isin([*PERSONAL, "delivered"])).select("message_id", "news", "occurred_at", "machine")
    rows = heard.join(
        messages.select("message_id", "journey", "channel", "customer_id", "delivered_at"),
        "message_id",
    )
    in_person = rows.news.isin(PERSONAL) & ~rows.machine
    arrived = (rows.news == "delivered") & rows.channel.isin(WITHOUT_OPENS) & rows.delivered_at.notnull()
    return rows.filter(in_person | arrived).select(
        "message_id",
        "journey",
        message_channel="channel",
        toucher="customer_id",
        touched_at="occurred_at",
        rule=ibis.ifelse(rows.news == "clicked", "click", "window"),
    )
