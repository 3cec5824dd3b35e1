"""What is learned of each person: how likely they act on a channel, and at which hour they are about.

Nobody has enough of a past to be judged by it alone. So everybody's own rate is shrunk to that of their like (people of
one country who last bought about as long ago), and that to everybody's: an empirical Bayes estimate, the more their own
the more they were written to. To act is to click or to reply, which leaves a trace on every channel alike; an opening
does not.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from functools import reduce

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.catalog.facts import ORDERS
from onevoice.catalog.orders import counted
from onevoice.customers.facts import PROFILES
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys import worth
from onevoice.journeys.facts import CHANNEL_HABITS, CHANNEL_WORTH, HOUR_HABITS, LIKE_HABITS
from onevoice.journeys.keeping import later
from onevoice.kernel.clock import naive, time_zone
from onevoice.warehouse import Facts, Warehouse

EVERY = timedelta(days=1)
"""How often it is learned anew."""

HALF_LIFE_DAYS = 180.0
"""After so long a message counts half."""

REMEMBERED = timedelta(days=730)

SETTLED = timedelta(days=2)
"""A message younger than that may still be acted upon, and teaches nothing yet."""

BANDS = ((30, "month"), (90, "quarter"), (365, "year"))
"""Days since the last order, and what people who bought within them are alike in; others are `older` or `never`."""

WEAK, STRONG = 5.0, 2_000.0
"""Bounds of the strength of what is said of one's like, in messages."""

LIKE_STRENGTH = 200.0
"""How many messages to a group weigh as much as those to everybody."""

HOUR_STRENGTH = 8.0
"""How many of one's own traces weigh as much as one's like's."""

DAYTIME = range(8, 21)
"""Hours at which anybody may be written to; the best is one of these."""


def learn(warehouse: Warehouse, now: datetime, messages: ir.Table | None = None) -> None:
    """Writes the habits anew, from what had happened by `now`; in the caller's transaction. Once a day will do.

    `messages` are those it is learned from, where not from all of the warehouse's.
    """
    sent = warehouse.table(MESSAGES) if messages is None else messages
    likes = warehouse.stage("likes", alike(warehouse, ibis.timestamp(naive(now))))
    _learn_channels(warehouse, sent, likes, now)
    _learn_hours(warehouse, sent, likes, now)
    _renew(warehouse, CHANNEL_WORTH, warehouse.stage("learned_worth", worth.learned(warehouse, now)))


def learn_daily(
    warehouse: Warehouse, now: datetime, every: timedelta = EVERY, messages: ir.Table | None = None
) -> bool:
    """Learns where that is a day ago (or as long as `every` says), or was never done; says whether it did."""
    hours = warehouse.table(HOUR_HABITS)  # never empty once something was learned
    last = warehouse.rows(hours.aggregate(at=hours.learned_at.max()))[0]["at"]
    if last is not None and naive(now) - last < every:
        return False
    learn(warehouse, now, messages)
    return True


def alike(warehouse: Warehouse, at: ir.TimestampValue, among: ir.Table | None = None) -> ir.Table:
    """customer_id, alike: such as `IT quarter`, people of Italy whose last order is one to three months ago.

    Of everybody, or of the customers of `among`.
    """
    orders, profiles = counted(warehouse.table(ORDERS)), warehouse.table(PROFILES)
    if among is not None:
        orders, profiles = orders.semi_join(among, "customer_id"), profiles.semi_join(among, "customer_id")
    orders = orders.filter(orders.ordered_at <= at)
    last = orders.group_by("customer_id").aggregate(last_at=orders.ordered_at.max())
    rows = profiles.select("customer_id", "country").left_join(last, "customer_id").drop("customer_id_right")
    bands = [(rows.last_at > later(at, -timedelta(days=days)), band) for days, band in BANDS]
    band = ibis.cases((rows.last_at.isnull(), "never"), *bands, else_="older")
    return rows.select("customer_id", alike=ibis.coalesce(rows.country, "") + " " + band)


def _learn_channels(warehouse: Warehouse, messages: ir.Table, likes: ir.Table, now: datetime) -> None:
    own = warehouse.stage("own_habits", _own(messages, now).join(likes, "customer_id"))
    strength = _strength(own)
    everybody = own.group_by("channel").aggregate(sent=own.sent.sum(), acted=own.acted.sum())
    everybody = everybody.mutate(overall=everybody.acted / everybody.sent).join(strength, "channel")
    groups = own.group_by("alike", "channel").aggregate(sent=own.sent.sum(), acted=own.acted.sum())
    groups = groups.join(everybody.select("channel", "overall", "strength"), "channel")
    shrunk = groups.mutate(rate=(groups.acted + LIKE_STRENGTH * groups.overall) / (groups.sent + LIKE_STRENGTH))
    at = ibis.timestamp(naive(now)).cast("timestamp(6)")
    columns = list(LIKE_HABITS.columns)
    general = everybody.mutate(alike=ibis.literal(""), rate=everybody.overall, learned_at=at).select(*columns)
    everyone = LIKE_HABITS, general.union(shrunk.mutate(learned_at=at).select(*columns))
    told = warehouse.stage("new_like_habits", everyone[1])
    rows = own.join(told.select("alike", "channel", "rate", "strength"), ["alike", "channel"])
    rows = rows.mutate(rate=(rows.acted + rows.strength * rows.rate) / (rows.sent + rows.strength), learned_at=at)
    _renew(warehouse, everyone[0], told)
    _renew(warehouse, CHANNEL_HABITS, rows)


