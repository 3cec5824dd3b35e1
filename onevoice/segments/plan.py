"""How a segment is kept fresh: what it reads, when time alone changes it, and its query, compiled once."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from onevoice.customers.facts import TRAITS
from onevoice.events.facts import EVENTS
from onevoice.segments.compiler import is_population_relative, leaves, members, reads
from onevoice.segments.conditions.kind import Reads
from onevoice.segments.conditions.windows import DURATION, days
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.segments.narrowed import THROUGH, Narrowed
from onevoice.segments.service import SavedSegment
from onevoice.segments.tree import Condition, Leaf, kind_of
from onevoice.warehouse import Facts, Warehouse
from onevoice.warehouse.journal import Key
from onevoice.warehouse.moving import HERE, Moving, moving, relative

Moment = tuple[str, str]
"""A table and its column that says when something was."""


@dataclass(frozen=True)
class Plan:
    """One segment's."""

    name: str
    version: int
    condition: Condition
    tables: tuple[Facts, ...]
    reads: frozenset[Key]  # tables and the names of rows in them; an empty name: all
    follows: frozenset[str]  # the segments it asks about
    moments: frozenset[Moment]  # whose facts' age it asks about
    windows: frozenset[timedelta]  # at what age a fact may count anew or no more
    is_whole: bool  # it can only be computed for all customers at once
    is_timed: bool  # time changes it otherwise than at the edge of a window
    everybody: Moving | None
    some: Moving | None

    def query(self, warehouse: Warehouse, now: datetime) -> str:
        """Its members among the customers of the warehouse, whole or narrowed, at `now`."""
        ready = self.some if isinstance(warehouse, Narrowed) else self.everybody
        return ready.at(now) if ready else warehouse.compiled(members(self.condition, warehouse, now))

    def is_touched(self, noted: set[Key]) -> bool:
        """Whether what was written may change who is in it."""
        return not self.reads.isdisjoint(noted | {(table, "") for table, _ in noted})


def plan(segment: SavedSegment, warehouse: Warehouse) -> Plan:
    """Compiles the segment."""
    condition = segment.condition
    narrowed = Narrowed(warehouse)

    def compiled(where: Warehouse, now: datetime) -> str:
        return str(warehouse.backend.compile(members(condition, where, now)))

    named = set(_spans(condition))
    # Of a day of the calendar and a moment relative to now the later or earlier counts, which moves by no rule.
    is_fixed = not named.isdisjoint({"since", "until", "during"})
    some = None if is_fixed else moving(lambda now: compiled(narrowed, now), warehouse.is_duckdb)
    text = "".join(some.pieces) if some else compiled(narrowed, HERE)
    tables = tuple(narrowed.asked.values())
    everybody = replace(some, pieces=tuple(narrowed.widened(one) for one in some.pieces)) if some else None
    lengths = set(durations(condition))
    if some:
        lengths |= {-offset for offset in some.offsets}
    else:
        lengths |= {timedelta(), *(-offset for offset in relative(text))}
    return Plan(
        segment.name,
        segment.version,
        condition,
        tables,
        frozenset(_keys(tables, reads(condition))),
        reads(condition).segments,
        frozenset(_moments(tables, text)),
        frozenset(lengths),
        is_whole=is_population_relative(condition),
        is_timed="during" in named
        or (some is None and not is_fixed)
        or any(_asks_of_dates(leaf) for leaf in leaves(condition)),
        everybody=everybody,
        some=some,
    )


def durations(value: Any) -> Iterator[timedelta]:
    """Every `60 days` in a condition, wherever it stands."""
    for _, text in _texts(value):
        if re.fullmatch(DURATION, text.strip()):
            yield days(text)


def _spans(value: Any) -> Iterator[str]:
    """The names of all parameters that are set to texts."""
    for name, _ in _texts(value):
        yield name


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, msgspec.Struct):
        value = {field: getattr(value, field) for field in value.__struct_fields__}
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _texts(one, str(key))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one, name)
    elif isinstance(value, str):
        yield name, value


def _keys(tables: tuple[Facts, ...], read: Reads) -> Iterator[Key]:
    """Every table that its query asks, with the names of the rows it asks for, where it says them."""
    for table in tables:
        names = {EVENTS.name: read.events, SEGMENT_MEMBERS.name: read.segments}.get(table.name)
        for name in names or [""]:
            yield (table.name, name)


def _asks_of_dates(leaf: Leaf) -> bool:
    """Whether it compares "now" with a date that a trait says, which is no time of a fact."""
    read = kind_of(leaf).reads(leaf)
    return read.windows and TRAITS.name in read.tables


def _moments(tables: tuple[Facts, ...], text: str) -> Iterator[Moment]:
    """The times that the query names; what it does not name it does not compare."""
    for facts in tables:
        if "customer_id" in facts.columns or facts.name in THROUGH:
            for name, kind in facts.columns.items():
                if "timestamp" in kind and f'"{name}"' in text:
                    yield (facts.name, name)
