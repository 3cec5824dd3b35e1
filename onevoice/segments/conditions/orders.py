"""What was ordered: how many, for how much, how long ago. Orders count as catalog.orders says, revenue is net."""

from typing import Literal

from onevoice.catalog.facts import ORDERS
from onevoice.catalog.orders import counted
from onevoice.segments.conditions.kind import Asked, Kind, Measured, Number, Scope, reading
from onevoice.segments.conditions.windows import days, since


class Orders(Asked, frozen=True):
    """The number of orders, their revenue or its average, in all or within the last days."""

    measure: Literal["count", "revenue", "average"] = "count"
    at_least: Number | None = None
    at_most: Number | None = None
    exactly: Number | None = None
    within: str | None = None


class LastOrder(Asked, frozen=True):
    """When the last order was: `before` so long ago (and nothing since), or `within` the last days."""

    before: str | None = None
    within: str | None = None


def _orders(asked: Orders, scope: Scope) -> Measured:
    rows = counted(since(scope, scope.table(ORDERS), "ordered_at", asked.within))
    revenue = rows.revenue.sum().cast("float64")
    measure = {"count": rows.count(), "revenue": revenue, "average": revenue / rows.count()}[asked.measure]
    totals = rows.group_by("customer_id").aggregate(**{asked.measure: measure})
    found = totals[asked.measure]
    if asked.at_least is not None:
        met, nothing_meets = found >= asked.at_least, asked.at_least <= 0
    elif asked.exactly is not None:
        met, nothing_meets = found == asked.exactly, asked.exactly == 0
    else:
        most = asked.at_most or 0
        met, nothing_meets = found <= most, most >= 0
    # Who ordered nothing has 0 orders and 0 revenue, but no average.
    return Measured(totals, met, missing=nothing_meets and asked.measure != "average")


def _last_order(asked: LastOrder, scope: Scope) -> Measured:
    rows = counted(since(scope, scope.table(ORDERS), "ordered_at", None))
    last = rows.group_by("customer_id").aggregate(last_at=rows.ordered_at.max())
    limit = scope.at(scope.now - days(asked.before or asked.within or ""))
    return Measured(last, last.last_at <= limit if asked.before else last.last_at > limit)


def _check(asked: Orders | LastOrder, here: str) -> None:
    for name in ("within", "before"):
        if getattr(asked, name, None) is not None:
            days(getattr(asked, name), f"{here}.{name}")


ORDER_KINDS = (
    Kind(
        "orders",
        Orders,
        _orders,
        lambda asked: reading(ORDERS, windows=asked.within is not None),
        _check,
        one_of=("at_least", "at_most", "exactly"),
        needs_one=True,
    ),
    Kind(
        "last_order",
        LastOrder,
        _last_order,
        lambda asked: reading(ORDERS, windows=True),
        _check,
        one_of=("before", "within"),
        needs_one=True,
    ),
)
