"""What a cascade has reached, what it cost, and what it has saved by stopping when somebody had reacted."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import ibis.expr.types as ir

from onevoice.delivery.facts import MESSAGES
from onevoice.insights import metrics
from onevoice.journeys.facts import DECISIONS, ENROLMENTS
from onevoice.segments.compiler import members
from onevoice.segments.conditions.channels import Consent, Reachable
from onevoice.segments.tree import All
from onevoice.warehouse import Warehouse


def report(
    warehouse: Warehouse,
    journey: str,
    step: str,
    channels: Sequence[str],
    topic: str,
    now: datetime,
    prices: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Of one cascade:

    - `came`: enrolments about which it has decided; `reached`: those to whom a message was delivered or who opened one;
      `reacted`: those for whom it stopped early, by a reaction or by the journey's goal
    - `channels`: per channel, as metrics.channels
    - `spent`, `all_channels`, `saved`, `unpriced`: see `saving`
    """
    decisions, messages = _of(warehouse.table(DECISIONS), journey, step), _of(warehouse.table(MESSAGES), journey, step)
    arrived = messages.filter(messages.delivered_at.notnull() | messages.opened_at.notnull())
    return {
        "came": warehouse.count(decisions.select("enrolment_id").distinct()),
        "reached": warehouse.count(arrived.select("enrolment_id").distinct()),
        "reacted": warehouse.count(_stopped(warehouse, journey, step)),
        "channels": metrics.channels(warehouse, *metrics.ALWAYS, journey=journey, step=step),
        **saving(warehouse, journey, step, channels, topic, now, prices),
    }


def saving(
    warehouse: Warehouse,
    journey: str,
    step: str,
    channels: Sequence[str],
    topic: str,
    now: datetime,
    prices: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """What a cascade spent, against sending at once on every channel on which the same people could be contacted.

    For each channel, the people for whom it was not needed (they had reacted, or had done what the journey is for,
    before it was decided on or while it was put off) and who have an address and consent there at `now` would have been
    sent to there as well, at that channel's average cost per message sent, or at its price in `prices` where none was
    sent; `unpriced` names the channels for which there is neither, and whose saving is therefore missing. Those whom a
    rule kept from a channel cost nothing either way; people still waiting are not counted as saved.
    """
    messages, decisions = _of(warehouse.table(MESSAGES), journey, step), _of(warehouse.table(DECISIONS), journey, step)
    rows = warehouse.rows(
        messages.group_by("channel").aggregate(n=messages.accepted_at.count(), cost=messages.cost.sum())
    )
    spent = {row["channel"]: (row["n"], float(row["cost"] or 0)) for row in rows}
    stopped = _stopped(warehouse, journey, step)
    asked = decisions.filter(decisions.outcome != "defer", decisions.reason.notin(["already_reached", "goal"]))
    saved, unpriced = 0.0, []
    for channel in channels:
        number, cost = spent.get(channel, (0, 0.0))
        price = cost / number if number else (prices or {}).get(channel)
        spared = stopped.anti_join(asked.filter(asked.channel == channel), "enrolment_id")
        contactable = members(All((Reachable(channel), Consent(channel, topic))), warehouse, now)
        people = warehouse.count(spared.semi_join(contactable, "customer_id"))
        if price is not None:
            saved += people * price
        elif people:
            unpriced.append(channel)
    total = sum(cost for _, cost in spent.values())
    return {"spent": total, "all_channels": total + saved, "saved": saved, "unpriced": unpriced}


def _of(rows: ir.Table, journey: str, step: str) -> ir.Table:
    return rows.filter(rows.journey == journey, rows.step.startswith(f"{step}/"))


def _stopped(warehouse: Warehouse, journey: str, step: str) -> ir.Table:
    """enrolment_id, customer_id of those who needed no further channel: they had reacted, or reached the goal."""
    decisions = _of(warehouse.table(DECISIONS), journey, step)
    reacted = decisions.filter(decisions.reason.isin(["already_reached", "goal"])).select("enrolment_id").distinct()
    return warehouse.table(ENROLMENTS).semi_join(reacted, "enrolment_id").select("enrolment_id", "customer_id")
