"""How a segment is kept fresh: what it reads, when time alone changes it, and its queries, compiled once.

A segment is computed leaf by leaf: a condition that many segments share is asked once for all of them, and each tree is
put together from the customers who meet its leaves.
"""

import re
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import md5
from typing import Any

import ibis
import ibis.expr.types as ir
import msgspec

from onevoice.customers.facts import TRAITS
from onevoice.events.facts import EVENTS
from onevoice.segments import membership
from onevoice.segments.compiler import combined, is_population_relative, leaves, members, reads
from onevoice.segments.conditions.kind import Reads, Scope
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
class LeafPlan:
    """One leaf's; all segments that have the leaf share it."""

    name: str  # also of the scratch table with those who meet it
    leaf: Leaf
    tables: tuple[Facts, ...]
    reads: frozenset[Key]  # tables and the names of rows in them; an empty name: all
    moments: frozenset[Moment]  # whose facts' age it asks about
    windows: frozenset[timedelta]  # at what age a fact may count anew or no more
    is_whole: bool  # it can only be computed for all customers at once
    is_timed: bool  # time changes it otherwise than at the edge of a window
    everybody: Moving | None
    some: Moving | None

    def query(self, warehouse: Warehouse, now: datetime) -> str:
        """Who meets it among the customers of the warehouse, whole or narrowed, at `now`."""
        ready = self.some if isinstance(warehouse, Narrowed) else self.everybody
        return ready.at(now) if ready else warehouse.compiled(members(self.leaf, warehouse, now))


@dataclass(frozen=True)
class Plan:
    """One segment's."""

    name: str
    version: int
    leaves: tuple[LeafPlan, ...]
    tables: tuple[Facts, ...]
    reads: frozenset[Key]
    follows: frozenset[str]  # the segments it asks about
    moments: frozenset[Moment]
    windows: frozenset[timedelta]
    is_whole: bool
    is_timed: bool
    everybody: str  # its members, from the tables of its leaves
    some: str  # the same among the customers of a narrowed warehouse
    difference: str  # customer_id and `entered` (1 or 0) of who is to enter or to leave, from the tables of its leaves

    def query(self, warehouse: Warehouse, now: datetime) -> str:
        """Its members among the customers of the warehouse, whole or narrowed, at `now`, as one query."""
        tree = self.some if isinstance(warehouse, Narrowed) else self.everybody
        for one in self.leaves:
            tree = tree.replace(f'"{one.name}"', f"({one.query(warehouse, now)})")
        return tree

    def is_touched(self, noted: set[Key]) -> bool:
        """Whether what was written may change who is in it."""
        return not self.reads.isdisjoint(noted | {(table, "") for table, _ in noted})


def plan(segment: SavedSegment, warehouse: Warehouse, known: MutableMapping[str, LeafPlan]) -> Plan:
    """Compiles the segment; leaves that are `known` are taken, others added to them."""
    condition = segment.condition
    needed = {name: leaf for leaf in leaves(condition) for name in [_name(leaf)]}
    for name, leaf in needed.items():
        if name not in known:
            known[name] = leaf_plan(name, leaf, warehouse)
    parts = tuple(known[name] for name in needed)
    narrowed = Narrowed(warehouse)
    tree = _tree(condition, narrowed)  # tells which tables it asks
    some = str(warehouse.backend.compile(tree))
    tables = {
        facts.name: facts for facts in (*narrowed.asked.values(), *(one for part in parts for one in part.tables))
    }
    held = membership.held(warehouse, segment.name)
    apart = membership.differences(held, _tree(condition, warehouse), ["customer_id"])
    return Plan(
        segment.name,
        segment.version,
        parts,
        tuple(tables.values()),
        frozenset(_keys(narrowed.asked.values(), Reads())).union(*(part.reads for part in parts)),
        reads(condition).segments,
        frozenset[Moment]().union(*(part.moments for part in parts)),
        frozenset[timedelta]().union(*(part.windows for part in parts)),
        is_whole=any(part.is_whole for part in parts),
        is_timed=any(part.is_timed for part in parts),
        everybody=narrowed.widened(some),
        some=some,
        difference=str(warehouse.backend.compile(apart)),
    )


def leaf_plan(name: str, leaf: Leaf, warehouse: Warehouse) -> LeafPlan:
    """Compiles a leaf."""
    narrowed = Narrowed(warehouse)

    def compiled(where: Warehouse, now: datetime) -> str:
        return str(warehouse.backend.compile(members(leaf, where, now)))

    named = set(_spans(leaf))
    # Of a day of the calendar and a moment relative to now the later or earlier counts, which moves by no rule.
    is_fixed = not named.isdisjoint({"since", "until", "during"})
    some = None if is_fixed else moving(lambda now: compiled(narrowed, now), warehouse.is_duckdb)
    text = "".join(some.pieces) if some else compiled(narrowed, HERE)
    tables = tuple(narrowed.asked.values())
    lengths = set(durations(leaf))
    if some:
        lengths |= {-offset for offset in some.offsets}
    else:
        lengths |= {timedelta(), *(-offset for offset in relative(text))}
    return LeafPlan(
        name,
        leaf,
        tables,
        frozenset(_keys(tables, reads(leaf))),
        frozenset(_moments(tables, text)),
        frozenset(lengths),
        is_whole=is_population_relative(leaf),
        is_timed="during" in named or (some is None and not is_fixed) or _asks_of_dates(leaf),
        everybody=replace(some, pieces=tuple(narrowed.widened(one) for one in some.pieces)) if some else None,
        some=some,
    )


def _name(leaf: Leaf) -> str:
    """The same for the same question, whoever asks it."""
    asked = kind_of(leaf).name.encode() + msgspec.json.encode(leaf)
    return f"leaf_{md5(asked, usedforsecurity=False).hexdigest()}"


def _tree(condition: Condition, warehouse: Warehouse) -> ir.Table:
    """The members, from the tables of the leaves."""
    return combined(
        condition,
        Scope(warehouse, HERE).everybody,
        lambda leaf: ibis.table({"customer_id": "int64"}, name=_name(leaf)),
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


def _keys(tables: Iterable[Facts], read: Reads) -> Iterator[Key]:
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
