"""What the candidates were sent lately, for all caps and gaps in one pass over the messages."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir

from onevoice.customers.contact import Cap
from onevoice.delivery.facts import MESSAGES
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse

NOT_SENT = ("skipped", "failed")
"""Statuses of messages that reached nobody, and count for nothing."""


def recent(
    warehouse: Warehouse, among: ir.Table | None, caps: Sequence[Cap], gaps: Sequence[timedelta], now: datetime
) -> ir.Table:
    """The messages of these customers (or all) that a cap or gap may ask about; transactional ones are not counted."""
    longest = max([*(cap.span for cap in caps), *gaps])
    messages = warehouse.table(MESSAGES)
    rows = messages.filter(
        messages.planned_at > ibis.timestamp(naive(now - longest)),
        messages.status.notin(NOT_SENT),
        ibis.coalesce(messages.counted, True),
    )
    rows = rows if among is None else rows.semi_join(among, "customer_id")
    return rows.select("customer_id", "channel", "topic", "journey", "planned_at")


def contacts(
    recent: ir.Table, channel: str, caps: Sequence[Cap], gaps: tuple[timedelta, timedelta], now: datetime
) -> ir.Table:
    """Per customer: sent_0, sent_1, ... (how many each cap counts), last_at, gap_until (when the gaps are over; null
    where there are none), is_full (whether a cap is)."""
    counts = recent.group_by("customer_id").aggregate(
        **{f"sent_{n}": _counted(recent, cap, now).cast("int64").sum() for n, cap in enumerate(caps)},
        last_at=recent.planned_at.max(),
        last_here=recent.planned_at.max(where=recent.channel == channel),
    )
    ends = [
        at + ibis.interval(seconds=int(gap.total_seconds()))
        for at, gap in zip((counts.last_at, counts.last_here), gaps, strict=True)
        if gap
    ]
    full = [counts[f"sent_{n}"] >= cap.messages for n, cap in enumerate(caps)]
    return counts.mutate(gap_until=_latest(ends), is_full=ibis.or_(*full) if full else ibis.literal(False)).drop(
        "last_here"
    )


def frees(rows: ir.Table, caps: Sequence[Cap], now: datetime) -> ir.Table:
    """Of the recent messages of those with a full cap: cap_until, last_journey per customer.

    A cap of n is free again when the n-th newest message that it counts leaves its window.
    """
    placed = rows.mutate(
        **{
            f"place_{n}": ibis.row_number().over(
                group_by=[rows.customer_id, _counted(rows, cap, now)], order_by=ibis.desc(rows.planned_at)
            )
            for n, cap in enumerate(caps)
        }
    )
    nth = placed.group_by("customer_id").aggregate(
        **{
            f"nth_{n}": placed.planned_at.max(
                where=_counted(placed, cap, now) & (placed[f"place_{n}"] == cap.messages - 1)
            )
            for n, cap in enumerate(caps)
        },
        last_journey=placed.journey.argmax(placed.planned_at),
    )
    ends = [nth[f"nth_{n}"] + ibis.interval(seconds=int(cap.span.total_seconds())) for n, cap in enumerate(caps)]
    return nth.select("customer_id", "last_journey", cap_until=_latest(ends))


def _counted(rows: ir.Table, cap: Cap, now: datetime) -> ir.BooleanValue:
    counted = rows.planned_at > ibis.timestamp(naive(now - cap.span))
    if cap.channel:
        counted &= rows.channel == cap.channel
    return counted & (rows.topic == cap.topic) if cap.topic else counted


_NEVER = ibis.timestamp("1970-01-01").cast("timestamp(6)")


def _latest(ends: Sequence[ir.TimestampValue]) -> ir.TimestampValue:
    """The latest of those that are not null; null where all are."""
    if not ends:
        return ibis.null("timestamp(6)")
    return ibis.greatest(*(ibis.coalesce(end, _NEVER) for end in ends)).nullif(_NEVER) if len(ends) > 1 else ends[0]
