"""The arbiter: of the messages that one person would get on one day, the best ones take the places under a cap.

A message outranks another by its journey's priority, then by the nearer expiry, then by the journey's name, then by the
enrolment. The loser is asked again when the winner has been decided: if that one was not sent after all, it goes.
"""

from datetime import timedelta

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.journeys.facts import ENROLMENTS
from onevoice.journeys.policy.ask import Ask
from onevoice.warehouse import Warehouse

RIVALS = "policy_rivals"

_NEXT = ibis.interval(seconds=1)
"""So soon, that is in the next tick."""


def stage(warehouse: Warehouse, candidates: ir.Table, ask: Ask) -> ir.Table | None:
    """The people of other journeys among the candidates whose next message may outrank this one: customer_id, journey,
    channel, topic, priority, due_at, expires_at. None where there are none."""
    contenders = ask.rivals
    enrolments = warehouse.table(ENROLMENTS)
    if not contenders or not warehouse.rows(_elsewhere(enrolments, candidates, ask)):
        return None
    known = warehouse.stage(
        "policy_contenders",
        pa.table(
            {
                "journey": pa.array([one.journey for one in contenders], pa.string()),
                "journey_version": pa.array([one.version for one in contenders], pa.int64()),
                "step": pa.array([one.step for one in contenders], pa.string()),
                "channel": pa.array([one.channel for one in contenders], pa.string()),
                "topic": pa.array([one.topic for one in contenders], pa.string()),
                "priority": pa.array([one.priority for one in contenders], pa.int64()),
                "patience": pa.array([int(one.patience.total_seconds()) for one in contenders], pa.int64()),
            }
        ),
    )
    active = enrolments.filter(enrolments.state == "active").semi_join(candidates, "customer_id")
    standing = active.join(known, ["journey", "journey_version", "step"])
    rivals = warehouse.stage(
        RIVALS,
        standing.select(
            "customer_id",
            "journey",
            "channel",
            "topic",
            "priority",
            "due_at",
            expires_at=standing.due_at + standing.patience.as_interval("s"),
        ),
    )
    return rivals if warehouse.count(rivals) else None


def _elsewhere(enrolments: ir.Table, candidates: ir.Table, ask: Ask) -> ir.Table:
    """One of the candidates who is in another journey too, if there is any."""
    others = enrolments.filter(enrolments.state == "active")
    if ask.several:
        pairs = others.select("customer_id", other="journey").join(candidates, "customer_id")
        return pairs.filter(pairs.other != pairs.journey).select("customer_id").limit(1)
    others = others.filter(others.journey != ask.journey)
    return others.semi_join(candidates, "customer_id").select("customer_id").limit(1)


def _own(rows: ir.Table, ask: Ask) -> ir.StringValue:
    """The journey that asks."""
    return rows.journey if ask.several else ibis.literal(ask.journey)


def siblings(warehouse: Warehouse, candidates: ir.Table) -> bool:
    """Whether one person is among the candidates twice."""
    counts = warehouse.rows(candidates.aggregate(rows=candidates.count(), people=candidates.customer_id.nunique()))
    return bool(counts[0]["rows"] > counts[0]["people"])


def outranked(rows: ir.Table, ask: Ask, rivals: ir.Table | None, at: ir.TimestampScalar) -> ir.Table:
    """Of the rows that no other rule objects to (`passing`), those that must give way: enrolment_id, winner, until."""
    passing = rows.filter(rows.passing)
    order = [passing.asked_at, passing.enrolment_id]
    passing = passing.mutate(ahead=ibis.row_number().over(group_by="customer_id", order_by=order))
    if rivals is None:
        by_rivals = {f"better_{n}": ibis.literal(0, "int64") for n in range(len(ask.caps))}
        passing = passing.mutate(**by_rivals, winner=ibis.null("string"), winner_due=ibis.null("timestamp(6)"))
    else:
        passing = passing.left_join(_better(passing, ask, rivals), "enrolment_id").drop("enrolment_id_right")
    full = [
        passing[f"sent_{n}"] + passing.ahead + ibis.coalesce(passing[f"better_{n}"], 0) >= cap.messages
        for n, cap in enumerate(ask.caps)
    ]
    if any(gap > timedelta() for gap in ask.gaps):
        full.append(passing.ahead > 0)
    lost = passing.filter(ibis.or_(*full)) if full else passing.filter(ibis.literal(False))
    soon = at + _NEXT
    return lost.select(
        "enrolment_id",
        winner=ibis.coalesce(lost.winner, _own(lost, ask)),
        outranked_until=ibis.greatest(ibis.coalesce(lost.winner_due, soon), soon),
    )


def _better(passing: ir.Table, ask: Ask, rivals: ir.Table) -> ir.Table:
    """Per enrolment: how many rivals that count for each cap outrank it today, which is the best, when the first is
    due."""
    mine = passing.select("enrolment_id", "customer_id", "day_ends", mine="expires_at", own=_own(passing, ask))
    pairs = mine.join(rivals, "customer_id")
    pairs = pairs.filter(pairs.journey != pairs.own)
    is_higher = pairs.priority > ask.priority
    is_nearer = (pairs.expires_at < pairs.mine) | ((pairs.expires_at == pairs.mine) & (pairs.journey < pairs.own))
    pairs = pairs.filter(is_higher | is_nearer, pairs.due_at < pairs.day_ends, pairs.due_at <= pairs.mine)
    order = [ibis.desc(pairs.priority), pairs.expires_at, pairs.journey]
    pairs = pairs.mutate(place=ibis.row_number().over(group_by="enrolment_id", order_by=order))
    counts = {}
    for n, cap in enumerate(ask.caps):
        counted = pairs.customer_id.notnull()
        if cap.channel:
            counted &= pairs.channel == cap.channel
        if cap.topic:
            counted &= pairs.topic == cap.topic
        counts[f"better_{n}"] = counted.cast("int64").sum()
    return pairs.group_by("enrolment_id").aggregate(
        **counts, winner=pairs.journey.max(where=pairs.place == 0), winner_due=pairs.due_at.min()
    )
