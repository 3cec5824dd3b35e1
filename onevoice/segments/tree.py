"""The condition tree of a segment: what a marketer may ask of a customer, nested by all, any and not to any depth.

Written in YAML as mappings of one key, the kind of the condition:

    where:
      all:
        - last_order: {before: 60 days}
        - not: {category: {name: Tobacco}}
        - any:
            - trait: {name: city, equals: Roma}
            - event: {name: Product Viewed, at_least: 3, within: 14 days}

Whoever lacks what a condition compares (the trait, an order to average) does not meet it; `not` finds them.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions import KINDS
from onevoice.segments.conditions.channels import Consent, Reachable
from onevoice.segments.conditions.kind import AnyKind, Asked
from onevoice.segments.conditions.membership import InSegment

__all__ = ["All", "Any_", "Condition", "Consent", "InSegment", "Leaf", "Not", "Reachable", "condition"]

DEEPEST = 40
"""How deep conditions may be nested; some twenty levels more, and a store's SQL compiler runs out of stack."""

Leaf = Asked


class All(msgspec.Struct, frozen=True):
    """Every one of them."""

    conditions: tuple["Condition", ...]


class Any_(msgspec.Struct, frozen=True):
    """At least one of them."""

    conditions: tuple["Condition", ...]


class Not(msgspec.Struct, frozen=True):
    """Everybody else."""

    condition: "Condition"


Condition = Leaf | All | Any_ | Not

LEAVES: dict[str, AnyKind] = {kind.name: kind for kind in KINDS}
_BY_ASKED: dict[type[Asked], AnyKind] = {kind.asked: kind for kind in KINDS}


def kind_of(leaf: Leaf) -> AnyKind:
    """The kind of a leaf."""
    return _BY_ASKED[type(leaf)]


def condition(document: Any, path: str = "where") -> Condition:
    """The tree of a document. Raises InvalidInput naming the place in it and what is allowed there."""
    return _condition(document, path, 0)


def _condition(document: Any, path: str, depth: int) -> Condition:
    if depth > DEEPEST:
        raise InvalidInput(f"{path}: nested deeper than {DEEPEST} levels; name the inner part as a segment of its own")
    if not isinstance(document, dict) or len(document) != 1:
        raise InvalidInput(f"{path}: expected a mapping with one key out of all, any, not, {', '.join(LEAVES)}")
    ((kind, value),) = document.items()
    here = f"{path}.{kind}"
    if kind in ("all", "any"):
        if not isinstance(value, list) or not value:
            raise InvalidInput(f"{here}: expected a list of conditions")
        inner = tuple(_condition(one, f"{here}[{index}]", depth + 1) for index, one in enumerate(value))
        return All(inner) if kind == "all" else Any_(inner)
    if kind == "not":
        return Not(_condition(value, here, depth + 1))
    if kind not in LEAVES:
        raise InvalidInput(f"{here}: there is no such condition; there are all, any, not, {', '.join(LEAVES)}")
    return _leaf(LEAVES[kind], value, here)


def _leaf(kind: AnyKind, value: Any, here: str) -> Leaf:
    try:
        leaf: Leaf = msgspec.convert(value, kind.asked)
    except msgspec.ValidationError as error:
        fields = ", ".join(kind.asked.__struct_fields__)
        raise InvalidInput(f"{here}: {error}; {kind.name} takes {fields}") from error
    given = [name for name in kind.one_of if getattr(leaf, name) is not None]
    if len(given) > 1 or (kind.needs_one and not given):
        how_many = "exactly one" if kind.needs_one else "at most one"
        raise InvalidInput(f"{here}: give {how_many} of {', '.join(kind.one_of)}")
    kind.check(leaf, here)
    return leaf


def segments_named(tree: Condition) -> Iterator[str]:
    """The other segments a tree asks about."""
    if isinstance(tree, InSegment):
        yield tree.name
    elif isinstance(tree, Not):
        yield from segments_named(tree.condition)
    elif isinstance(tree, (All, Any_)):
        for inner in tree.conditions:
            yield from segments_named(inner)
