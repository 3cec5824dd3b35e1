"""Before launch: how large an effect must be to be seen, with this hold-out, after so many days.

What people do without the journey is taken from those who would enter it, in the time just past; how many would, from
who is in now and how many came in a day. An estimate of sizes, no promise of an effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir

from onevoice.events.facts import EVENTS
from onevoice.insights import intervals
from onevoice.insights.experiments import BEFORE, HORIZON, moments, spending
from onevoice.insights.intervals import CONFIDENCE, POWER
from onevoice.kernel.clock import naive
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.segments.membership import ENTERED
from onevoice.warehouse import Warehouse

LOOK_BACK = timedelta(days=28)
"""Of how long ago the entries of a day are counted."""

DAYS = (7, 14, 28, 56, 90)

HOLDOUTS = (0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Baseline:
    """What those who would enter do without it: share who order within the horizon, revenue per head and variances."""

    people: int
    conversion: float
    revenue: float
    revenue_variance: float  # what is left once spending before is taken out (CUPED)


def power(
    warehouse: Warehouse,
    now: datetime,
    holdout: float,
    segment: str | None = None,
    event: str | None = None,
    horizon: timedelta = HORIZON,
    days: Sequence[int] = DAYS,
) -> dict[str, Any]:
    """The smallest effects that would be seen four times of five (`POWER`), by days after launch and by hold-out.

    Who enters: the members of the segment, and then those who come in; or those who do the event. `rows` each have
    `days`, `holdout`, `people`, `treated`, `held_out`, `lift` (points of conversion as a share), `relative_lift`,
    `revenue_lift` per head; None where nobody would enter. Only those whose horizon is over by that day are counted.
    Raises InvalidInput for a hold-out that is no share.
    """
    if not 0 < holdout < 1:
        raise InvalidInput(f"The hold-out is {holdout:g}; without one between 0 and 1 no effect can be told")
    entering, at_launch, daily = _entering(warehouse, now, segment, event)
    baseline = _baseline(warehouse, entering, now, horizon)
    shares = sorted({holdout, *HOLDOUTS})
    rows = [_row(baseline, at_launch, daily, day, share, horizon) for share in shares for day in days]
    return {
        "holdout": holdout,
        "at_launch": at_launch,
        "a_day": daily,
        "baseline": {
            "people": baseline.people,
            "conversion": baseline.conversion,
            "revenue_per_head": baseline.revenue,
        },
        "horizon_days": horizon.days,
        "power": POWER,
        "confidence": CONFIDENCE,
        "rows": rows,
    }


def _row(
    baseline: Baseline, at_launch: int, daily: float, days: int, holdout: float, horizon: timedelta
) -> dict[str, Any]:
    """People whose horizon is over after so many days, and what could be told of them."""
    counted = days - horizon.days
    people = at_launch + daily * counted if counted >= 0 else 0.0
    held, treated = people * holdout, people * (1 - holdout)
    lift = revenue = None
    if baseline.people > 1 and held >= 1 and treated >= 1:
        share = intervals.proportion(round(baseline.conversion * baseline.people), baseline.people)
        lift = intervals.smallest_effect(share.variance, treated, held)
        revenue = intervals.smallest_effect(baseline.revenue_variance, treated, held)
    return {
        "days": days,
        "holdout": holdout,
        "people": round(people),
        "treated": round(treated),
        "held_out": round(held),
        "lift": lift,
        "relative_lift": lift / baseline.conversion if lift is not None and baseline.conversion else None,
        "revenue_lift": revenue,
    }


def _entering(
    warehouse: Warehouse, now: datetime, segment: str | None, event: str | None
) -> tuple[ir.Table, int, float]:
    """Customers as those who would enter, how many do at the launch, and how many a day after it."""
    events = warehouse.table(EVENTS)
    recent = events.filter(events.occurred_at > ibis.timestamp(naive(now - LOOK_BACK)))
    if segment is not None:
        members = warehouse.table(SEGMENT_MEMBERS)
        inside = members.filter(members.segment == segment).select("customer_id")
        mine = warehouse.json_text(recent.properties, "segment") == segment
        came = recent.filter((recent.source_id == 0) & (recent.name == ENTERED) & mine)
        return inside, warehouse.count(inside), warehouse.count(came) / LOOK_BACK.days
    doing = recent.filter(recent.name == (event or "")).select("customer_id").distinct()
    return doing, 0, warehouse.count(doing) / LOOK_BACK.days


def _baseline(warehouse: Warehouse, entering: ir.Table, now: datetime, horizon: timedelta) -> Baseline:
    """As if they had entered one horizon ago and nothing had been sent."""
    then = ibis.timestamp(naive(now - horizon)).cast("timestamp(6)")
    people = entering.mutate(enrolment_id=entering.customer_id.cast("string"), entered_at=then, arm=ibis.literal("all"))
    rows = warehouse.rows(moments(spending(warehouse, people, horizon, BEFORE), "arm", now, horizon))
    if not rows or rows[0]["n"] < 2:
        return Baseline(rows[0]["n"] if rows else 0, 0.0, 0.0, 0.0)
    row = rows[0]
    explained = row["covariance"] ** 2 / row["before_variance"] if row["before_variance"] else 0.0
    return Baseline(
        row["n"], float(row["converted"]) / row["n"], float(row["revenue"]), float(row["revenue_variance"] - explained)
    )
