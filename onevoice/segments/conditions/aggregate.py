"""A figure over what a customer did, compared with a number, with the population, or with another figure of theirs.

    aggregate: {of: orders, function: sum, property: revenue, within: 90 days, top_percent: 10}
    aggregate: {event: Search, function: most_frequent, property: brand, equals: Acme}
    aggregate: {of: orders, function: count, within: 30 days, below: {of: orders, function: count, before: 30 days,
                within: 60 days, times: 0.5}}

`count` and `sum` of nothing are 0; nothing else is known of who has no rows, and they do not meet the condition.
"""

from typing import Literal

import ibis
import ibis.expr.types as ir

from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.kind import Kind, Measured, Number, Reads, Scope, Value
from onevoice.segments.conditions.population import check_percent, share_from_top
from onevoice.segments.conditions.sources import EVENT_SOURCE, Rows, Selected, check_rows, reads_rows, selected
from onevoice.segments.conditions.values import Operand, compared, is_number

Function = Literal["count", "sum", "average", "min", "max", "distinct", "first", "last", "most_frequent"]

TEXTS = ("first", "last", "most_frequent")
"""Functions that give a value as it was; the others give a number."""

MICRO = 1_000_000
"""Numbers of events are summed in millionths, so that a sum does not depend on the order, and is one on every store."""


class Measure(Rows, frozen=True, kw_only=True):
    """A function of a property of what happened; `count` needs none."""

    function: Function
    property: str | None = None


class Other(Measure, frozen=True, kw_only=True):
    """Another figure of the same customer, multiplied."""

    times: Number = 1


class Aggregate(Measure, frozen=True, kw_only=True):
    """A measure compared; exactly one comparison is set.

    `top_percent` are those with the highest values among all who have one, ties at the edge with them; `bottom_percent`
    those with the lowest. First, last and most frequent give texts (or numbers), the others numbers; of two values
    equally frequent the first of the alphabet counts.
    """

    equals: Value | None = None
    not_equals: Value | None = None
    one_of: list[Value] | None = None
    contains: str | None = None
    at_least: Number | Other | None = None
    at_most: Number | Other | None = None
    above: Number | Other | None = None
    below: Number | Other | None = None
    top_percent: Number | None = None
    bottom_percent: Number | None = None


SIDES = ("at_least", "at_most", "above", "below")
ONE_OF = ("equals", "not_equals", "one_of", "contains", *SIDES, "top_percent", "bottom_percent")


def figures(asked: Measure, scope: Scope) -> ir.Table:
    """customer_id and `value` of those who have one: float64, or text for a function of `TEXTS`."""
    needed = () if asked.property is None else (asked.property,)
    # The sum of what orders brought is net of every return; an average or a highest order is one of orders.
    is_money = (asked.of, asked.function, asked.property) == ("orders", "sum", "revenue")
    found = selected(scope, asked, needed, money=is_money)
    rows = found.rows
    if asked.function == "count":
        return rows.group_by("customer_id").aggregate(value=rows.count().cast("float64"))
    name = asked.property or ""
    operand = found.operand(name)
    match asked.function:
        case "sum" if found.source is not EVENT_SOURCE and rows[name].type().is_decimal():
            return rows.group_by("customer_id").aggregate(value=rows[name].sum().cast("float64"))
        case "sum" | "average":
            return _summed(rows, operand, asked.function)
        case "min" | "max":
            extreme = operand.number.min() if asked.function == "min" else operand.number.max()
            return rows.group_by("customer_id").aggregate(value=extreme).filter(lambda t: t.value.notnull())
        case "distinct":
            known = rows.select("customer_id", text=operand.text).filter(lambda t: t.text.notnull())
            return known.group_by("customer_id").aggregate(value=known.text.nunique().cast("float64"))
        case "most_frequent":
            return _most_frequent(rows, operand)
        case _:
            return _at_an_end(found, operand, asked.function)


def _summed(rows: ir.Table, operand: Operand, function: str) -> ir.Table:
    numbers = rows.select("customer_id", micro=(operand.number * MICRO).round().try_cast("int64"))
    known = numbers.filter(numbers.micro.notnull())
    total = known.micro.sum().cast("float64") / MICRO
    return known.group_by("customer_id").aggregate(value=total if function == "sum" else total / known.count())


def _most_frequent(rows: ir.Table, operand: Operand) -> ir.Table:
    known = rows.select("customer_id", text=operand.text).filter(lambda t: t.text.notnull())
    counted = known.group_by("customer_id", "text").aggregate(n=known.count())
    order = [ibis.desc("n"), counted.text]
    ranked = counted.mutate(rank=ibis.row_number().over(group_by="customer_id", order_by=order))
    return ranked.filter(ranked["rank"] == 0).select("customer_id", value=ranked.text)


