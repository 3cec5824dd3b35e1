"""The figures, each defined once; the API, the page, the demo and the benchmarks all ask here.

A period is [start, end) in UTC. Money is net of discounts, without tax and shipping, in the shop's one currency. A rate
whose denominator is zero is None, never zero.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

import ibis
import ibis.expr.types as ir

from onevoice.catalog.facts import ORDER_LINES, ORDERS
from onevoice.catalog.orders import COUNTED, counted, kept
from onevoice.customers.facts import IDENTIFIERS, IDENTITY_LINKS, PROFILES
from onevoice.customers.identifiers import ANONYMOUS
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.insights.attribution import RULES, last_touch
from onevoice.journeys.facts import DECISIONS
from onevoice.kernel.clock import aware, naive
from onevoice.warehouse import Warehouse

ALWAYS = (aware(datetime(1970, 1, 1)), aware(datetime(9999, 1, 1)))
"""The period of all that is known."""


def overview(warehouse: Warehouse, start: datetime, end: datetime) -> dict[str, Any]:
    """Orders, order lines, sales, buyers; and of them:

    - `orders`, `buyers`: as catalog.orders.counted has it, without those cancelled or wholly returned; `order_lines` of
      which something was kept
    - `sales`: what orders of the period brought in the end, `gross_sales` what they were sold for. What was `refunded`
      lowers the sales of the day of the order, not of the refund; a return without its sale those of its own day
    - `aov`: sales / orders
    - `repeat_purchase_rate`: buyers with two or more orders in the period / buyers with one or more
    - `new_customers`: buyers whose first order ever is in the period
    - `cac`: what messages cost in the period / new customers. That is all the marketing spend OneVoice knows of, so it
      is no more than the share of messaging in the true figure; None without new customers, and `cac_reason` says so
    """
    all_orders = _within(warehouse.table(ORDERS), "ordered_at", start, end)
    orders = counted(all_orders)
    lines = kept(_within(warehouse.table(ORDER_LINES), "ordered_at", start, end))
    buyers = orders.group_by("customer_id").aggregate(orders=orders.count())
    first = counted(warehouse.table(ORDERS)).group_by("customer_id").aggregate(first_at=ibis._.ordered_at.min())
    totals = _one(warehouse, _totals(all_orders))
    people = _one(warehouse, buyers.aggregate(buyers=buyers.count(), repeat=(buyers.orders >= 2).sum()))
    messages = _within(warehouse.table(MESSAGES), "planned_at", start, end)
    cost = _one(warehouse, messages.aggregate(cost=messages.cost.sum()))["cost"]
    new = warehouse.count(_within(first, "first_at", start, end))
    return {
        "orders": int(totals["orders"] or 0),
        "order_lines": warehouse.count(lines),
        "sales": _money(totals["sales"]),
        "gross_sales": _money(totals["gross"]),
        "refunded": _money(totals["refunded"]),
        "aov": _ratio(totals["sales"], totals["orders"]),
        "buyers": people["buyers"],
        "repeat_purchase_rate": _ratio(people["repeat"], people["buyers"]),
        "new_customers": new,
        "message_cost": _money(cost),
        "cac": _ratio(cost or 0, new),
        "cac_reason": "" if new else "Nobody bought for the first time in the period",
    }


def _totals(orders: ir.Table) -> ir.Table:
    """Of orders of any status: how many count, and the money of all not cancelled: net, gross and refunded."""
    valid = orders.status != "cancelled"
    return orders.aggregate(
        orders=(orders.status == COUNTED).sum(),
        sales=orders.revenue.sum(),
        gross=orders.gross_revenue.sum(where=valid),
        refunded=orders.refunded.sum(where=valid),
    )


def identities(warehouse: Warehouse) -> dict[str, Any]:
    """Customers, those of them not only anonymous (`known`), identifiers per namespace, links, and customers of more
    than one identifier (`unified`)."""
    identifiers = warehouse.table(IDENTIFIERS)
    known = identifiers.filter(identifiers.namespace != ANONYMOUS).select("customer_id").distinct()
    sizes = identifiers.group_by("customer_id").aggregate(n=identifiers.count())
    named = warehouse.rows(identifiers.group_by("namespace").aggregate(n=identifiers.count()))
    return {
        "customers": warehouse.count(warehouse.table(PROFILES)),
        "known": warehouse.count(known),
        "identifiers": sum(row["n"] for row in named),
        "by_namespace": {row["namespace"]: row["n"] for row in sorted(named, key=lambda row: row["namespace"])},
        "links": warehouse.count(warehouse.table(IDENTITY_LINKS)),
        "unified": warehouse.count(sizes.filter(sizes.n > 1)),
    }


def channels(
    warehouse: Warehouse, start: datetime, end: datetime, journey: str | None = None, step: str | None = None
) -> dict[str, dict[str, Any]]:
    """Per channel, of the messages planned in the period (of one journey, of one cascade of it):

    - `planned`, `sent` (a provider accepted it), `delivered`, `opened` and `clicked` (by persons, each message once),
      `unsubscribed`, `failed`, `in_doubt`
    - `opened_by_machines`, `clicked_by_machines`: messages that only machines opened or clicked
    - `orders`, `revenue`: put down to the channel's messages; of the orders, `orders_by_click`, `_coupon`, `_window`
      say by which rule (attribution.py)
    - `cost`; `cpa` = cost / orders; `conversion` = orders / delivered
    """
    messages = _within(warehouse.table(MESSAGES), "planned_at", start, end)
    if journey is not None:
        messages = messages.filter(messages.journey == journey)
    if step is not None:
        messages = messages.filter(messages.step.startswith(f"{step}/"))
    funnel = messages.group_by("channel").aggregate(
        planned=messages.count(),
        sent=messages.accepted_at.count(),
        delivered=messages.delivered_at.count(),
        opened=messages.opened_at.count(),
        clicked=messages.clicked_at.count(),
        unsubscribed=messages.unsubscribed_at.count(),
        failed=(messages.status == "failed").sum(),
        in_doubt=(messages.status == "in_doubt").sum(),
        cost=messages.cost.sum(),
    )
    touched = last_touch(warehouse).semi_join(messages, "message_id")
    earned = touched.group_by("channel").aggregate(
        orders=touched.count(),
        revenue=touched.revenue.sum(),
        **{f"orders_by_{rule}": (touched.rule == rule).sum() for rule in RULES},
    )
    rows = funnel.left_join(earned, "channel").drop("channel_right")
    rows = rows.left_join(_by_machines(warehouse, messages), "channel").drop("channel_right")
    return {row.pop("channel"): _with_rates(row) for row in warehouse.rows(rows.order_by("channel"))}


def _by_machines(warehouse: Warehouse, messages: ir.Table) -> ir.Table:
    """Per channel, the messages that machines opened or clicked and no person did."""
    news = warehouse.table(MESSAGE_EVENTS)
    heard = (
        news.filter(news.machine)
        .group_by("message_id")
        .aggregate(opens=(news.news == "opened").any(), clicks=(news.news == "clicked").any())
    )
    both = messages.select("message_id", "channel", "opened_at", "clicked_at").join(heard, "message_id")
    return both.group_by("channel").aggregate(
        opened_by_machines=(both.opens & both.opened_at.isnull()).sum(),
        clicked_by_machines=(both.clicks & both.clicked_at.isnull()).sum(),
    )


def decisions(warehouse: Warehouse, journey: str | None = None) -> dict[str, int]:
    """How often each reason decided, the most frequent first."""
    table = warehouse.table(DECISIONS)
    made = table if journey is None else table.filter(table.journey == journey)
    rows = warehouse.rows(made.group_by("reason").aggregate(n=made.count()))
    return {row["reason"]: row["n"] for row in sorted(rows, key=lambda row: (-row["n"], row["reason"]))}


def _with_rates(row: dict[str, Any]) -> dict[str, Any]:
    orders, cost = row["orders"] or 0, row["cost"] or 0
    return {
        **{name: int(value or 0) for name, value in row.items() if name not in ("cost", "revenue")},
        "revenue": _money(row["revenue"]),
        "cost": float(cost),
        "cpa": _ratio(cost, orders),
        "conversion": _ratio(orders, row["delivered"]),
    }


def _within(rows: ir.Table, moment: str, start: datetime, end: datetime) -> ir.Table:
    if (start, end) == ALWAYS:
        return rows
    return rows.filter(rows[moment] >= ibis.timestamp(naive(start)), rows[moment] < ibis.timestamp(naive(end)))


def _one(warehouse: Warehouse, expression: ir.Table) -> dict[str, Any]:
    return warehouse.rows(expression)[0]


def _money(amount: Decimal | None) -> float:
    return round(float(amount or 0), 2)


def _ratio(part: float | Decimal | None, whole: float | Decimal | None) -> float | None:
    return float(part or 0) / float(whole) if whole else None
