"""How a segment is kept fresh: what it reads, when time alone changes it, and its query, compiled once.

The query is in two parts: what each leaf measures, and who the members are by those values. What many segments measure
is so measured once for all of them.
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import md5
from typing import Any

import ibis.expr.types as ir
import msgspec

from onevoice.customers.facts import TRAITS
from onevoice.events.facts import EVENTS
from onevoice.segments.compiler import is_population_relative, leaves, members_by, reads, values
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


Build = Callable[[Warehouse, datetime], ir.Table]


@dataclass(frozen=True)
class Query:
    """An expression compiled once, for all customers and for those of a narrowed warehouse; else each time anew."""

    build: Build
    text: str  # as it is for some, at `HERE`
    everybody: Moving | None
    some: Moving | None

    def at(self, warehouse: Warehouse, now: datetime) -> str:
        """The query of the warehouse's customers at `now`."""
        ready = self.some if isinstance(warehouse, Narrowed) else self.everybody
        return ready.at(now) if ready else warehouse.compiled(self.build(warehouse, now))

    @property
    def windows(self) -> frozenset[timedelta]:
        """How long ago the instants are that it compares with."""
        offsets = self.some.offsets if self.some else {timedelta(), *relative(self.text)}
        return frozenset(-offset for offset in offsets)


@dataclass(frozen=True)
class Measurement:
    """What a leaf compares; one and the same for all leaves that differ in the comparison alone."""

    name: str  # also of the scratch table it may be put aside in
    query: Query


@dataclass(frozen=True)
class Plan:
    """One segment's."""

    name: str
    version: int
    measurements: tuple[Measurement, ...]
    members: Query  # from the measurements, by their names
    tables: tuple[Facts, ...]
    reads: frozenset[Key]  # tables and the names of rows in them; an empty name: all
    follows: frozenset[str]  # the segments it asks about
    moments: frozenset[Moment]  # whose facts' age it asks about
    windows: frozenset[timedelta]  # at what age a fact may count anew or no more
    is_whole: bool  # it can only be computed for all customers at once
    is_timed: bool  # time changes it otherwise than at the edge of a window

    def query(self, warehouse: Warehouse, now: datetime, aside: Collection[str] = ()) -> str:
        """Its members among the customers of the warehouse, whole or narrowed, at `now`.

        Measurements that were put `aside` are taken from there.
        """
        sql = self.members.at(warehouse, now)
        for one in self.measurements:
            if one.name not in aside:
                sql = sql.replace(f'"{one.name}"', f"({one.query.at(warehouse, now)})")
        return sql

    def is_touched(self, noted: set[Key]) -> bool:
        """Whether what was written may change who is in it."""
        return not self.reads.isdisjoint(noted | {(table, "") for table, _ in noted})


def plan(segment: SavedSegment, warehouse: Warehouse) -> Plan:
    """Compiles the segment."""
    condition = segment.condition
    narrowed = Narrowed(warehouse)
    measured = [(leaf, _measurement(leaf, narrowed)) for leaf in leaves(condition)]
    names = {id(leaf): one.name for leaf, one in measured}
    is_fixed = any(_is_fixed(leaf) for leaf, _ in measured)
    query = _query(
        lambda where, now: members_by(condition, where, now, lambda leaf: names[id(leaf)]), narrowed, is_fixed
    )
    parts = [query, *(one.query for _, one in measured)]
    tables = tuple(narrowed.asked.values())
    return Plan(
        segment.name,
        segment.version,
        tuple({one.name: one for _, one in measured}.values()),
        query,
        tables,
        frozenset(_keys(tables, reads(condition))),
        reads(condition).segments,
        frozenset(_moments(tables, "".join(one.text for one in parts))),
        frozenset(durations(condition)).union(*(one.windows for one in parts)),
        is_whole=is_population_relative(condition),
        is_timed="during" in _spans(condition)
        or (any(one.some is None for one in parts) and not is_fixed)
        or any(_asks_of_dates(leaf) for leaf, _ in measured),
    )


def _measurement(leaf: Leaf, narrowed: Narrowed) -> Measurement:
    query = _query(lambda where, now: values(leaf, where, now), narrowed, _is_fixed(leaf))
    same = repr(query.some) if query.some else f"{kind_of(leaf).name} {msgspec.json.encode(leaf)!r}"
    return Measurement(f"measured_{md5(same.encode(), usedforsecurity=False).hexdigest()}", query)


def _query(build: Build, narrowed: Narrowed, is_fixed: bool) -> Query:
    def compiled(now: datetime) -> str:
        return str(narrowed.backend.compile(build(narrowed, now)))

    some = None if is_fixed else moving(compiled, narrowed.is_duckdb)
    everybody = replace(some, pieces=tuple(narrowed.widened(one) for one in some.pieces)) if some else None
    return Query(build, "".join(some.pieces) if some else compiled(HERE), everybody, some)


def _is_fixed(condition: Condition) -> bool:
    """Of a day of the calendar and a moment relative to now the later or earlier counts, which moves by no rule."""
    return not {"since", "until", "during"}.isdisjoint(_spans(condition))


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
