"""What a journey caused: everybody who was to be contacted against the hold-out who was not, whatever became of each.

Intention to treat: a treated person who could not be reached counts as treated. Compared are, within the horizon after
entering, the share who ordered, the orders and the revenue per head; the revenue also with what the same people spent
before entering taken out (CUPED), which narrows the interval and favours no arm. The formulas are in intervals.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir

from onevoice.catalog.facts import ORDERS
from onevoice.catalog.orders import COUNTED
from onevoice.delivery.facts import MESSAGES
from onevoice.insights import intervals
from onevoice.insights.intervals import CONFIDENCE, Interval, Paired, Sample
from onevoice.journeys.facts import ENROLMENTS, PASSAGES
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse

HORIZON = timedelta(days=14)
"""How long after entering an order counts, for both arms alike."""

BEFORE = timedelta(days=90)
"""How far back the revenue before entering reaches."""

PLANNED = 10_000
"""People of both arms at which the anytime interval is narrowest, where nobody planned a number."""


@dataclass(frozen=True)
class Arm:
    """One arm: people, how many ordered, their orders and revenue, after entering and before."""

    n: int
    converted: int
    orders: Sample
    revenue: Paired

    @property
    def conversion(self) -> float | None:
        """Share who ordered; None for an empty arm."""
        return self.converted / self.n if self.n else None


def lift(
    warehouse: Warehouse, journey: str, now: datetime, horizon: timedelta = HORIZON, planned: int = PLANNED
) -> dict[str, Any]:
    """Treated against the hold-out. Differences are treated minus hold-out, None where an arm is too small:

    - `lift`: share who ordered; `orders_lift`, `revenue_lift`: per head; `revenue_lift_adjusted`: the same revenue by
      CUPED, with `variance_explained` by what people spent before; each at one look
    - `anytime`: `lift` and `revenue` (adjusted) with intervals that hold however often one looks; `verdict` is read
      from these: `better`, `worse`, or `open` where both contain zero
    - `incremental`: over all treated, `orders` and `revenue`; `revenue_per_message` sent, `orders_per_message`
    - `relative_lift`: the difference over the hold-out's conversion; None where nobody of the hold-out ordered

    The horizon of those who entered lately may reach beyond `now`; `complete` is the share for whom it is over.
    """
    people = outcomes(warehouse, journey, horizon)
    rows = warehouse.rows(moments(people, "arm", now, horizon))
    found = {row["arm"]: row for row in rows}
    treated, holdout = _arm(found.get("treated")), _arm(found.get("holdout"))
    total = treated.n + holdout.n
    compared = difference(treated, holdout, planned)
    complete = sum(int(found[arm]["complete"]) for arm in ("treated", "holdout") if arm in found)
    mine = warehouse.table(MESSAGES).filter(ibis._.journey == journey)
    sent = warehouse.rows(mine.aggregate(n=mine.accepted_at.count(), cost=mine.cost.sum()))[0]
    return {
        "treated": _shown(treated),
        "holdout": _shown(holdout),
        **compared,
        "relative_lift": compared["lift"]["value"] / holdout.conversion
        if compared["lift"] and holdout.conversion
        else None,
        "incremental": _incremental(compared, treated.n, sent["n"]),
        "messages_sent": sent["n"],
        "message_cost": float(sent["cost"] or 0),
        "confidence": CONFIDENCE,
        "horizon_days": horizon.days,
        "before_days": BEFORE.days,
        "complete": complete / total if total else None,
    }


def variants(
    warehouse: Warehouse, journey: str, step: str, against: str, now: datetime, horizon: timedelta = HORIZON
) -> dict[str, Any]:
    """The variants of a split, each with its figures and its differences from the variant `against`, as `lift` has
    them, by orders within the horizon after people came to the split. All the intervals hold together.

    Where a winner or a bandit deals people by what the earlier ones did, the arms are of different times, and a
    difference may be the time's.
    """
    passages = warehouse.table(PASSAGES)
    mine = passages.filter(passages.journey == journey, passages.step == step)
    order = [mine.passed_at, mine.passage_id]
    mine = mine.mutate(rank=ibis.row_number().over(group_by="customer_id", order_by=order))
    people = mine.filter(mine["rank"] == 0).select("enrolment_id", "customer_id", "way", entered_at="passed_at")
    rows = warehouse.rows(moments(spending(warehouse, people, horizon, BEFORE), "way", now, horizon))
    arms = {row["way"]: _arm(row) for row in rows}
    base = arms.pop(against, _arm(None))
    return {
        "against": {"variant": against, **_shown(base)},
        "variants": [
            {"variant": name, **_shown(arm), **difference(arm, base, comparisons=len(arms))}
            for name, arm in sorted(arms.items())
        ],
        "confidence": CONFIDENCE,
        "horizon_days": horizon.days,
    }


def difference(one: Arm, other: Arm, planned: int = PLANNED, comparisons: int = 1) -> dict[str, Any]:
    """One arm against another, as `lift` tells it; with several comparisons all of their intervals hold together."""
    confidence = intervals.among(CONFIDENCE, comparisons)
    orders = intervals.welch(one.orders, other.orders, confidence)
    revenue = intervals.welch(one.revenue.after, other.revenue.after, confidence)
    first, second, explained = intervals.adjusted(one.revenue, other.revenue)
    shares = intervals.proportion(one.converted, one.n), intervals.proportion(other.converted, other.n)
    both = intervals.among(confidence, 2)  # the verdict rests on two, so each must be surer
    always = {
        "lift": intervals.anytime(*shares, planned, both),
        "revenue": intervals.anytime(first, second, planned, both),
    }
    return {
        "lift": _dict(intervals.newcombe(one.converted, one.n, other.converted, other.n, confidence)),
        "orders_lift": _dict(orders),
        "revenue_lift": _dict(revenue),
        "revenue_lift_adjusted": _dict(intervals.welch(first, second, confidence)),
        "variance_explained": explained,
        "anytime": {name: _dict(found) for name, found in always.items()},
        "verdict": _verdict([found for found in always.values() if found]),
    }


def _verdict(found: Sequence[Interval]) -> str:
    """Of intervals that hold at every look: there is an effect when one excludes zero and none contradicts."""
    signs = {one.value > 0 for one in found if one.shows}
    if signs == {True}:
        return "better"
    return "worse" if signs == {False} else "open"


def _incremental(compared: Mapping[str, Any], treated: int, sent: int) -> dict[str, Any]:
    """The difference per head, over all the treated, and by the messages it took."""
    orders, revenue = compared["orders_lift"], compared["revenue_lift_adjusted"]
    made = {
        "orders": Interval(**orders).times(treated) if orders else None,
        "revenue": Interval(**revenue).times(treated) if revenue else None,
    }
    by_message = {
        f"{name}_per_message": _dict(found.times(1 / sent)) if found and sent else None for name, found in made.items()
    }
    return {**{name: _dict(found) for name, found in made.items()}, **by_message}


def outcomes(warehouse: Warehouse, journey: str, horizon: timedelta, before: timedelta = BEFORE) -> ir.Table:
    """Per customer enrolled: arm, entered_at, orders and revenue (float) within the horizon after entering, and
    revenue_before, what they spent in the time before it.

    Orders count as in catalog.orders; the revenue is net, a return without its sale lowers it.

    Of customers who entered as several and turned out to be one, that enrolment counts which goes on
    (journeys/enrolment.py); of those who entered again, the first.
    """
    enrolments = warehouse.table(ENROLMENTS)
    mine = enrolments.filter(enrolments.journey == journey).select("enrolment_id", "customer_id", "arm", "entered_at")
    order = [(mine.arm != "holdout").cast("int8"), mine.entered_at, mine.enrolment_id]
    mine = mine.mutate(rank=ibis.row_number().over(group_by="customer_id", order_by=order))
    mine = mine.filter(mine["rank"] == 0).drop("rank")
    return spending(warehouse, mine, horizon, before)


def spending(warehouse: Warehouse, people: ir.Table, horizon: timedelta, before: timedelta) -> ir.Table:
    """`people` (enrolment_id, customer_id, entered_at, ...), each with orders, revenue and revenue_before."""
    orders = warehouse.table(ORDERS)
    pairs = people.join(orders.select("customer_id", "ordered_at", "revenue", "status"), "customer_id")
    near = pairs.filter(
        pairs.ordered_at > pairs.entered_at - ibis.interval(seconds=int(before.total_seconds())),
        pairs.ordered_at <= pairs.entered_at + ibis.interval(seconds=int(horizon.total_seconds())),
    )
    after = near.ordered_at > near.entered_at
    sums = near.group_by("enrolment_id").aggregate(
        orders=(after & (near.status == COUNTED)).sum(),
        revenue=near.revenue.sum(where=after).cast("float64"),
        revenue_before=near.revenue.sum(where=~after).cast("float64"),
    )
    rows = people.left_join(sums, "enrolment_id").drop("enrolment_id_right")
    return rows.mutate(
        orders=ibis.coalesce(rows.orders, 0),
        revenue=ibis.coalesce(rows.revenue, 0.0),
        revenue_before=ibis.coalesce(rows.revenue_before, 0.0),
    )


def moments(people: ir.Table, by: str, now: datetime, horizon: timedelta) -> ir.Table:
    """Of each group: its people, means, variances and covariance, in one pass over the people."""
    over = people.entered_at <= ibis.timestamp(naive(now - horizon))
    return people.group_by(by).aggregate(
        n=people.count(),
        converted=(people.orders > 0).sum(),
        orders=people.orders.mean(),
        orders_variance=people.orders.cast("float64").var(how="sample"),
        revenue=people.revenue.mean(),
        revenue_variance=people.revenue.var(how="sample"),
        before=people.revenue_before.mean(),
        before_variance=people.revenue_before.var(how="sample"),
        covariance=people.revenue.cov(people.revenue_before, how="sample"),
        complete=over.sum(),
    )


def _arm(row: Mapping[str, Any] | None) -> Arm:
    if row is None:
        row = {"n": 0}
    n = int(row["n"])
    # Of one person there is no variance: null on one store, not a number on the other.
    spread = {name: float(row[name]) if n > 1 else 0.0 for name in _SPREADS}
    mean = {name: float(row[name]) if n else 0.0 for name in ("orders", "revenue", "before")}
    return Arm(
        n,
        int(row["converted"]) if n else 0,
        Sample(n, mean["orders"], spread["orders_variance"]),
        Paired(
            Sample(n, mean["revenue"], spread["revenue_variance"]),
            Sample(n, mean["before"], spread["before_variance"]),
            spread["covariance"],
        ),
    )


_SPREADS = ("orders_variance", "revenue_variance", "before_variance", "covariance")


def _shown(arm: Arm) -> dict[str, Any]:
    return {
        "n": arm.n,
        "converted": arm.converted,
        "conversion": arm.conversion,
        "orders_per_head": arm.orders.mean,
        "revenue_per_head": arm.revenue.after.mean,
        "revenue_variance": arm.revenue.after.variance,
        "revenue_per_head_before": arm.revenue.before.mean,
    }


def _dict(found: Interval | None) -> dict[str, float] | None:
    return asdict(found) if found else None
