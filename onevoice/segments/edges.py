"""Whom time itself may move in or out of a segment: those with a fact that passed the edge of a window.

A condition on a window compares the times of facts with "now" less the window. From one instant to the next its answer
can change only for customers with a fact in the strip that the edge swept in between; all others need not be asked.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.kernel.clock import naive
from onevoice.segments.narrowed import THROUGH
from onevoice.segments.plan import Moment, Plan
from onevoice.warehouse import Facts, Warehouse


def swept(warehouse: Warehouse, plans: Iterable[Plan], since: datetime, now: datetime) -> pa.Array:
    """The customers with a fact that a plan reads and that passed one of the plan's windows after `since`."""
    windows: dict[Moment, set[timedelta]] = {}
    tables = {facts.name: facts for one in plans for facts in one.tables}
    for one in plans:
        for moment in one.moments:
            windows.setdefault(moment, set()).update(one.windows)
    found = [
        _swept(warehouse, tables[table], moment, sorted(windows[table, moment]), since, now)
        for table, moment in sorted(windows)
    ]
    if not found:
        return pa.array([], pa.int64())
    first, *rest = found
    everyone = ibis.union(first, *rest, distinct=True) if rest else first.distinct()
    return warehouse.read(everyone)["customer_id"].combine_chunks()


def _swept(
    warehouse: Warehouse, facts: Facts, moment: str, windows: list[timedelta], since: datetime, now: datetime
) -> ir.Table:
    rows = warehouse.table(facts)
    strips = [
        (rows[moment] > ibis.timestamp(naive(since - window))) & (rows[moment] <= ibis.timestamp(naive(now - window)))
        for window in windows
    ]
    inside = rows.filter(ibis.or_(*strips))
    if facts.name in THROUGH:
        owner, key = THROUGH[facts.name]
        return warehouse.table(owner).semi_join(inside, key).select("customer_id")
    return inside.select("customer_id")
