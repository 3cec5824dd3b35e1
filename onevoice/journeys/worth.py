"""What a message costs on each channel and what an action brings, learned with the habits once a day.

To ask it whenever somebody is due would read all orders and messages for a few people.
"""

from datetime import datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa

from onevoice.catalog.facts import ORDERS
from onevoice.catalog.orders import counted
from onevoice.customers.facts import PROFILES
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys.facts import CHANNEL_WORTH
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse

EARNED_WITHIN = timedelta(days=3)
"""An order so soon after an action counts as what the action was worth."""

WORTH_UNKNOWN = 1.0
"""What an action is taken to be worth, in the shop's currency, before anybody has ordered after one."""

ELSEWHERE = "else"
"""The country for which a price holds that is named for no country."""

PAID_WITHIN = timedelta(days=90)
"""What messages cost longer ago says nothing of what they cost now."""

Prices = dict[str, float | dict[str, float]]
"""What a message costs, by channel, or by channel and country (ISO 3166; `else` is everywhere else)."""


def learned(warehouse: Warehouse, now: datetime) -> pa.Table:
    """CHANNEL_WORTH as of `now`: a row of no channel, and one for each channel and country paid for lately."""
    worth, priced = worth_of_action(warehouse, now), paid(warehouse, now)
    rows = [("", ELSEWHERE, 0.0), *((channel, *one) for channel, found in priced.items() for one in found.items())]
    channels, countries, prices = zip(*rows, strict=True)
    return CHANNEL_WORTH.arrow(
        {
            "channel": list(channels),
            "country": list(countries),
            "price": list(prices),
            "worth": [worth] * len(rows),
            "learned_at": [naive(now)] * len(rows),
        }
    )


def known(warehouse: Warehouse) -> tuple[float, Prices]:
    """What an action is worth, and the prices, as they were learned last."""
    rows = warehouse.rows(warehouse.table(CHANNEL_WORTH))
    prices: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["channel"]:
            prices.setdefault(row["channel"], {})[row["country"]] = row["price"]
    return (rows[0]["worth"] if rows else WORTH_UNKNOWN), {**prices}


def worth_of_action(warehouse: Warehouse, now: datetime) -> float:
    """What an action brought on average: revenue of the orders soon after a click, by clicks; up to `now`."""
    messages, orders = warehouse.table(MESSAGES), counted(warehouse.table(ORDERS))
    past = ibis.timestamp(naive(now - EARNED_WITHIN))
    acted = messages.filter(messages.clicked_at <= past).select("message_id", "customer_id", "clicked_at")
    clicks = warehouse.count(acted)
    if not clicks:
        return WORTH_UNKNOWN
    pairs = acted.join(orders.select("customer_id", "ordered_at", "revenue"), "customer_id")
    soon = pairs.filter(
        pairs.ordered_at > pairs.clicked_at,
        pairs.ordered_at <= pairs.clicked_at + ibis.interval(seconds=int(EARNED_WITHIN.total_seconds())),
    )
    earned: Any = warehouse.rows(soon.aggregate(revenue=soon.revenue.sum()))[0]["revenue"]
    return float(earned) / clicks if earned and earned > 0 else WORTH_UNKNOWN


def paid(warehouse: Warehouse, now: datetime) -> dict[str, dict[str, float]]:
    """What a message cost on average lately, by channel and country; `else` is the average of all countries."""
    messages, profiles = warehouse.table(MESSAGES), warehouse.table(PROFILES)
    lately = messages.filter(
        messages.cost.notnull(),
        messages.planned_at > ibis.timestamp(naive(now - PAID_WITHIN)),
        messages.planned_at <= ibis.timestamp(naive(now)),
    ).left_join(profiles.select("customer_id", "country"), "customer_id")
    totals = lately.group_by("channel", "country").aggregate(n=lately.count(), cost=lately.cost.sum())
    found: dict[str, dict[str, tuple[int, float]]] = {}
    for row in warehouse.rows(totals):
        for country in {row["country"] or ELSEWHERE, ELSEWHERE}:
            n, cost = found.setdefault(row["channel"], {}).get(country, (0, 0.0))
            found[row["channel"]][country] = (n + row["n"], cost + float(row["cost"]))
    return {channel: {where: cost / n for where, (n, cost) in prices.items()} for channel, prices in found.items()}
