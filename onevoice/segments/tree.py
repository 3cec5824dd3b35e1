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

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal

import msgspec

from onevoice.kernel.errors import InvalidInput

Number = int | float
Value = str | Number | bool

DEEPEST = 40
"""How deep conditions may be nested; some twenty levels more, and a store's SQL compiler runs out of stack."""

LONGEST = timedelta(days=36_500)
"""The longest window: a century, which every store's timestamps still reach back."""


class _Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the parameters of all conditions share."""


class Trait(_Condition, frozen=True):
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


class Event(_Condition, frozen=True):
    """How often an event happened, in all or within the last days; `where` names properties and their values."""

    name: str
    at_least: int | None = None  # 1 where none of the three is set
    at_most: int | None = None
    exactly: int | None = None
    within: str | None = None
    where: dict[str, Value] = {}


class Orders(_Condition, frozen=True):
    """The number of orders, their revenue or its average, in all or within the last days."""

    measure: Literal["count", "revenue", "average"] = "count"
    at_least: Number | None = None
    at_most: Number | None = None
    exactly: Number | None = None
    within: str | None = None


class LastOrder(_Condition, frozen=True):
    """When the last order was: `before` so long ago (and nothing since), or `within` the last days."""

    before: str | None = None
    within: str | None = None


class Category(_Condition, frozen=True):
    """A category bought: on so many order lines, or so large a share of the spend, or more than any other (`top`)."""

    name: str
    measure: Literal["lines", "share", "top"] = "lines"
    at_least: Number = 1
    within: str | None = None


class Prefers(_Condition, frozen=True):
    """The channel on which the customer reacted most, by own opens and clicks.

    Ties go to the channel of the last reaction (to the second), then to the first name of the alphabet.
    """

    channel: str
    within: str = "365 days"


class Consent(_Condition, frozen=True):
    """The newest word on the channel and topic is a grant."""

    channel: str
    topic: str


class Reachable(_Condition, frozen=True):
    """There is an address on the channel, and it is not suppressed."""

    channel: str


class InSegment(_Condition, frozen=True):
    """In another segment."""

    name: str


class All(msgspec.Struct, frozen=True):
    """Every one of them."""

    conditions: tuple["Condition", ...]


class Any_(msgspec.Struct, frozen=True):
    """At least one of them."""

    conditions: tuple["Condition", ...]


class Not(msgspec.Struct, frozen=True):
    """Everybody else."""

    condition: "Condition"


Leaf = Trait | Event | Orders | LastOrder | Category | Prefers | Consent | Reachable | InSegment
Condition = Leaf | All | Any_ | Not

LEAVES: dict[str, type[Leaf]] = {
    "trait": Trait,
    "event": Event,
    "orders": Orders,
    "last_order": LastOrder,
    "category": Category,
    "prefers": Prefers,
    "consent": Consent,
    "reachable": Reachable,
    "segment": InSegment,
}

COMPARISONS = {
    Trait: (
        ("equals", "not_equals", "one_of", "contains", "at_least", "at_most", "above", "below", "exists"),
        1,
    ),
    Event: (("at_least", "at_most", "exactly"), 0),
    Orders: (("at_least", "at_most", "exactly"), 1),
    LastOrder: (("before", "within"), 1),
}
"""Which fields exclude each other, and how many of them must be set at least."""


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
    try:
        leaf = msgspec.convert(value, LEAVES[kind])
    except msgspec.ValidationError as error:
        fields = ", ".join(LEAVES[kind].__struct_fields__)
        raise InvalidInput(f"{here}: {error}; {kind} takes {fields}") from error
    _check(leaf, here)
    return leaf


def _check(leaf: Leaf, here: str) -> None:
    names, least = COMPARISONS.get(type(leaf), ((), 0))
    given = [name for name in names if getattr(leaf, name) is not None]
    if len(given) > 1 or len(given) < least:
        how_many = "exactly one" if least else "at most one"
        raise InvalidInput(f"{here}: give {how_many} of {', '.join(names)}")
    for name in ("within", "before"):
        if getattr(leaf, name, None) is not None:
            days(getattr(leaf, name), f"{here}.{name}")
    if isinstance(leaf, Category) and leaf.measure != "top":
        _check_amount(leaf, here)
    if isinstance(leaf, Event):
        for name, value in leaf.where.items():
            if '"' in name or value == "":
                raise InvalidInput(f"{here}.where: expected names without quotes, and values that are not empty")


def _check_amount(leaf: Category, here: str) -> None:
    if leaf.at_least <= 0 or (leaf.measure == "share" and leaf.at_least > 1):
        allowed = "above 0 and up to 1" if leaf.measure == "share" else "1 or more"
        raise InvalidInput(f"{here}.at_least: expected {allowed}; got {leaf.at_least}")


def days(text: str, here: str = "") -> timedelta:
    """`60 days`, `12 hours`. Raises InvalidInput."""
    found = re.fullmatch(r"(\d{1,6})\s*(day|hour)s?", text.strip())
    if not found:
        raise InvalidInput(f"{here}: expected a number of days or hours, such as `60 days`; got {text!r}")
    length = timedelta(days=int(found[1])) if found[2] == "day" else timedelta(hours=int(found[1]))
    if length > LONGEST:
        raise InvalidInput(f"{here}: expected at most {LONGEST.days} days; got {text!r}")
    return length


def segments_named(tree: Condition) -> Iterator[str]:
    """The other segments a tree asks about."""
    if isinstance(tree, InSegment):
        yield tree.name
    elif isinstance(tree, Not):
        yield from segments_named(tree.condition)
    elif isinstance(tree, (All, Any_)):
        for inner in tree.conditions:
            yield from segments_named(inner)
