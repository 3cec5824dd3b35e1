"""The best channel and the best hour for each person, from what was learned of them (habits.py), with the figures.

A channel's score is what a message on it is expected to bring, less what it costs: the rate at which they act, times
what an action is worth, minus the price there. So an expensive channel comes first only for those who answer on it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.catalog.facts import ORDERS
from onevoice.catalog.orders import counted
from onevoice.customers.facts import PROFILES
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys.facts import CHANNEL_HABITS, HOUR_HABITS, LIKE_HABITS
from onevoice.journeys.habits import alike
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


def ranked(
    warehouse: Warehouse,
    customers: ir.Table,
    channels: Sequence[str],
    now: datetime,
    prices: Prices | None = None,
    worth: float | None = None,
) -> ir.Table:
    """For each of `customers` (customer_id) and channel: rank from 0, the best first, and why.

    Columns: customer_id, channel, rank, score, rate, price, worth, own_sent, own_acted, alike, like_rate. Of equal
    scores the journey's order decides. What is not given is learned: the `prices` from what was paid lately, the
    `worth` of an action by `worth_of_action`.
    """
    worth = worth_of_action(warehouse, now) if worth is None else worth
    held = warehouse.stage("channel_prices", _priced(channels, {**_paid(warehouse, now), **(prices or {})}))
    everywhere = held.filter(held.country == ELSEWHERE).select("channel", "place", usual="price")
    named = held.filter(held.country != ELSEWHERE).select("channel", "country", "price")
    countries = warehouse.table(PROFILES).select("customer_id", "country")
    likes = alike(warehouse, now).semi_join(customers, "customer_id")
    rows = customers.select("customer_id").distinct().cross_join(everywhere)
    for facts, on in (
        (countries, ["customer_id"]),
        (named, ["channel", "country"]),
        (likes, ["customer_id"]),
        (_own(warehouse), ["customer_id", "channel"]),
        (_of_their_like(warehouse), ["alike", "channel"]),
        (_of_everybody(warehouse), ["channel"]),
    ):
        rows = rows.left_join(facts, on)
        rows = rows.drop(*(f"{name}_right" for name in on if f"{name}_right" in rows.columns))
    like_rate = ibis.coalesce(rows.like_rate, rows.general_rate, 0.0)
    rate = ibis.coalesce(rows.own_rate, like_rate)
    price = ibis.coalesce(rows.price, rows.usual)
    rows = rows.select(
        "customer_id",
        "channel",
        "place",
        score=rate * worth - price,
        rate=rate,
        price=price,
        worth=ibis.literal(worth, "float64"),
        own_sent=ibis.coalesce(rows.own_sent, 0.0),
        own_acted=ibis.coalesce(rows.own_acted, 0.0),
        alike=ibis.coalesce(rows.alike, ""),
        like_rate=like_rate,
    )
    order = [ibis.desc("score"), rows.place]
    return rows.mutate(rank=ibis.row_number().over(group_by="customer_id", order_by=order)).drop("place")


def best_hours(warehouse: Warehouse, customers: ir.Table, now: datetime) -> ir.Table:
    """For each of `customers` (customer_id): hour by their own clock, share of their activity in it, active, alike.

    Of whom nothing was seen, the hour is that of their like, or everybody's; `active` is then 0.
    """
    hours = warehouse.table(HOUR_HABITS)
    own = hours.filter(hours.customer_id != 0).select("customer_id", "hour", "share", "active")
    others = hours.filter(hours.customer_id == 0)
    like = others.filter(others.alike != "").select("alike", like_hour="hour", like_share="share")
    general = others.filter(others.alike == "").select(general_hour="hour", general_share="share")
    likes = alike(warehouse, now).semi_join(customers, "customer_id")
    rows = customers.select("customer_id").distinct().left_join(own, "customer_id").drop("customer_id_right")
    rows = rows.left_join(likes, "customer_id").drop("customer_id_right")
    rows = rows.left_join(like, "alike").drop("alike_right").left_join(general, True)
    return rows.select(
        "customer_id",
        hour=ibis.coalesce(rows.hour, rows.like_hour, rows.general_hour),
        share=ibis.coalesce(rows.share, rows.like_share, rows.general_share),
        active=ibis.coalesce(rows.active, 0.0),
        alike=ibis.coalesce(rows.alike, ""),
    )


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


def _paid(warehouse: Warehouse, now: datetime) -> Prices:
    """What a message cost on average lately, by channel and country."""
    messages, profiles = warehouse.table(MESSAGES), warehouse.table(PROFILES)
    paid = messages.filter(
        messages.cost.notnull(),
        messages.planned_at > ibis.timestamp(naive(now - PAID_WITHIN)),
        messages.planned_at <= ibis.timestamp(naive(now)),
    ).left_join(profiles.select("customer_id", "country"), "customer_id")
    totals = paid.group_by("channel", "country").aggregate(n=paid.count(), cost=paid.cost.sum())
    found: dict[str, dict[str, tuple[int, float]]] = {}
    for row in warehouse.rows(totals):
        for country in {row["country"] or ELSEWHERE, ELSEWHERE}:
            n, cost = found.setdefault(row["channel"], {}).get(country, (0, 0.0))
            found[row["channel"]][country] = (n + row["n"], cost + float(row["cost"]))
    return {channel: {where: cost / n for where, (n, cost) in prices.items()} for channel, prices in found.items()}


def _priced(channels: Sequence[str], prices: Prices) -> pa.Table:
    """channel, place (in the journey's order), country, price; every channel has a row for elsewhere."""
    found = []
    for place, channel in enumerate(channels):
        told = prices.get(channel, 0.0)
        for country, price in {ELSEWHERE: 0.0, **(told if isinstance(told, dict) else {ELSEWHERE: told})}.items():
            found.append((channel, place, country, float(price)))
    names = ("channel", "place", "country", "price")
    kinds = (pa.string(), pa.int64(), pa.string(), pa.float64())
    return pa.table({name: pa.array([row[i] for row in found], kinds[i]) for i, name in enumerate(names)})


def _own(warehouse: Warehouse) -> ir.Table:
    habits = warehouse.table(CHANNEL_HABITS)
    return habits.select("customer_id", "channel", own_sent="sent", own_acted="acted", own_rate="rate")


def _of_their_like(warehouse: Warehouse) -> ir.Table:
    habits = warehouse.table(LIKE_HABITS)
    return habits.filter(habits.alike != "").select("alike", "channel", like_rate="rate")


def _of_everybody(warehouse: Warehouse) -> ir.Table:
    habits = warehouse.table(LIKE_HABITS)
    return habits.filter(habits.alike == "").select("channel", general_rate="rate")
