"""Comparisons of values: of traits and properties, which are JSON in the warehouse, and of columns.

Numbers are compared as numbers, 2 is 2.0; true and false are words. What is absent (or empty) meets no comparison.
"""

from dataclasses import dataclass
from typing import Any, Literal, cast

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import msgspec

from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.kind import Asked, Number, Value

COMPARISONS = ("equals", "not_equals", "one_of", "contains", "at_least", "at_most", "above", "below", "exists")


class Compared(Asked, frozen=True, kw_only=True, omit_defaults=True):
    """The comparisons there are. `contains` asks for a part of a text, or for a member of a list."""

    equals: Value | None = None
    not_equals: Value | None = None
    one_of: list[Value] | None = None
    contains: str | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    above: Number | None = None
    below: Number | None = None
    exists: Literal[True] | None = None


class Filter(Compared, frozen=True, kw_only=True, omit_defaults=True):
    """Comparisons of a property, all of which must hold.

    `same_as` and `differs_from` name a step of a sequence, counted from 1: its value of the same property, or of the
    one that `property` names.
    """

    same_as: int | None = None
    differs_from: int | None = None
    property: str | None = None


Where = dict[str, Value | list[Value] | Filter]
"""Properties and what they must be: a value, one of a list of values, or comparisons."""


@dataclass(frozen=True)
class Operand:
    """A value to compare: as text, and as a number (null where it is none); null where absent."""

    text: ir.StringValue
    number: ir.FloatingValue

    def equals(self, wanted: list[Any]) -> ir.BooleanValue:
        """Whether it is one of the values."""
        numbers = [float(one) for one in wanted if is_number(one)]
        words = [word(one) for one in wanted if not is_number(one)]
        if not numbers:
            return (self.text if "" in words else _as_stored(self.text)).isin(words)
        same = self.number == numbers[0] if len(numbers) == 1 else self.number.isin(numbers)
        same = ibis.coalesce(same, False)
        return self.text.isin(words) | same if words else same

    def contains(self, wanted: str) -> ir.BooleanValue:
        """Whether the text has the part, or the list (in JSON) the member."""
        return ibis.ifelse(self.text.startswith("["), self.text.contains(json(wanted)), self.text.contains(wanted))

    def exists(self) -> ir.BooleanValue:
        """Whether there is one."""
        return self.text.notnull()


def _as_stored(text: ir.StringValue) -> ir.StringValue:
    """A text that is null where it is empty, without that: compared with words it is one, and costs less."""
    node = text.op()
    return cast(ir.StringValue, node.arg.to_expr()) if isinstance(node, ops.NullIf) else text


def compared(operand: Operand, asked: Any) -> list[ir.BooleanValue]:
    """The comparisons that `asked` has, on what has the fields of `Compared` or some of them."""
    found: list[ir.BooleanValue] = []
    number = operand.number
    for name in COMPARISONS:
        wanted = getattr(asked, name, None)
        if wanted is None:
            continue
        match name:
            case "equals":
                found.append(operand.equals([wanted]))
            case "not_equals":
                found.append(operand.exists() & ~operand.equals([wanted]))
            case "one_of":
                found.append(operand.equals(wanted))
            case "contains":
                found.append(operand.contains(wanted))
            case "at_least":
                found.append(number >= wanted)
            case "at_most":
                found.append(number <= wanted)
            case "above":
                found.append(number > wanted)
            case "below":
                found.append(number < wanted)
            case _:
                found.append(operand.exists())
    return found


def as_filter(wanted: Value | list[Value] | Filter) -> Filter:
    """A short form of `where` in full."""
    if isinstance(wanted, Filter):
        return wanted
    return Filter(one_of=wanted) if isinstance(wanted, list) else Filter(equals=wanted)


def check_where(where: Where, here: str, steps: int = 0) -> None:
    """Raises InvalidInput for a property that cannot be asked about; `steps` may be referred to."""
    for name, wanted in where.items():
        asked = as_filter(wanted)
        if '"' in name or not name or asked.equals == "" or asked.one_of == []:
            raise InvalidInput(f"{here}: expected names without quotes, and values that are not empty")
        references = [step for step in (asked.same_as, asked.differs_from) if step is not None]
        if not references and not any(getattr(asked, one) is not None for one in COMPARISONS):
            raise InvalidInput(f"{here}.{name}: give one of {', '.join(COMPARISONS)}")
        for step in references:
            if not 1 <= step <= steps:
                which = f"a step from 1 to {steps}" if steps else "none, for there is no step before"
                raise InvalidInput(f"{here}.{name}: there is no step {step} to refer to; expected {which}")


def is_number(value: object) -> bool:
    """Whether it is compared as a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def json(value: object) -> str:
    """As JSON."""
    return msgspec.json.encode(value).decode()


def word(value: object) -> str:
    """A text or a truth value as the store's JSON functions give it as text."""
    return str(value).lower() if isinstance(value, bool) else str(value)
