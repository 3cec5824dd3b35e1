"""The order in which `order: best` tries a cascade's channels for each person: a seam that a learner fills.

Without one, everybody has the order of the document.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import ibis.expr.types as ir
import pyarrow as pa

from onevoice.warehouse import Warehouse

Ranker = Callable[[Warehouse, ir.Table, Sequence[str], datetime], ir.Table]
"""Given customers (customer_id), channels and now: customer_id, channel, rank (0 first), each pair once."""

_RANKERS: list[Ranker] = []


def rank_by(ranker: Ranker) -> None:
    """Lets channels be tried in the order that `ranker` gives."""
    _RANKERS[:] = [ranker]


def ranked(warehouse: Warehouse, customers: ir.Table, channels: Sequence[str], now: datetime) -> ir.Table:
    """customer_id, channel, rank."""
    people = customers.select("customer_id").distinct()
    if _RANKERS:
        return _RANKERS[0](warehouse, people, channels, now).select("customer_id", "channel", "rank")
    listed = {"channel": pa.array(list(channels)), "rank": pa.array(range(len(channels)), pa.int64())}
    return people.cross_join(warehouse.stage("listed_channels", pa.table(listed)))
