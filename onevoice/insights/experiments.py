"""What a journey caused: everybody who was to be contacted against the hold-out who was not, whatever became of each.

Intention to treat: a treated person who could not be reached counts as treated. The share who ordered within the
horizon after entering is compared by the difference of two proportions with Newcombe's hybrid score interval (Newcombe
1998, Statistics in Medicine 17:873-890, method 10); revenue per head by Welch's interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from math import sqrt
from statistics import NormalDist
from typing import Any

import ibis
import ibis.expr.types as ir
from scipy.special import stdtrit

from onevoice.catalog.facts import ORDERS
from onevoice.catalog.orders import COUNTED
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys.facts import DECISIONS, ENROLMENTS
from onevoice.kernel.clock import naive
from onevoice.segments.compiler import members
from onevoice.segments.tree import All, Consent, Reachable
from onevoice.warehouse import Warehouse

HORIZON = timedelta(days=14)
"""How long after entering an order counts, for both arms alike."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval around it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Arm:
    """One arm: people, how many ordered, their revenue per head and its variance."""

    n: int
    converted: int
    revenue_per_head: float
    revenue_variance: float

    @property
    def conversion(self) -> float | None:
        """Share who ordered; None for an empty arm."""
        return self.converted / self.n if self.n else None


def lift(warehouse: Warehouse, journey: str, now: datetime, horizon: timedelta = HORIZON) -> dict[str, Any]:
    """Both arms; `lift` as difference of conversion, `revenue_lift` per head; None where an arm is too small.

    `relative_lift` is the difference over the hold-out's conversion; None where nobody of the hold-out ordered. The
    horizon of those who entered lately may reach beyond `now`; `complete` is the share for whom it is over.
    """
    people = outcomes(warehouse, journey, horizon)
    over = people.entered_at <= ibis.timestamp(naive(now - horizon))
    rows = warehouse.rows(
        people.group_by("arm").aggregate(
            n=people.count(),
            converted=(people.orders > 0).sum(),
            mean=people.revenue.mean(),
            variance=people.revenue.var(how="sample"),
            complete=over.sum(),
        )
    )
    found = {row["arm"]: row for row in rows}
    treated, holdout = _arm(found.get("treated")), _arm(found.get("holdout"))
    total = treated.n + holdout.n
    difference = newcombe(treated.converted, treated.n, holdout.converted, holdout.n)
    money = welch(treated, holdout)
    return {
        "treated": {**asdict(treated), "conversion": treated.conversion},
        "holdout": {**asdict(holdout), "conversion": holdout.conversion},
        "lift": asdict(difference) if difference else None,
        "relative_lift": difference.value / holdout.conversion if difference and holdout.conversion else None,
        "revenue_lift": asdict(money) if money else None,
        "horizon_days": horizon.days,
        "complete": sum(int(row["complete"]) for row in rows) / total if total else None,
    }


def outcomes(warehouse: Warehouse, journey: str, horizon: timedelta) -> ir.Table:
    """Per customer enrolled: arm, entered_at, orders and revenue (float) within the horizon after entering.

    Orders count as in catalog.orders; the revenue is net, a return without its sale lowers it.

    Of customers who entered as several and turned out to be one, that enrolment counts which goes on
    (journeys/enrolment.py).
    """
    enrolments, orders = warehouse.table(ENROLMENTS), warehouse.table(ORDERS)
    mine = enrolments.filter(enrolments.journey == journey).select("enrolment_id", "customer_id", "arm", "entered_at")
    order = [(mine.arm != "holdout").cast("int8"), mine.entered_at, mine.enrolment_id]
    mine = mine.mutate(rank=ibis.row_number().over(group_by="customer_id", order_by=order))
    mine = mine.filter(mine["rank"] == 0).drop("rank")
    pairs = mine.join(orders.select("customer_id", "ordered_at", "revenue", "status"), "customer_id")
    counted = pairs.filter(
        pairs.ordered_at > pairs.entered_at,
        pairs.ordered_at <= pairs.entered_at + ibis.interval(seconds=int(horizon.total_seconds())),
    )
    sums = counted.group_by("enrolment_id").aggregate(
        orders=(counted.status == COUNTED).sum(), revenue=counted.revenue.sum().cast("float64")
    )
    rows = mine.left_join(sums, "enrolment_id").drop("enrolment_id_right")
    return rows.mutate(orders=ibis.coalesce(rows.orders, 0), revenue=ibis.coalesce(rows.revenue, 0.0))