def _at_an_end(found: Selected, operand: Operand, function: str) -> ir.Table:
    rows = found.rows.mutate(text=operand.text).filter(lambda t: t.text.notnull())
    keys = ["at", *found.source.identity]
    order = keys if function == "first" else [ibis.desc(key) for key in keys]
    ranked = rows.mutate(rank=ibis.row_number().over(group_by="customer_id", order_by=order))
    return ranked.filter(ranked["rank"] == 0).select("customer_id", value=ranked.text)


def _measured(asked: Aggregate, scope: Scope) -> Measured:
    other = next((one for one in (getattr(asked, name) for name in SIDES) if isinstance(one, Other)), None)
    if other is not None:
        return _compared_with(asked, other, scope)
    values = figures(asked, scope)
    if asked.top_percent is not None or asked.bottom_percent is not None:
        everybody = figures(asked, scope.whole())
        values, met = share_from_top(scope, values, everybody, asked.top_percent, asked.bottom_percent)
        return Measured(values, met)
    if asked.function in TEXTS:
        operand = Operand(values.value, values.value.try_cast("float64"))
        (met,) = compared(operand, asked)
        return Measured(values, met)
    (met,) = compared(Operand(values.value.cast("string"), values.value), asked)
    return Measured(values, met, missing=asked.function in ("count", "sum") and _zero_meets(asked))


def _zero_meets(asked: Aggregate) -> bool:
    if asked.equals is not None or asked.one_of is not None:
        wanted = [asked.equals] if asked.one_of is None else asked.one_of
        return any(is_number(one) and one == 0 for one in wanted)
    tests = {"at_least": "__ge__", "at_most": "__le__", "above": "__gt__", "below": "__lt__", "not_equals": "__ne__"}
    ((name, test),) = ((name, test) for name, test in tests.items() if getattr(asked, name) is not None)
    return bool(getattr(0.0, test)(float(getattr(asked, name))))


def _compared_with(asked: Aggregate, other: Other, scope: Scope) -> Measured:
    left, right = figures(asked, scope), figures(other, scope).rename(other="value")
    both = left.outer_join(right, "customer_id")
    both = both.select(
        customer_id=ibis.coalesce(both.customer_id, both.customer_id_right), value=both.value, other=both.other
    )
    if asked.function in ("count", "sum"):
        both = both.mutate(value=ibis.coalesce(both.value, 0.0))
    if other.function in ("count", "sum"):
        both = both.mutate(other=ibis.coalesce(both.other, 0.0))
    limit = both.other * float(other.times)
    side = next(name for name in SIDES if getattr(asked, name) is not None)
    value = both.value
    met = {"at_least": value >= limit, "at_most": value <= limit, "above": value > limit, "below": value < limit}[side]
    of_nothing = {asked.function, other.function} <= {"count", "sum"}
    return Measured(both, ibis.coalesce(met, False), missing=of_nothing and side in ("at_least", "at_most"))


def _reads(asked: Aggregate) -> Reads:
    found = reads_rows(asked)
    for name in SIDES:
        other = getattr(asked, name)
        if isinstance(other, Other):
            found = found | reads_rows(other)
    return found


def _check(asked: Aggregate, here: str) -> None:
    _check_measure(asked, here)
    for name in SIDES:
        other = getattr(asked, name)
        if isinstance(other, Other):
            _check_measure(other, f"{here}.{name}")
            if {asked.function, other.function} & set(TEXTS):
                raise InvalidInput(f"{here}.{name}: only numbers can be compared with another figure")
    check_percent(asked.top_percent, f"{here}.top_percent")
    check_percent(asked.bottom_percent, f"{here}.bottom_percent")
    wants_text = asked.contains is not None or any(
        isinstance(one, str) for one in (asked.equals, asked.not_equals, *(asked.one_of or ()))
    )
    if wants_text and asked.function not in TEXTS:
        raise InvalidInput(f"{here}: {asked.function} gives a number; compare it with one")
    if asked.function in TEXTS and (asked.top_percent is not None or asked.bottom_percent is not None):
        raise InvalidInput(f"{here}: {asked.function} gives a value, which has no place among the population's")


def _check_measure(asked: Measure, here: str) -> None:
    if (asked.property is None) != (asked.function == "count"):
        wanted = "count takes no property" if asked.function == "count" else f"{asked.function} needs a property"
        raise InvalidInput(f"{here}: {wanted}")
    check_rows(asked, here, () if asked.property is None else (asked.property,))
    if asked.property is not None and ('"' in asked.property or not asked.property):
        raise InvalidInput(f"{here}.property: expected a name without quotes")


AGGREGATE = Kind(
    "aggregate",
    Aggregate,
    _measured,
    _reads,
    _check,
    one_of=ONE_OF,
    needs_one=True,
    is_population_relative=lambda asked: asked.top_percent is not None or asked.bottom_percent is not None,
)
