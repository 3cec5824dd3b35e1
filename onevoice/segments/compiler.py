"""From a condition tree to the customers who meet it: one Ibis expression, equal on every store.

`all` narrows by semi-joins, `any` unites, `not` takes away from everybody; everybody is whoever has a profile.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias, cast

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

from onevoice.segments.conditions.kind import Among, Measured, Reads, Scope
from onevoice.segments.tree import All, Any_, Condition, Leaf, Not, kind_of
from onevoice.warehouse import Warehouse


def members(condition: Condition, warehouse: Warehouse, now: datetime, among: Among = None) -> ir.Table:
    """The customers (`customer_id`, each once) who meet the condition at `now`; only those of `among` are considered.

    `among` is a table with `customer_id`, or some ids; then the rows of those alone are read. A condition relative to
    the population is measured over all of it, whoever is asked about.
    """
    scope = Scope(warehouse, now, among)
    return combined(condition, scope.everybody, lambda leaf: _leaf(leaf, scope))


Meeting: TypeAlias = Callable[[Leaf], ir.Table]
"""The customers who meet a leaf."""

Everybody: TypeAlias = Callable[[], ir.Table]
"""All customers, where they are needed: a query that asks for them depends on them."""


def combined(condition: Condition, everybody: Everybody, meeting: Meeting) -> ir.Table:
    """The customers (`customer_id`, each once) who meet the tree."""
    match condition:
        case All(conditions):
            return _all(conditions, everybody, meeting)
        case Any_(conditions):
            first, *rest = [combined(one, everybody, meeting) for one in conditions]
            return ibis.union(first, *rest, distinct=True) if rest else first
        case Not(inner):
            return everybody().anti_join(combined(inner, everybody, meeting), "customer_id")
        case _:
            return meeting(condition)


def reads(condition: Condition) -> Reads:
    """What the condition depends on."""
    found = Reads()
    for leaf in leaves(condition):
        found = found | kind_of(leaf).reads(leaf)
    return found


def is_population_relative(condition: Condition) -> bool:
    """Whether one customer's facts can change another's membership; such a condition is recomputed for all."""
    return any(kind_of(leaf).is_population_relative(leaf) for leaf in leaves(condition))


@dataclass(frozen=True)
class Evaluation:
    """What a leaf saw of one customer, and whether that meets it. Nothing seen: no fact of the kind is there."""

    holds: bool
    seen: dict[str, Any]


def evaluated(leaf: Leaf, warehouse: Warehouse, now: datetime, customer_id: int) -> Evaluation:
    """One leaf for one customer, with the values seen."""
    measured = kind_of(leaf).measured(leaf, Scope(warehouse, now, [customer_id]))
    found = warehouse.rows(measured.values.mutate(_holds=measured.met.cast("int8")))  # chDB has no Arrow booleans
    if not found:
        return Evaluation(measured.missing, {})
    (row,) = found
    seen = {name: value for name, value in row.items() if name != "customer_id" and not name.startswith("_")}
    return Evaluation(bool(row["_holds"]), seen)


def leaves(condition: Condition) -> Iterator[Leaf]:
    """The leaves of a tree, from left to right."""
    if isinstance(condition, Not):
        yield from leaves(condition.condition)
    elif isinstance(condition, All | Any_):
        for inner in condition.conditions:
            yield from leaves(inner)
    else:
        yield condition


def values(leaf: Leaf, warehouse: Warehouse, now: datetime) -> ir.Table:
    """What a leaf measures, as far as it decides: customer_id, and the columns that are compared."""
    measured = kind_of(leaf).measured(leaf, Scope(warehouse, now))
    return measured.values.select(*_deciding(measured))


def members_by(condition: Condition, warehouse: Warehouse, now: datetime, name: Callable[[Leaf], str]) -> ir.Table:
    """As `members`, from tables that hold what the leaves measure (`values`), each of a name."""
    scope = Scope(warehouse, now)

    def meeting(leaf: Leaf) -> ir.Table:
        measured = kind_of(leaf).measured(leaf, scope)
        columns = measured.values.schema()
        held = ibis.table({column: columns[column] for column in _deciding(measured)}, name=name(leaf))
        found = _meeting(measured, scope).op().replace({measured.values.op(): held.op()})
        return cast(ir.Table, found.to_expr())

    return combined(condition, scope.everybody, meeting)


def _deciding(measured: Measured) -> list[str]:
    whole = measured.values.op()
    compared = {field.name for field in measured.values.filter(measured.met).op().find(ops.Field) if field.rel == whole}
    return [column for column in measured.values.columns if column in {"customer_id", *compared}]


def _leaf(leaf: Leaf, scope: Scope) -> ir.Table:
    return _meeting(kind_of(leaf).measured(leaf, scope), scope)


def _meeting(measured: Measured, scope: Scope) -> ir.Table:
    if measured.missing:
        return scope.everybody().anti_join(measured.values.filter(~measured.met), "customer_id")
    return measured.values.filter(measured.met).select("customer_id")


def _all(conditions: tuple[Condition, ...], everybody: Everybody, meeting: Meeting) -> ir.Table:
    wanted = [one for one in conditions if not isinstance(one, Not)]
    unwanted = [one.condition for one in conditions if isinstance(one, Not)]
    found = combined(wanted[0], everybody, meeting) if wanted else everybody()
    for one in wanted[1:]:
        found = found.semi_join(combined(one, everybody, meeting), "customer_id")
    for excluded in unwanted:
        found = found.anti_join(combined(excluded, everybody, meeting), "customer_id")
    return found