def newcombe(converted_1: int, n_1: int, converted_2: int, n_2: int) -> Interval | None:
    """The difference of two proportions with Newcombe's hybrid score interval; None where an arm is empty."""
    if not n_1 or not n_2:
        return None
    (p_1, low_1, high_1), (p_2, low_2, high_2) = _wilson(converted_1, n_1), _wilson(converted_2, n_2)
    difference = p_1 - p_2
    low = difference - sqrt((p_1 - low_1) ** 2 + (high_2 - p_2) ** 2)
    high = difference + sqrt((high_1 - p_1) ** 2 + (p_2 - low_2) ** 2)
    return Interval(difference, low, high)


def _wilson(converted: int, n: int) -> tuple[float, float, float]:
    """A proportion with Wilson's score interval."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    p = converted / n
    middle = p + z * z / (2 * n)
    spread = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return p, (middle - spread) / scale, (middle + spread) / scale


def welch(first: Arm, second: Arm) -> Interval | None:
    """The difference of two means with Welch's interval (unequal variances); None for arms below two people."""
    if first.n < 2 or second.n < 2:
        return None
    one, two = first.revenue_variance / first.n, second.revenue_variance / second.n
    difference = first.revenue_per_head - second.revenue_per_head
    if one + two == 0:
        return Interval(difference, difference, difference)
    freedom = (one + two) ** 2 / (one**2 / (first.n - 1) + two**2 / (second.n - 1))
    reach = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * sqrt(one + two)
    return Interval(difference, difference - reach, difference + reach)


def cascade_saving(
    warehouse: Warehouse,
    journey: str,
    channels: Sequence[str],
    topic: str,
    now: datetime,
    prices: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """What the cascade spent, against sending at once on every channel on which the same people could be contacted.

    For each channel, the people for whom it was not needed (they had reacted, or had ordered, before it was decided on
    or while it was put off) and who have an address and consent there at `now` would have been sent to there as well,
    at that channel's average cost per message sent, or at its price in `prices` where none was sent; `unpriced` names
    the channels for which there is neither, and whose saving is therefore missing. Those whom a rule kept from a
    channel cost nothing either way; people still waiting are not counted as saved.
    """
    messages, decisions = warehouse.table(MESSAGES), warehouse.table(DECISIONS)
    enrolments = warehouse.table(ENROLMENTS)
    mine = messages.filter(messages.journey == journey)
    rows = warehouse.rows(mine.group_by("channel").aggregate(n=mine.accepted_at.count(), cost=mine.cost.sum()))
    spent = {row["channel"]: (row["n"], float(row["cost"] or 0)) for row in rows}
    ended = enrolments.filter(enrolments.journey == journey, enrolments.reason.isin(["reacted", "goal"]))
    asked = decisions.filter(
        decisions.journey == journey,
        decisions.outcome != "defer",
        decisions.reason.notin(["already_reached", "goal"]),
    )
    saved, unpriced = 0.0, []
    for channel in channels:
        number, cost = spent.get(channel, (0, 0.0))
        price = cost / number if number else (prices or {}).get(channel)
        spared = ended.anti_join(asked.filter(asked.channel == channel), "enrolment_id")
        contactable = members(All((Reachable(channel), Consent(channel, topic))), warehouse, now)
        people = warehouse.count(spared.semi_join(contactable, "customer_id"))
        if price is not None:
            saved += people * price
        elif people:
            unpriced.append(channel)
    total = sum(cost for _, cost in spent.values())
    return {"spent": total, "all_channels": total + saved, "saved": saved, "unpriced": unpriced}


def _arm(row: dict[str, Any] | None) -> Arm:
    if row is None:
        return Arm(0, 0, 0.0, 0.0)
    # Of one person there is no variance: null on one store, not a number on the other.
    variance = float(row["variance"]) if row["n"] > 1 else 0.0
    return Arm(row["n"], int(row["converted"]), float(row["mean"]), variance)
