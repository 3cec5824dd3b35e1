"""Machines that give themselves away by what they do, which is known only afterwards: what they did counts no more.

Two signs: the trap, a link in the e-mail that no person sees, was followed; or links were followed faster than a hand
can. What was opened or clicked of that message around such a moment was done by the machine, whichever came first and
however late it is heard.
"""

from datetime import timedelta

import ibis
import ibis.expr.types as ir

from onevoice.delivery.machines import TRAPPED
from onevoice.delivery.statuses import PERSONAL
from onevoice.warehouse import remembered

REVEALING = frozenset(("clicked", TRAPPED))
"""News after which machines are looked for."""

AROUND_TRAP = timedelta(minutes=1)
"""A scanner goes through a message within this, before or after it falls into the trap."""

AROUND_BURST = timedelta(seconds=10)

QUICKER_THAN_A_HAND = timedelta(seconds=1)
"""Nobody follows two different links within it."""

CHANGES, IN_A_BURST = 3, timedelta(seconds=10)
"""Nor goes from link to link so often within so long: each opens a page."""


@remembered
def unmasked(news: ir.Table) -> ir.Table:
    """Of the news (all that was ever heard of some messages) those taken for a person's that a machine made, corrected.

    `news` has the `link` of each click besides. In time that is linear, however often somebody follows a link.
    """
    clicks = news.filter(news.news == "clicked").select("message_id", "event_id", "link", at="occurred_at")
    in_turn = ibis.window(group_by=clicks.message_id, order_by=[clicks.at, clicks.event_id])
    followed = clicks.mutate(link_before=clicks.link.lag().over(in_turn), at_before=clicks.at.lag().over(in_turn))
    changes = followed.filter(followed.link != followed.link_before)
    in_turn = ibis.window(group_by=changes.message_id, order_by=[changes.at, changes.event_id])
    changes = changes.mutate(nth_before=changes.at.lag(CHANGES - 1).over(in_turn))
    hasty = (changes.at <= changes.at_before + _span(QUICKER_THAN_A_HAND)) | ibis.coalesce(
        changes.at <= changes.nth_before + _span(IN_A_BURST), False
    )
    bursts = changes.filter(hasty).select("message_id", "at", event_id=ibis.literal(""), sign=ibis.literal("burst"))
    traps = news.filter(news.news == TRAPPED)
    traps = traps.select("message_id", at="occurred_at", event_id=ibis.literal(""), sign=ibis.literal("trap"))
    personal = news.filter(news.news.isin(PERSONAL), ~news.machine)
    personal = personal.select("message_id", at="occurred_at", event_id="event_id", sign=ibis.literal(""))
    line = ibis.union(personal, bursts.select(*personal.columns), traps.select(*personal.columns))
    done = line.mutate(near=_within(line, "trap", AROUND_TRAP) | _within(line, "burst", AROUND_BURST))
    done = done.filter(done.near, done.event_id != "").select("event_id")
    return news.semi_join(done, "event_id").mutate(machine=ibis.literal(True))


def _within(line: ir.Table, sign: str, span: timedelta) -> ir.BooleanValue:
    """Whether the sign was seen so shortly before or after."""
    before = ibis.window(group_by=line.message_id, order_by=line.at, following=0)
    after = ibis.window(group_by=line.message_id, order_by=line.at, preceding=0)
    shown = ibis.ifelse(line.sign == sign, line.at, ibis.null("timestamp(6)"))
    return ibis.coalesce(line.at <= shown.max().over(before) + _span(span), False) | ibis.coalesce(
        line.at >= shown.min().over(after) - _span(span), False
    )


def _span(length: timedelta) -> ir.IntervalScalar:
    return ibis.interval(seconds=int(length.total_seconds()))
