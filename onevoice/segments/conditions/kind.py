"""What every kind of condition is made of, so that the compiler, the explanation and the refresh treat all alike.

A kind measures: one row per customer with the values it looks at, and whether they meet what is asked. Membership keeps
those who meet it; an explanation shows one customer's row. There is one definition behind both.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeAlias, TypeVar

import ibis
import ibis.expr.types as ir
import msgspec

from onevoice.customers.facts import PROFILES
from onevoice.kernel.clock import naive
from onevoice.warehouse import Facts, Warehouse

Number = int | float
Value = str | Number | bool

Among: TypeAlias = ir.Table | Collection[int] | None
"""The customers considered: a table with `customer_id`, some ids (not none), or everybody."""


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the parameters of all conditions share."""


@dataclass(frozen=True)
class Scope:
    """What a condition is measured in: a warehouse, an instant, and everybody or only the customers of `among`."""

    warehouse: Warehouse
    now: datetime
    among: Among = None

    def table(self, facts: Facts) -> ir.Table:
        """A table's rows, of the customers considered."""
        return self.narrowed(self.warehouse.table(facts))

    def narrowed(self, rows: ir.Table) -> ir.Table:
        """The rows of the customers considered."""
        if self.among is None:
            return rows
        if isinstance(self.among, ir.Table):
            return rows.semi_join(self.among, "customer_id")
        return rows.filter(rows.customer_id.isin(list(self.among)))

    def everybody(self) -> ir.Table:
        """The customers considered: those with a profile."""
        return self.table(PROFILES).select("customer_id")

    def whole(self) -> "Scope":
        """The same for all customers: what is relative to the population is measured over it."""
        return replace(self, among=None)

    def at(self, moment: datetime) -> ir.TimestampScalar:
        """An instant as the warehouse has it."""
        return ibis.timestamp(naive(moment))


@dataclass(frozen=True)
class Measured:
    """The values a condition looks at (`customer_id`, each at most once, and the values), and whether they meet it.

    `missing` says whether those without a row meet it. Columns that begin with `_` are not shown in an explanation.
    """

    values: ir.Table
    met: ir.BooleanValue
    missing: bool = False


@dataclass(frozen=True)
class Reads:
    """What a condition depends on: a change elsewhere cannot change who meets it."""

    tables: frozenset[str] = frozenset()
    events: frozenset[str] | None = frozenset()
    """Names of events, where `events` is among the tables; None: any."""
    segments: frozenset[str] = frozenset()
    """Other segments asked about."""
    windows: bool = False
    """Time alone can change it. (In any condition a fact dated ahead of now counts when its time has come.)"""

    def __or__(self, other: "Reads") -> "Reads":
        events = None if self.events is None or other.events is None else self.events | other.events
        tables, segments = self.tables | other.tables, self.segments | other.segments
        return Reads(tables, events, segments, self.windows or other.windows)


def reading(*tables: Facts, events: frozenset[str] | None = frozenset(), windows: bool = False) -> Reads:
    """Reads of tables by their declarations."""
    return Reads(frozenset(facts.name for facts in tables), events, windows=windows)


A = TypeVar("A", bound=Asked)


@dataclass(frozen=True)
class Kind(Generic[A]):
    """One kind of condition: its name in a document, its parameters, and what it does with them."""

    name: str
    asked: type[A]
    measured: Callable[[A, Scope], Measured]
    reads: Callable[[A], Reads]
    check: Callable[[A, str], None] = field(default=lambda asked, here: None)
    """Raises InvalidInput naming the place."""
    one_of: tuple[str, ...] = ()
    """Fields that exclude each other."""
    needs_one: bool = False
    """One of `one_of` must be given."""
    is_population_relative: Callable[[A], bool] = field(default=lambda asked: False)
    """Whether others' values decide: a percentile, a quintile."""


AnyKind = Kind[Any]
