"""What is known of a customer: the newest value of a trait."""

from typing import Literal

import ibis
import ibis.expr.types as ir

from onevoice.customers.facts import TRAITS
from onevoice.segments.conditions import values
from onevoice.segments.conditions.kind import Asked, Kind, Measured, Number, Reads, Scope, Value, reading


class Trait(Asked, frozen=True):
    """A trait compared. Exactly one comparison is set; numbers are compared as numbers, 2 is 2.0.

    `contains` asks for a part of a text, or for a member of a list.
    """

    name: str
    equals: Value | None = None
    not_equals: Value | None = None
    one_of: list[Value] | None = None
    contains: str | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    above: Number | None = None
    below: Number | None = None
    exists: Literal[True] | None = None


def current(scope: Scope, name: str) -> ir.Table:
    """customer_id and value (JSON, never null) of a trait: the newest over all identifiers of a customer."""
    traits = scope.table(TRAITS)
    named = traits.filter(traits.name == name)
    newest = named.mutate(
        rank=ibis.row_number().over(group_by="customer_id", order_by=[ibis.desc("occurred_at"), ibis.desc("event_id")])
    )
    return newest.filter(newest["rank"] == 0, newest.value.notnull()).select("customer_id", "value")


def _measured(asked: Trait, scope: Scope) -> Measured:
    found = current(scope, asked.name)
    return Measured(found, _comparison(found.value, asked))


def _comparison(value: ir.StringColumn, asked: Trait) -> ir.BooleanValue:
    """`value` is a trait's JSON, never null."""
    number = value.try_cast("float64")
    if asked.exists:
        return value.notnull()
    if asked.contains is not None:
        quoted = values.json(asked.contains)
        in_text = value.startswith('"') & value.contains(quoted[1:-1])
        return in_text | (value.startswith("[") & value.contains(quoted))
    if asked.at_least is not None:
        return number >= asked.at_least
    if asked.at_most is not None:
        return number <= asked.at_most
    if asked.above is not None:
        return number > asked.above
    if asked.below is not None:
        return number < asked.below
    if asked.not_equals is not None:
        return ~values.equals(value, number, [asked.not_equals])
    return values.equals(value, number, asked.one_of if asked.one_of is not None else [asked.equals])


def _reads(asked: Trait) -> Reads:
    return reading(TRAITS)


TRAIT = Kind(
    "trait",
    Trait,
    _measured,
    _reads,
    one_of=("equals", "not_equals", "one_of", "contains", "at_least", "at_most", "above", "below", "exists"),
    needs_one=True,
)
