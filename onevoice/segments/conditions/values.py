"""Comparisons of traits and properties, which are JSON in the warehouse: 2 is 2.0, and text is never a number."""

from typing import Any

import ibis
import ibis.expr.types as ir
import msgspec


def equals(value: ir.StringColumn, number: ir.FloatingColumn, wanted: list[Any]) -> ir.BooleanValue:
    """Whether a trait's JSON is one of the values; `number` is the same as a number, null where it is none."""
    numbers = [float(one) for one in wanted if is_number(one)]
    others = [json(one) for one in wanted if not is_number(one)]
    return value.isin(others) | ibis.coalesce(number.isin(numbers), False)


def is_number(value: object) -> bool:
    """Whether it is compared as a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def json(value: object) -> str:
    """As the warehouse has it in a trait."""
    return msgspec.json.encode(value).decode()


def text(value: object) -> str:
    """A property's value as the store's JSON functions give it as text."""
    return str(value).lower() if isinstance(value, bool) else str(value)