def _own(messages: ir.Table, now: datetime) -> ir.Table:
    """customer_id, channel, sent, acted: messages that went out, weighed by their age."""
    sent = messages.filter(
        messages.accepted_at.notnull(),
        messages.failed_at.isnull(),
        messages.planned_at <= ibis.timestamp(naive(now - SETTLED)),
        messages.planned_at > ibis.timestamp(naive(now - REMEMBERED)),
    )
    weighed = sent.mutate(weight=_weight(sent.planned_at, now))
    acted = (weighed.clicked_at <= ibis.timestamp(naive(now))).fill_null(False)
    return weighed.group_by("customer_id", "channel").aggregate(
        sent=weighed.weight.sum(), acted=ibis.coalesce(weighed.weight.sum(where=acted), 0.0)
    )


def _strength(own: ir.Table) -> ir.Table:
    """channel, strength: how many messages what is said of everybody is worth, from how much people differ.

    The beta-binomial's moment estimate (Kleinman 1973, "Proportions with extraneous variance: single and independent
    samples", Journal of the American Statistical Association 68:46-54, with weights by the number of messages): where
    people differ no more than chance makes them, one's own past says nothing, and the strength is at its bound.
    """
    total = own.group_by("channel").aggregate(
        people=own.count(), sent=own.sent.sum(), squares=(own.sent * own.sent).sum(), acted=own.acted.sum()
    )
    mean = total.select("channel", "people", "sent", "squares", mean=total.acted / total.sent)
    rows = own.select("channel", "acted", own_sent="sent").join(mean, "channel")
    apart = rows.group_by("channel", "people", "sent", "squares", "mean").aggregate(
        apart=(rows.own_sent * (rows.acted / rows.own_sent - rows["mean"]) ** 2).sum()
    )
    chance = apart["mean"] * (1 - apart["mean"])
    surplus = apart.apart - chance * (apart.people - 1)
    most = chance * (apart.sent - apart.squares / apart.sent - (apart.people - 1))
    likeness = ibis.ifelse((most > 0) & (surplus > 0), surplus / most, 0.0)
    strength = ibis.ifelse(likeness > 0, 1 / likeness - 1, STRONG)
    return apart.select("channel", strength=strength.clip(WEAK, STRONG))


def _learn_hours(warehouse: Warehouse, messages: ir.Table, likes: ir.Table, now: datetime) -> None:
    traces = warehouse.stage("traces", _traces(warehouse, messages, now).join(likes, "customer_id"))
    seen = traces.group_by("customer_id", "alike", "hour").aggregate(n=traces.weight.sum())
    groups = traces.group_by("alike", "hour").aggregate(n=traces.weight.sum())
    general = traces.group_by("hour").aggregate(n=traces.weight.sum())
    hours = warehouse.stage("hours", pa.table({"hour": pa.array(list(DAYTIME), pa.int64())}))
    # Of everybody: an even share where nothing was seen at all.
    count = len(DAYTIME)
    flat = hours.left_join(general, "hour").drop("hour_right")
    flat = flat.mutate(n=ibis.coalesce(flat.n, 0.0))
    flat = flat.mutate(total=flat.n.sum().over())
    flat = flat.select("hour", expected=(flat.n + 1) / (flat.total + count))
    like = _shares(groups, ["alike"], hours, flat, LIKE_STRENGTH)
    like = warehouse.stage("like_hours", like)
    own = _shares(seen, ["customer_id", "alike"], hours, like.select("alike", "hour", expected="share"), HOUR_STRENGTH)
    at = ibis.timestamp(naive(now)).cast("timestamp(6)")
    nobody = ibis.literal(0, "int64")
    everybody = flat.mutate(alike=ibis.literal(""), share=flat.expected, active=ibis.literal(0.0))
    rows = (
        _best(own, ["customer_id", "alike"]),
        _best(like, ["alike"]).mutate(customer_id=nobody),
        _best(everybody, ["alike"]).mutate(customer_id=nobody),
    )
    columns = list(HOUR_HABITS.columns)
    _renew(warehouse, HOUR_HABITS, ibis.union(*(one.mutate(learned_at=at).select(*columns) for one in rows)))


