"""Segments computed for everybody, many at a time: what several of them measure is measured once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import ibis

from onevoice.segments import membership
from onevoice.segments.plan import Plan
from onevoice.warehouse import Facts, Warehouse

CHANGED = Facts(
    "members_changed", {"segment": "!string", "customer_id": "!int64", "entered": "!int8"}, ("segment", "customer_id")
)
"""A scratch table: who is to enter a segment (1) or to leave it (0)."""

MOST_ROWS = 1_000_000
"""So many changes are written before more are collected."""

SOME_SEGMENT, ITS_MEMBERS = "the segment", "its_members"
"""What stands in a compiled text for the name of a segment, and for the query of its members."""


class Aside:
    """Scratch tables of what several segments measure, each there until the last of them has used it."""

    def __init__(self, warehouse: Warehouse, plans: Sequence[Plan], now: datetime) -> None:
        self.warehouse = warehouse
        self.now = now
        self.uses = Counter(part.name for one in plans for part in one.measurements)
        self.there: set[str] = set()

    def query(self, one: Plan) -> str:
        """The segment's members; what others need too is put aside first."""
        for part in one.measurements:
            if self.uses[part.name] > 1 and part.name not in self.there:
                self.warehouse.collect(part.name, part.query.at(self.warehouse, self.now), {})
                self.there.add(part.name)
        return one.query(self.warehouse, self.now, self.there)

    def release(self, one: Plan) -> None:
        """The segment needs its own no more."""
        for part in one.measurements:
            self.uses[part.name] -= 1
            if not self.uses[part.name]:
                self._drop(part.name)

    def close(self) -> None:
        """Takes away what is left."""
        for name in list(self.there):
            self._drop(name)

    def _drop(self, name: str) -> None:
        if name in self.there:
            self.warehouse.drop(name)
            self.there.discard(name)


def collect(warehouse: Warehouse, one: Plan, members: str) -> int:
    """Adds to `CHANGED` who is to enter and who to leave; returns how many are collected there."""
    held = membership.held(warehouse, SOME_SEGMENT)
    apart = membership.differences(held, ibis.table({"customer_id": "int64"}, name=ITS_MEMBERS), ["customer_id"])
    sql = warehouse.compiled(apart).replace(warehouse.quoted(SOME_SEGMENT), warehouse.quoted(one.name))
    warehouse.add(CHANGED.name, "segment", one.name, sql.replace(f'"{ITS_MEMBERS}"', f"({members})"))
    return warehouse.count(warehouse.table(CHANGED))


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
