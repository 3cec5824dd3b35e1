"""The best channel and the best hour for each person, from what was learned of them (habits.py), with the figures.

A channel's score is what a message on it is expected to bring, less what it costs: the rate at which they act, times
what an action is worth, minus the price there. So an expensive channel comes first only for those who answer on it.
"""

from collections.abc import Sequence
from datetime import datetime

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.customers.facts import PROFILES
from onevoice.journeys.facts import CHANNEL_HABITS, HOUR_HABITS, LIKE_HABITS
from onevoice.journeys.habits import alike
from onevoice.journeys.worth import ELSEWHERE, Prices, known
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse


def ranked(
    warehouse: Warehouse,
    customers: ir.Table,
    channels: Sequence[str],
    now: datetime,
    prices: Prices | None = None,
) -> ir.Table:
    """For each of `customers` (customer_id) and channel: rank from 0, the best first, and why.

    Columns: customer_id, channel, rank, score, rate, price, worth, own_sent, own_acted, alike, like_rate. Of equal
    scores the journey's order decides. `prices` that are not given are those that were paid lately.
    """
    return ranks(warehouse, customers, priced(warehouse, channels, prices), ibis.timestamp(naive(now)))


def priced(warehouse: Warehouse, channels: Sequence[str], prices: Prices | None = None) -> ir.Table:
    """Stages what `ranks` is told of the channels: channel, place (in this order), country, price, worth of an action;
    every channel has a row for elsewhere."""
    worth, paid = known(warehouse)
    told = {**paid, **(prices or {})}
    found = []
    for place, channel in enumerate(channels):
        one = told.get(channel, 0.0)
        for country, price in {ELSEWHERE: 0.0, **(one if isinstance(one, dict) else {ELSEWHERE: one})}.items():
            found.append((channel, place, country, float(price), worth))
    names = ("channel", "place", "country", "price", "worth")
    kinds = (pa.string(), pa.int64(), pa.string(), pa.float64(), pa.float64())
    columns = {name: pa.array([row[i] for row in found], kinds[i]) for i, name in enumerate(names)}
    return warehouse.stage("channel_prices", pa.table(columns))


def ranks(warehouse: Warehouse, customers: ir.Table, held: ir.Table, at: ir.TimestampValue) -> ir.Table:
    """As `ranked` has it, of channels that are `priced`."""
    everywhere = held.filter(held.country == ELSEWHERE).select("channel", "place", "worth", usual="price")
    named = held.filter(held.country != ELSEWHERE).select("channel", "country", "price")
    countries = warehouse.table(PROFILES).select("customer_id", "country")
    likes = alike(warehouse, at, customers)
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
        score=rate * rows.worth - price,
        rate=rate,
        price=price,
        worth=rows.worth,
        own_sent=ibis.coalesce(rows.own_sent, 0.0),
        own_acted=ibis.coalesce(rows.own_acted, 0.0),
        alike=ibis.coalesce(rows.alike, ""),
        like_rate=like_rate,
    )
    order = [ibis.desc("score"), rows.place]
    return rows.mutate(rank=ibis.row_number().over(group_by="customer_id", order_by=order)).drop("place")


def best_hours(warehouse: Warehouse, customers: ir.Table, at: ir.TimestampValue) -> ir.Table:
    """For each of `customers` (customer_id): hour by their own clock, share of their activity in it, active, alike.

    Of whom nothing was seen, the hour is that of their like, or everybody's; `active` is then 0.
    """
    hours = warehouse.table(HOUR_HABITS)
    own = hours.filter(hours.customer_id != 0).select("customer_id", "hour", "share", "active")
    others = hours.filter(hours.customer_id == 0)
    like = others.filter(others.alike != "").select("alike", like_hour="hour", like_share="share")
    general = others.filter(others.alike == "").select(general_hour="hour", general_share="share")
    likes = alike(warehouse, at, customers)
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


def _own(warehouse: Warehouse) -> ir.Table:
    habits = warehouse.table(CHANNEL_HABITS)
    return habits.select("customer_id", "channel", own_sent="sent", own_acted="acted", own_rate="rate")


def _of_their_like(warehouse: Warehouse) -> ir.Table:
    habits = warehouse.table(LIKE_HABITS)
    return habits.filter(habits.alike != "").select("alike", "channel", like_rate="rate")


def _of_everybody(warehouse: Warehouse) -> ir.Table:
    habits = warehouse.table(LIKE_HABITS)
    return habits.filter(habits.alike == "").select("channel", general_rate="rate")
