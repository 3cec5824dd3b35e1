"""Who is in which segment now, kept so by computing as little as is exact.

Three things may change a membership. A fact that was loaded: then its customers are asked again, of the segments that
read such facts. Time: then those are asked who have a fact that passed a window's edge. A definition, or whatever
concerns a whole population: then everybody is asked. That last is also done for each segment now and then, whatever
happened. Who stays keeps the time of entering; entering and leaving are events.
"""

import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from graphlib import TopologicalSorter

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.customers.facts import ADDRESSES, CONSENT_EXPIRIES, IDENTIFIERS, SUPPRESSIONS
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.kernel.clock import naive
from onevoice.kernel.log import logger
from onevoice.segments import edges, membership
from onevoice.segments.facts import LIST_ENTRIES, SEGMENT_MEMBERS, SEGMENT_STATES
from onevoice.segments.narrowed import Narrowed
from onevoice.segments.plan import Plan, plan
from onevoice.segments.service import SavedSegment
from onevoice.segments.whole import CHANGED, Aside, Batch, collect
from onevoice.warehouse import QUERY_ERRORS, Facts, Warehouse
from onevoice.warehouse.journal import Journal, Key

log = logger("segments")

EDGES_EVERY = timedelta(seconds=10)
"""How often facts are looked for that passed the edge of a window."""

WHOLE_EVERY = timedelta(seconds=45)
"""How often a segment is computed whole that time or a population changes; with the waiting in line under a minute."""

AGAIN_EVERY = timedelta(hours=1)
"""How often every other segment is computed whole, should something have been written behind our back."""

NARROW_LIMIT = 50_000
"""More customers than these are not asked one by one: their segments are computed whole."""

PASSES = 5
"""How often in a row entering a segment may be what moves others in or out, before the next step goes on with it."""


@dataclass(frozen=True)
class Change:
    """What a refresh did to a segment."""

    segment: str
    entered: int
    left: int


@dataclass(frozen=True)
class Touched:
    """What is to be asked again: customers, and which segments."""

    customers: pa.Array
    segments: frozenset[str]


NOBODY = Touched(pa.array([], pa.int64()), frozenset())


OWNERS = {
    SUPPRESSIONS.name: ADDRESSES,
    MESSAGE_EVENTS.name: MESSAGES,
    LIST_ENTRIES.name: IDENTIFIERS,
}
"""Where it is found whose a row is that names no customer."""


