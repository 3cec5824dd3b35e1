"""What a back-test found: who came in, who would have been sent what, who would not and why, what it would have cost.

All of it is counted in the scratch warehouse, but `expected`, which is an estimate and says so.
"""

from collections.abc import Iterable
from datetime import timedelta
from math import sqrt
from typing import Any

import ibis
import ibis.expr.types as ir

from onevoice.catalog.facts import ORDERS
from onevoice.customers.facts import PROFILES
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys.backtest.reactions import PAST, Rate, banded
from onevoice.journeys.backtest.replay import Played
from onevoice.journeys.backtest.scratch import Scratch
from onevoice.journeys.facts import DECISIONS, ENROLMENTS
from onevoice.kernel.clock import naive

NORMAL_95 = 1.959964
"""Standard deviations on either side that hold 95 % of a normal distribution."""


def report(played: Played) -> dict[str, Any]:
    """The figures, as plain values ready for JSON."""
    scratch, plan = played.scratch, played.plan
    messages = _own(scratch, plan.journey.name)
    prices = _prices(scratch)
    channels = _channels(scratch, messages, prices)
    return {
        "journey": plan.journey.name,
        "version": plan.journey.version,
        "from": plan.window.start.isoformat(),
        "to": plan.window.end.isoformat(),
        "every_seconds": int(plan.every.total_seconds()),
        "known": plan.window.known,
        "instants": len(played.instants),
        "people": _people(scratch, plan.journey.name),
        "entries": _entries(scratch, plan.journey.name),
        "messages": _totals(channels),
        "channels": channels,
        "per_person": _per_person(scratch, messages),
        "refusals": _decided(scratch, plan.journey.name, "skip"),
        "deferrals": _decided(scratch, plan.journey.name, "defer"),
        "collisions": _collisions(scratch, plan.journey.name, messages),
        "expected": _expected(scratch, messages, played.rates) if plan.reacting else None,
        "newcomers": _newcomers(scratch),
    }


def _own(scratch: Scratch, journey: str) -> ir.Table:
    messages = scratch.table(MESSAGES)
    return messages.filter(messages.journey == journey)


def _people(scratch: Scratch, journey: str) -> dict[str, Any]:
    """How many came in, were held out, and how it ended for each."""
    enrolments = scratch.table(ENROLMENTS)
    mine = enrolments.filter(enrolments.journey == journey)
    groups = scratch.rows(mine.group_by("arm", "state", "step", "reason").aggregate(n=mine.count()))
    return {
        "entered": sum(row["n"] for row in groups),
        "holdout": sum(row["n"] for row in groups if row["arm"] == "holdout"),
        "still_in": _sums(row for row in groups if row["state"] == "active"),
        "ended": _sums({**row, "step": row["reason"]} for row in groups if row["state"] != "active"),
    }


