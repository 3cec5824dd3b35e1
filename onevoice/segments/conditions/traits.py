"""What is known of a customer: the newest value of a trait."""

import ibis
import ibis.expr.types as ir

from onevoice.customers.facts import TRAITS
from onevoice.segments.conditions import values
from onevoice.segments.conditions.kind import Kind, Measured, Scope, Value, reading
from onevoice.segments.conditions.values import Compared


class Trait(Compared, frozen=True, kw_only=True):
    """A trait compared. Exactly one comparison is set; numbers are compared as numbers, 2 is 2.0.

    `contains` asks for a part of a text, or for a member of a list.
    """

    name: str


AGE = ("occurred_at", "event_id", "identifier_id")
"""What tells the newest of a customer's values of a trait, which each identifier has one of."""


def current(scope: Scope, name: str) -> ir.Table:
    """customer_id and value (JSON, never null) of a trait: the newest over all identifiers of a customer."""
    held, other = scope.table(TRAITS), scope.table(TRAITS).select("customer_id", "name", *AGE)
    held, other = held.filter(held.name == name), other.filter(other.name == name)
    # Most have the trait of one identifier: to look for a newer value costs less than to put all values in order.
    newest = held.anti_join(other, [held.customer_id == other.customer_id, _is_newer(other, held)])
    return newest.filter(newest.value.notnull()).select("customer_id", "value")


def _is_newer(left: ir.Table, right: ir.Table) -> ir.BooleanValue:
    first, *others = AGE
    newer, same = left[first] > right[first], left[first] == right[first]
    for column in others:
        newer, same = newer | (same & (left[column] > right[column])), same & (left[column] == right[column])
    return newer


def _measured(asked: Trait, scope: Scope) -> Measured:
    found = current(scope, asked.name)
    return Measured(found, _comparison(found.value, asked))


def _comparison(value: ir.StringColumn, asked: Trait) -> ir.BooleanValue:
    """`value` is a trait's JSON, never null."""
    if asked.contains is not None:
        quoted = values.json(asked.contains)
        in_text = value.startswith('"') & value.contains(quoted[1:-1])
        return in_text | (value.startswith("[") & value.contains(quoted))
    if asked.exists:
        return value.notnull()
    operand = Json(value, value.try_cast("float64"))
    (met,) = values.compared(operand, asked)
    return met


class Json(values.Operand):
    """A value as its JSON: a text in quotes, so that "2" is not 2."""

    def equals(self, wanted: list[Value]) -> ir.BooleanValue:
        """Whether it is one of the values."""
        numbers = [float(one) for one in wanted if values.is_number(one)]
        others = [values.json(one) for one in wanted if not values.is_number(one)]
        if not numbers:
            return self.text.isin(others)
        same = ibis.coalesce(self.number.isin(numbers), False)
        return self.text.isin(others) | same if others else same


TRAIT = Kind("trait", Trait, _measured, lambda asked: reading(TRAITS), one_of=values.COMPARISONS, needs_one=True)
