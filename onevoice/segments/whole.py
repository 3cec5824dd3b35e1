"""Segments computed for everybody, many at a time: each leaf is asked once, however many of them have it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from onevoice.segments.plan import Plan
from onevoice.warehouse import Facts, Warehouse

CHANGED = Facts(
    "members_changed", {"segment": "!string", "customer_id": "!int64", "entered": "!int8"}, ("segment", "customer_id")
)
"""A scratch table: who is to enter a segment (1) or to leave it (0)."""


MOST_ROWS = 1_000_000
"""So many changes are written before more are collected."""


class Leaves:
    """Scratch tables of the customers who meet a leaf, each there until the last of the segments has used it."""

    def __init__(self, warehouse: Warehouse, plans: Iterable[Plan], now: datetime) -> None:
        self.warehouse = warehouse
        self.now = now
        self.uses = Counter(leaf.name for one in plans for leaf in one.leaves)
        self.there: set[str] = set()

    def compute(self, one: Plan) -> None:
        """Puts those of a segment there that are not."""
        for leaf in one.leaves:
            if leaf.name not in self.there:
                self.warehouse.collect(leaf.name, leaf.query(self.warehouse, self.now), {"customer_id": "int64"})
                self.there.add(leaf.name)

    def release(self, one: Plan) -> None:
        """A segment is done with its leaves."""
        for leaf in one.leaves:
            self.uses[leaf.name] -= 1
            if not self.uses[leaf.name]:
                self._drop(leaf.name)

    def close(self) -> None:
        """Takes away what is left."""
        for name in list(self.there):
            self._drop(name)

    def _drop(self, name: str) -> None:
        if name in self.there:
            self.warehouse.drop(name)
            self.there.discard(name)


@dataclass
class Batch:
    """Segments computed and not yet written: to write many costs little more than to write one."""

    is_followed: bool  # whether others ask about them
    took: dict[str, float] = field(default_factory=dict)  # the milliseconds of each
    errors: dict[str, str] = field(default_factory=dict)  # of those that could not be computed
    rows: int = 0

    def goes_on_with(self, one: Plan, is_followed: bool) -> bool:
        """Whether a segment can be computed before these are written."""
        return self.is_followed == is_followed and self.rows < MOST_ROWS and one.follows.isdisjoint(self.took)