def _sums(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        found[row["step"]] = found.get(row["step"], 0) + row["n"]
    return dict(sorted(found.items()))


def _entries(scratch: Scratch, journey: str) -> list[dict[str, Any]]:
    enrolments = scratch.table(ENROLMENTS)
    mine = enrolments.filter(enrolments.journey == journey)
    daily = mine.group_by(day=mine.entered_at.date()).aggregate(
        entered=mine.count(), holdout=mine.count(where=mine.arm == "holdout")
    )
    return [{**row, "day": row["day"].isoformat()} for row in scratch.rows(daily.order_by("day"))]


def _channels(scratch: Scratch, messages: ir.Table, prices: dict[str, float]) -> list[dict[str, Any]]:
    counted = messages.group_by("channel").aggregate(messages=messages.count(), people=messages.customer_id.nunique())
    return [
        {
            **row,
            "price": prices.get(row["channel"]),
            "cost": round(row["messages"] * prices[row["channel"]], 4) if row["channel"] in prices else None,
            "per_person": _histogram(scratch, messages.filter(messages.channel == row["channel"])),
        }
        for row in scratch.rows(counted.order_by("channel"))
    ]


def _totals(channels: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums over channels; no cost where a channel's price is not known."""
    priced = all(row["cost"] is not None for row in channels)
    return {
        "messages": sum(row["messages"] for row in channels),
        "cost": round(sum(row["cost"] for row in channels), 4) if priced else None,
        "unpriced": [row["channel"] for row in channels if row["cost"] is None],
    }


def _prices(scratch: Scratch) -> dict[str, float]:
    """What a message cost on each channel, on average of those of the year before."""
    past = scratch.table(scratch.history)
    since = ibis.timestamp(naive(scratch.window.start - PAST))
    paid = past.filter(past.cost.notnull(), past.planned_at > since)
    rows = scratch.rows(paid.group_by("channel").aggregate(price=paid.cost.cast("float64").mean()))
    return {row["channel"]: row["price"] for row in rows}


def _per_person(scratch: Scratch, messages: ir.Table) -> dict[str, Any]:
    """How many people got how many messages, in all and at most within seven days in a row."""
    week = ibis.interval(seconds=int(timedelta(days=7).total_seconds()) - 1)
    so_far = ibis.range_window(group_by="customer_id", order_by="planned_at", preceding=week, following=0)
    within = messages.mutate(n=messages.count().over(so_far))
    fullest = within.group_by("customer_id").aggregate(n=within.n.max())
    by_number = fullest.group_by("n").aggregate(people=fullest.count()).order_by("n")
    return {
        "messages": _histogram(scratch, messages),
        "most_in_a_week": {str(row["n"]): row["people"] for row in scratch.rows(by_number)},
    }


def _histogram(scratch: Scratch, messages: ir.Table) -> dict[str, int]:
    """How many people by how many messages."""
    each = messages.group_by("customer_id").aggregate(n=messages.count())
    rows = scratch.rows(each.group_by("n").aggregate(people=each.count()).order_by("n"))
    return {str(row["n"]): row["people"] for row in rows}


def _decided(scratch: Scratch, journey: str, outcome: str) -> list[dict[str, Any]]:
    decisions = scratch.table(DECISIONS)
    mine = decisions.filter(decisions.journey == journey, decisions.outcome == outcome)
    counted = mine.group_by("step", "channel", "reason").aggregate(
        times=mine.count(), people=mine.customer_id.nunique()
    )
    return scratch.rows(counted.order_by("step", "channel", ibis.desc("times"), "reason"))


def _collisions(scratch: Scratch, journey: str, messages: ir.Table) -> dict[str, Any]:
    """People written to by another journey, too, on one day (in UTC); and those whom a cap kept from a message because
    of others' messages in the 30 days before."""
    everything = scratch.table(MESSAGES)
    others = everything.filter(
        everything.journey != journey, everything.planned_at >= ibis.timestamp(naive(scratch.window.start))
    )
    ours = messages.select("customer_id", day=messages.planned_at.date()).distinct()
    theirs = others.select("customer_id", other="journey", day=others.planned_at.date()).distinct()
    both = ours.join(theirs, ["customer_id", "day"])
    by_journey = both.group_by("other").aggregate(people=both.customer_id.nunique(), person_days=both.count())
    decisions = scratch.table(DECISIONS)
    capped = decisions.filter(decisions.journey == journey, decisions.reason.contains("cap"))
    past = everything.filter(everything.journey != journey)
    return {
        "same_day_people": scratch.count(both.select("customer_id").distinct()),
        "by_journey": scratch.rows(by_journey.order_by(ibis.desc("people"), "other")),
        "capped_by_others": scratch.count(_capped_beside(capped, past)),
    }


def _capped_beside(capped: ir.Table, past: ir.Table) -> ir.Table:
    """The people capped to whom others had written in the 30 days before."""
    written = past.select(reader=past.customer_id, written_at=past.planned_at)
    lasting = ibis.interval(seconds=int(timedelta(days=30).total_seconds()))
    rows = capped.join(written, capped.customer_id == written.reader)
    near = rows.filter(rows.written_at <= rows.decided_at, rows.written_at > rows.decided_at - lasting)
    return near.select("customer_id").distinct()


def _expected(scratch: Scratch, messages: ir.Table, rates: tuple[Rate, ...]) -> dict[str, Any]:
    """How many would react, by the rates of the past: per channel with the interval that chance alone leaves."""
    rows = banded(messages, scratch.table(ORDERS))
    counted = scratch.rows(rows.group_by("channel", "band").aggregate(n=rows.count()))
    by_key = {(rate.channel, rate.band): rate for rate in rates}
    channels: dict[str, dict[str, Any]] = {}
    for row in counted:
        rate = by_key.get((row["channel"], row["band"]))
        sums = channels.setdefault(row["channel"], {"messages": 0, "has_past": rate is not None})
        sums["messages"] += row["n"]
        if rate is None:
            continue
        for word in ("opened", "clicked", "ordered"):
            share = (1 - rate.failed) * getattr(rate, word)
            mean, variance = sums.get(word, (0.0, 0.0))
            sums[word] = (mean + row["n"] * share, variance + row["n"] * share * (1 - share))
    return {
        "estimate": True,
        "rates": [_rate(rate) for rate in rates],
        "channels": [
            {
                "channel": channel,
                "messages": sums["messages"],
                "has_past": sums["has_past"],
                **{word: _interval(*sums[word]) for word in ("opened", "clicked", "ordered") if word in sums},
            }
            for channel, sums in sorted(channels.items())
        ],
    }


def _interval(mean: float, variance: float) -> dict[str, float]:
    spread = NORMAL_95 * sqrt(variance)
    return {"expected": round(mean, 1), "low": round(max(0.0, mean - spread), 1), "high": round(mean + spread, 1)}


def _rate(rate: Rate) -> dict[str, Any]:
    shares = {word: round(getattr(rate, word), 5) for word in ("failed", "delivered", "opened", "clicked", "ordered")}
    return {"channel": rate.channel, "band": rate.band, "messages": rate.messages, **shares}


def _newcomers(scratch: Scratch) -> int:
    """Customers of whom nothing was known when the window began, and who were missing until then."""
    if scratch.window.known == "today":
        return 0
    profiles = scratch.table(PROFILES)
    return scratch.count(profiles.filter(profiles.first_seen_at > ibis.timestamp(naive(scratch.window.start))))