class Refresher:
    """Remembers what was written since the last time, and when each segment was computed. One per warehouse."""

    def __init__(self, warehouse: Warehouse, again_every: timedelta = AGAIN_EVERY) -> None:
        self.warehouse = warehouse
        self.again_every = again_every
        self.narrowed = Narrowed(warehouse)
        self.journal = warehouse.journal = Journal()
        self.plans: dict[str, Plan] = {}
        self.stale: set[str] = set()  # to be computed whole
        self.computed_at: dict[str, datetime] = {}
        self.swept_at: datetime | None = None
        self.states = {row["segment"]: row for row in warehouse.rows(warehouse.table(SEGMENT_STATES))}
        self.pending = NOBODY
        self.filled: set[str] = set()  # tables in which the touched customers' rows are put aside

    # -- the steps of a refresh, in this order

    def prepare(self, segments: Sequence[SavedSegment], now: datetime) -> None:
        """Takes the definitions as they are now, and finds what must be asked again."""
        noted = self.journal.take()
        if any(table == CONSENT_EXPIRIES.name for table, _ in noted):  # the rules are part of what was compiled
            self.plans = {name: one for name, one in self.plans.items() if CONSENT_EXPIRIES not in one.tables}
        self._take_definitions(segments)
        customers, affected = self._noted(noted)
        if self.swept_at is None or now < self.swept_at:
            self.stale |= set(self.plans)
            self.swept_at = now
        elif now - self.swept_at >= EDGES_EVERY:
            timed = [one for one in self.plans.values() if one.windows and not self._is_whole(one)]
            moved = edges.swept(self.warehouse, timed, self.swept_at, now)
            if len(moved):
                customers.append(moved)
                affected |= {one.name for one in timed}
            self.swept_at = now
        for name, one in self.plans.items():
            every = WHOLE_EVERY if self._is_whole(one) else self.again_every
            if name in self.computed_at and now - self.computed_at[name] >= every:
                self.stale.add(name)
        asked = pa.chunked_array(customers, pa.int64()).unique()
        affected = self._with_followers(affected)
        self.stale |= {name for name in affected if self.plans[name].is_whole}
        if len(asked) > NARROW_LIMIT:
            self.stale |= affected
            affected = set()
        self.pending, self.filled = Touched(asked, frozenset(affected - self.stale)), set()

    def first(self, waited: Collection[str], now: datetime, budget: timedelta | None = None) -> list[Change]:
        """Brings the segments up to date that somebody waits for, and those they ask about."""
        wanted = self._with_followed(waited)
        return self._ask(self.pending.segments & wanted, now) + self._wholes(wanted & self.stale, now, budget)

    def others(self, now: datetime, budget: timedelta | None = None) -> list[Change]:
        """Brings the others up to date; those that are computed whole for so long, and one at least.

        Without a budget all are.
        """
        return self._ask(self.pending.segments, now) + self._wholes(self.stale, now, budget)

    def all(self, segments: Sequence[SavedSegment], now: datetime) -> list[Change]:
        """Brings everything up to date."""
        changes: list[Change] = []
        for _ in range(PASSES):
            self.prepare(segments, now)
            if not self.stale and not self.pending.segments:
                break
            changes += self.others(now)
        return changes

    def start_anew(self) -> None:
        """Forgets what was noted, and has everything computed: for after a step that failed midway."""
        self.journal.take()
        self.swept_at = None

    # -- definitions

    def _take_definitions(self, segments: Sequence[SavedSegment]) -> None:
        there = {segment.name for segment in segments}
        for name in [name for name in {*self.plans, *self.states} if name not in there]:
            self._drop(name)
        for segment in segments:
            old = self.plans.get(segment.name)
            if old is None or old.version != segment.version:
                self.plans[segment.name] = plan(segment, self.warehouse)
                self.stale.add(segment.name)

    def _drop(self, name: str) -> None:
        """Takes a segment's members away that is no more; nobody has left it, it is the segment that went."""
        with self.warehouse.transaction():
            for facts in (SEGMENT_MEMBERS, SEGMENT_STATES):
                rows = self.warehouse.table(facts)
                self.warehouse.delete(facts, rows.filter(rows.segment == name).select("segment").distinct())
        self.plans.pop(name, None)
        self.states.pop(name, None)
        self.computed_at.pop(name, None)
        self.stale.discard(name)

    # -- who is asked

    def _noted(self, noted: dict[Key, pa.Array]) -> tuple[list[pa.Array], set[str]]:
        """The customers whose facts were written, and the segments that read such facts."""
        read = {
            key: owners for key, owners in noted.items() if any(one.is_touched({key}) for one in self.plans.values())
        }
        affected = {one.name for one in self.plans.values() if one.is_touched(set(read))}
        customers: list[pa.Array] = []
        for (table, _), owners in read.items():
            found = self._owners(table, owners)
            if found is None:
                # Everybody may be concerned, such as by a product's new category.
                self.stale |= {one.name for one in self.plans.values() if one.is_touched({(table, "")})}
            else:
                customers.append(found)
        return customers, affected

    def _owners(self, table: str, keys: pa.Array) -> pa.Array | None:
        """The customers of rows noted by their key, None where that cannot be told."""
        facts = next(facts for one in self.plans.values() for facts in one.tables if facts.name == table)
        if "customer_id" in facts.columns:
            return keys.cast(pa.int64())
        owner = OWNERS.get(table)
        if owner is None:
            return None
        (column,) = facts.noted
        rows = self.warehouse.table(owner)
        these = self.warehouse.stage("noted_keys", pa.table({column: keys}))
        found = self.warehouse.read(rows.semi_join(these, column).select("customer_id"))
        return found["customer_id"].combine_chunks()

    def _is_whole(self, one: Plan) -> bool:
        return one.is_whole or one.is_timed

    def _with_followers(self, names: Iterable[str]) -> set[str]:
        """The segments, and all that ask about them."""
        found, open_ = set(names), list(names)
        while open_:
            name = open_.pop()
            more = {one.name for one in self.plans.values() if name in one.follows} - found
            found |= more
            open_ += more
        return found

    def _with_followed(self, names: Iterable[str]) -> set[str]:
        """The segments, and all that they ask about."""
        found: set[str] = set()
        open_ = [name for name in names if name in self.plans]
        while open_:
            name = open_.pop()
            if name not in found:
                found.add(name)
                open_ += self.plans[name].follows & set(self.plans)
        return found

    def _ordered(self, names: Collection[str]) -> list[str]:
        """So that a segment comes after those it asks about."""
        graph = {name: self._with_followed([name]) - {name} for name in sorted(names)}
        return [name for name in TopologicalSorter(graph).static_order() if name in names]

    # -- asking

    def _ask(self, names: Collection[str], now: datetime) -> list[Change]:
        """Asks the touched customers of these segments, all that do not ask about each other in one statement."""
        asked = [self.plans[name] for name in self._ordered(names) if name not in self.stale]
        self.pending = Touched(self.pending.customers, self.pending.segments - set(names))
        if not asked or not len(self.pending.customers):
            return []
        self._fill(asked)
        inside = self.narrowed.table(SEGMENT_MEMBERS)
        before = self.warehouse.stage("held_before", inside.filter(inside.segment.isin([one.name for one in asked])))
        levels = _levels(asked)
        found = []
        for number, level in enumerate(levels):
            found.append(self._found(level, number, now))
            if number + 1 < len(levels):
                self._renew(found[-1], level, now)
        failed = [one.name for one in asked if one.name in self.stale]
        held = before.filter(before.segment.notin(failed)) if failed else before
        with self.journal.without(SEGMENT_MEMBERS.name):  # those who ask about these segments are asked here too
            after = ibis.union(*found) if len(found) > 1 else found[0]
            return self._write(self.warehouse.stage("few_changed", membership.differences(held, after)), now)

    def _fill(self, asked: Sequence[Plan]) -> None:
        tables: dict[str, Facts] = {facts.name: facts for one in asked for facts in one.tables}
        wanted = [facts for name, facts in tables.items() if name not in self.filled]
        self.filled |= set(tables)
        self.narrowed.fill(self.pending.customers, [*wanted, SEGMENT_MEMBERS])

    def _found(self, level: Sequence[Plan], number: int, now: datetime) -> ir.Table:
        """Segment and customer_id of who is in. One that cannot be computed is left for when it is computed whole."""
        queries = {one.name: one.query(self.narrowed, now) for one in level}
        try:
            return self.warehouse.gather(f"found_{number}", "segment", "customer_id", queries)
        except QUERY_ERRORS:  # one by one, since all together may only have been too much for the memory
            found = self.warehouse.gather(f"found_{number}", "segment", "customer_id", {})
            for name, query in queries.items():
                try:
                    self.warehouse.add(f"found_{number}", "segment", name, query)
                except QUERY_ERRORS:
                    self.stale.add(name)
            return found

    def _renew(self, found: ir.Table, level: Sequence[Plan], now: datetime) -> None:
        """Lets the segments that come after see who is now in those of this level."""
        inside = self.narrowed.table(SEGMENT_MEMBERS)
        others = inside.filter(inside.segment.notin([one.name for one in level if one.name not in self.stale]))
        joined = found.cross_join(membership.moment(self.warehouse, now))
        now_in = joined.select("segment", "customer_id", entered_at=joined["at"].cast("timestamp(6)"))
        renewed = self.warehouse.stage("renewed", others.union(now_in))
        self.narrowed.put(SEGMENT_MEMBERS, renewed)

    def _wholes(self, names: Collection[str], now: datetime, budget: timedelta | None) -> list[Change]:
        """Those never computed first, then in the order in which they ask about each other."""
        began = time.monotonic()
        plans = [self.plans[name] for name in sorted(self._ordered(names), key=lambda name: name in self.states)]
        followed = {name for one in self.plans.values() for name in one.follows}
        changes: list[Change] = []
        batch: Batch | None = None
        aside = Aside(self.warehouse, plans, now)
        try:
            for one in plans:
                if batch is not None and not batch.goes_on_with(one, one.name in followed):
                    changes += self._settle(batch, now)
                    batch = None
                if batch is None:
                    batch = Batch(one.name in followed)
                    self.warehouse.stage(CHANGED.name, CHANGED.schema.to_pyarrow().empty_table())
                self._compute(one, aside, batch)
                if budget is not None and time.monotonic() - began > budget.total_seconds():
                    break
            return changes + self._settle(batch, now) if batch is not None else changes
        finally:
            aside.close()

    def _compute(self, one: Plan, aside: Aside, batch: Batch) -> None:
        """Asks everybody, and collects who is to enter or to leave. What cannot be computed says why."""
        began = time.perf_counter()
        try:
            batch.rows = collect(self.warehouse, one, aside.query(one))
        except QUERY_ERRORS as problem:
            batch.errors[one.name] = str(problem)
            log.error("segment cannot be computed", segment=one.name, error=str(problem))
        aside.release(one)
        batch.took[one.name] = 1000 * (time.perf_counter() - began)

    def _settle(self, batch: Batch, now: datetime) -> list[Change]:
        """Writes what was collected, and when each was computed. Who is in at first has not entered."""
        silent = [name for name in batch.took if name not in self.states]
        # A whole segment's members are many to note, and nobody needs the notes of one that no other asks about.
        noting = nullcontext() if batch.is_followed else self.journal.without(SEGMENT_MEMBERS.name)
        with noting:
            changes = self._write(self.warehouse.table(CHANGED), now, silent)
        for name, took in batch.took.items():
            self.stale.discard(name)
            self.computed_at[name] = now
            values = (name, self.plans[name].version, naive(now), took, batch.errors.get(name))
            self.states[name] = dict(zip(SEGMENT_STATES.columns, values, strict=True))
        rows = {column: [self.states[name][column] for name in batch.took] for column in SEGMENT_STATES.columns}
        self.warehouse.replace(SEGMENT_STATES, ["segment"], SEGMENT_STATES.arrow(rows))
        return changes

    def _write(self, changed: ir.Table, now: datetime, silent: Collection[str] = ()) -> list[Change]:
        """Writes staged differences, in one transaction; nothing where there are none."""
        sums = changed.group_by("segment").aggregate(
            entered=changed.entered.sum(), left=changed.count() - changed.entered.sum()
        )
        changes = [Change(**row) for row in self.warehouse.rows(sums.order_by("segment"))]
        entered, left = (changed.filter(changed.entered == side).drop("entered") for side in (1, 0))
        if changes:
            with self.warehouse.transaction():
                membership.write(self.warehouse, entered, left, now, silent)
        return changes


def _levels(plans: Sequence[Plan]) -> list[list[Plan]]:
    """The plans, already in order, in groups that ask about none of the same group."""
    depth: dict[str, int] = {}
    for one in plans:
        depth[one.name] = 1 + max((depth[name] for name in one.follows if name in depth), default=-1)
    return [[one for one in plans if depth[one.name] == level] for level in range(max(depth.values()) + 1)]


def refresh(warehouse: Warehouse, segments: Sequence[SavedSegment], now: datetime) -> list[Change]:
    """Computes every segment whole, once; the engine keeps a Refresher instead, which computes what it must."""
    return Refresher(warehouse).all(segments, now)