def _shares(seen: ir.Table, keys: list[str], hours: ir.Table, expected: ir.Table, strength: float) -> ir.Table:
    """Every hour's share of each key's traces, shrunk to `expected`; `active` is all of them."""
    total = seen.group_by(keys).aggregate(active=seen.n.sum())
    grid = total.cross_join(hours)
    grid = grid.left_join(seen, [*keys, "hour"]).select(*keys, "active", "hour", n=ibis.coalesce(seen.n, 0.0))
    on = [name for name in ("alike", "hour") if name in expected.columns]
    grid = grid.join(expected, on)
    return grid.select(*keys, "hour", "active", share=(grid.n + strength * grid.expected) / (grid.active + strength))


def _best(shares: ir.Table, keys: list[str]) -> ir.Table:
    """The hour with the largest share; the earlier of two alike."""
    order = [ibis.desc("share"), shares.hour]
    ranked = shares.mutate(place=ibis.row_number().over(group_by=keys, order_by=order))
    return ranked.filter(ranked.place == 0).drop("place")


def _traces(warehouse: Warehouse, messages: ir.Table, now: datetime) -> ir.Table:
    """customer_id, hour (by their clock), weight: openings and clicks by hand, replies, orders made online.

    Each trace counts half for its own hour and a quarter for each neighbour: nobody is bound to the hour.
    """
    orders = counted(warehouse.table(ORDERS))
    online = orders.filter(orders.channel != "offline").select("customer_id", at="ordered_at")
    moments = [messages.select("customer_id", at=name) for name in ("opened_at", "clicked_at")]
    traces = ibis.union(*moments, online)
    traces = traces.filter(traces.at <= ibis.timestamp(naive(now)), traces.at > ibis.timestamp(naive(now - REMEMBERED)))
    profiles = warehouse.table(PROFILES).select("customer_id", "time_zone")
    zones = warehouse.read(profiles.select("time_zone").distinct())["time_zone"].to_pylist()
    offsets = warehouse.stage("offsets", _offsets([zone for zone in zones if zone], now))
    rows = traces.join(profiles, "customer_id").left_join(
        offsets,
        [ibis._.time_zone == offsets.zone, ibis._.at >= offsets.since, ibis._.at < offsets.until],
    )
    local = rows.at.epoch_seconds() + ibis.coalesce(rows.seconds, 0)
    hour = (local // 3600) % 24
    weight = _weight(rows.at, now)
    spread = [
        rows.select("customer_id", hour=((hour + shift + 24) % 24).cast("int64"), weight=weight * part)
        for shift, part in ((-1, 0.25), (0, 0.5), (1, 0.25))
    ]
    spread_out = reduce(lambda one, other: one.union(other), spread)
    return spread_out.filter(spread_out.hour.isin(list(DAYTIME)))


def _offsets(zones: Iterable[str], now: datetime) -> pa.Table:
    """zone, since, until, seconds: how far the zone's clock is ahead of UTC, by the stretches between its changes."""
    rows: list[tuple[str, datetime, datetime, int]] = []
    for name in zones:
        zone = time_zone(name)
        at, end = now - REMEMBERED - timedelta(days=1), now + timedelta(days=1)
        while at < end:
            seconds = _ahead(zone, at)
            until = at
            while until < end and _ahead(zone, until) == seconds:
                until += timedelta(days=1)
            if until < end:  # back to the very hour: zones change on the hour, or half of it
                until -= timedelta(days=1)
                while _ahead(zone, until) == seconds:
                    until += timedelta(minutes=30)
            rows.append((name, naive(at), naive(until), seconds))
            at = until
    names = ("zone", "since", "until", "seconds")
    kinds = (pa.string(), pa.timestamp("us"), pa.timestamp("us"), pa.int64())
    return pa.table({name: pa.array([row[i] for row in rows], kinds[i]) for i, name in enumerate(names)})


def _ahead(zone: tzinfo, at: datetime) -> int:
    found = at.astimezone(zone).utcoffset()
    return int(found.total_seconds()) if found else 0


def _weight(moment: ir.TimestampValue, now: datetime) -> ir.FloatingValue:
    """One half for every half-life the moment lies back."""
    seconds = ibis.literal(naive(now)).cast("timestamp").epoch_seconds() - moment.epoch_seconds()
    return ibis.literal(0.5) ** (seconds / (HALF_LIFE_DAYS * 86_400))


def _renew(warehouse: Warehouse, facts: Facts, rows: ir.Table) -> None:
    """All rows of the table are replaced."""
    staged = warehouse.stage(f"renewed_{facts.name}", rows)
    warehouse.delete(facts, warehouse.table(facts).select(*facts.order_by).distinct())
    warehouse.append(facts, staged)
