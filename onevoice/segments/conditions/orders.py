"""What was ordered: how many, for how much. Orders count as catalog.orders says, revenue is net.

As in the KPIs (insights.metrics) a return whose sale is not known is no order, and lowers revenue and average.
"""

from typing import Literal

import msgspec

from onevoice.catalog.orders import COUNTED
from onevoice.segments.conditions.kind import Kind, Measured, Number, Scope
from onevoice.segments.conditions.sources import Rows, check_rows, reads_rows, selected
from onevoice.segments.conditions.values import Where
from onevoice.segments.conditions.windows import Windowed


class Orders(Windowed, frozen=True, kw_only=True):
    """The number of orders, their revenue or its average, in all or in a span of time."""

    measure: Literal["count", "revenue", "average"] = "count"
    at_least: Number | None = None
    at_most: Number | None = None
    exactly: Number | None = None
    where: Where = msgspec.field(default_factory=dict)


def _rows(asked: Orders) -> Rows:
    window = {name: getattr(asked, name) for name in Windowed.__struct_fields__}
    return Rows(of="orders", where=asked.where, **window)


def _measured(asked: Orders, scope: Scope) -> Measured:
    rows = selected(scope, _rows(asked), money=asked.measure != "count").rows
    revenue, orders = rows.revenue.sum().cast("float64"), (rows.status == COUNTED).sum()
    measure = {"count": rows.count(), "revenue": revenue, "average": revenue / orders.nullif(0)}[asked.measure]
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


ORDERS_KIND = Kind(
    "orders",
    Orders,
    _measured,
    lambda asked: reads_rows(_rows(asked)),
    lambda asked, here: check_rows(_rows(asked), here),
    one_of=("at_least", "at_most", "exactly"),
    needs_one=True,
)
