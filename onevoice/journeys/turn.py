"""A turn: those who are due at one node of a journey, and what its step needs to move them on.

A step's `move` is handed the turn and the enrolments that are due there (rows of ENROLMENTS, in a table by name), and
gives the same enrolments with where they stand now. What else it writes, it writes in the tick's transaction.

Nodes of several journeys that are alike have one turn, since a statement costs the same for ten people as for one. What
is each node's own (its key, where its ways lead, what its step tells) is a constant where the turn is one node's, and a
column beside the people where it is several's.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import ibis
import ibis.expr.types as ir
import msgspec
import pyarrow as pa

from onevoice.journeys import moment
from onevoice.journeys.facts import EFFECTS, ENROLMENTS, PASSAGES
from onevoice.journeys.keeping import SHAPE, append_new, later, passes, record
from onevoice.journeys.laid import Laid
from onevoice.journeys.policy.ask import NOTHING, TOLD, House
from onevoice.journeys.steps.kind import END, Node, kind_of
from onevoice.warehouse import REMEMBERED, Facts, Warehouse

Way: TypeAlias = str | ir.StringValue | Sequence[tuple[ir.BooleanValue, str]]
"""Where people go: all by one way, each by the way that a text names, or by the first case that holds, else `next`."""


_BUILT: dict[tuple[Hashable, ...], ir.Table] = {}
"""Expressions of several nodes' turns."""


def likeness(journey: Laid, node: Node) -> Hashable | None:
    """Nodes of which this is equal can have one turn; None: this one has its own."""
    kind = kind_of(node)
    own = kind.likeness(node)
    if own is None:
        return None
    document = journey.document
    if not kind.contacts or node.part == "rest":
        return node.kind, node.part, tuple(node.ways), own
    limits = (document.topic, document.transactional, document.control, document.priority, document.policy)
    may_return = (document.entry.rule != "never", journey.has_jumps)
    return node.kind, node.part, tuple(node.ways), own, limits, may_return


def told(places: Sequence[tuple[Laid, Node]]) -> pa.Table:
    """What is each node's own: journey, journey_version, step, and the columns TOLD."""
    rows = [_told(journey, node) for journey, node in places]
    columns = {
        "journey": pa.array([journey.name for journey, _ in places], pa.string()),
        "journey_version": pa.array([journey.version for journey, _ in places], pa.int64()),
        "step": pa.array([node.key for _, node in places], pa.string()),
    }
    return pa.table(columns | {f"{TOLD}{name}": pa.array([row[name] for row in rows]) for name in rows[0]})


def _told(journey: Laid, node: Node) -> dict[str, str | int]:
    ways = {f"to_{name}": key for name, key in node.ways.items()}
    elsewhere = {f"new_{name}": int(_is_elsewhere(journey, node, key)) for name, key in node.ways.items()}
    return {"step": node.step, **ways, **elsewhere, **kind_of(node).tells(node)}


def _is_elsewhere(journey: Laid, node: Node, key: str) -> bool:
    to = journey.node(key)
    return to is None or to.step != node.step


@dataclass(frozen=True)
class Turn:
    """One node's, or that of several that are `alike` (their likeness); then `journey` and `node` are one of them."""

    warehouse: Warehouse
    journey: Laid
    node: Node
    now: datetime
    house: House = NOTHING  # what holds for all journeys
    alike: Hashable | None = None

    @property
    def at(self) -> ir.TimestampScalar:
        """The tick's instant, as the warehouse has it."""
        return moment.at()

    def remembered(self, label: str, build: Callable[[], ir.Table]) -> ir.Table:
        """An expression of this node that is the same in every tick, built once."""
        if self.alike is not None:
            key = (self.warehouse.is_duckdb, self.alike, label)
            if key not in _BUILT:
                if len(_BUILT) >= REMEMBERED:
                    _BUILT.clear()
                _BUILT[key] = build()
            return _BUILT[key]
        found: ir.Table = self.journey.remembered((self.warehouse.is_duckdb, self.node.key, label), build)
        return found

    # -- what is the node's own

    def own(self, rows: ir.Table, name: str, value: str | int) -> ir.Value:
        """What is the node's own: the value, or where it is several's, the column that tells it of each."""
        return ibis.literal(value) if self.alike is None else rows[f"{TOLD}{name}"]

    def where(self, rows: ir.Table) -> dict[str, ir.Value]:
        """The journey, its version and the node's key, as ENROLMENTS has them."""
        if self.alike is not None:
            return {"journey": rows.journey, "journey_version": rows.journey_version, "step": rows.step}
        return {
            "journey": ibis.literal(self.journey.name),
            "journey_version": ibis.literal(self.journey.version, "int64"),
            "step": ibis.literal(self.node.key),
        }

    def after(self, at: ir.TimestampValue, rows: ir.Table, wait: timedelta) -> ir.TimestampValue:
        """The instant so long after `at`, or as long as the column `wait` tells."""
        return later(at, wait) if self.alike is None else at + rows[f"{TOLD}wait"].as_interval("s")

    # -- where they go

    def go(
        self,
        rows: ir.Table,
        way: Way = "next",
        due: ir.TimestampValue | None = None,
        reason: str | ir.StringValue = "completed",
        state: str = "done",
        stays: ir.BooleanValue | None = None,
        until: ir.TimestampValue | None = None,
    ) -> ir.Table:
        """The enrolments on the way named (or by cases, or on the way that each row's text names); at the journey's end
        they end.

        `due` is when they are due there; where it is not given, since when they are due here, so that what is late
        stays known to be late. Whoever `stays` is due here again, `until` then.
        """
        ways = [name for name in self.node.ways if not isinstance(way, str) or name == way]
        to = self._chosen(rows, way, ways, "to_")
        ended = to == END
        due_at = rows.due_at if due is None else due
        new_step = self._chosen(rows, way, ways, "new_") == 1
        stay = ibis.literal(False) if stays is None else stays
        return self.rows(
            rows,
            step=ibis.ifelse(ended | stay, self.where(rows)["step"], to),
            state=ibis.ifelse(ended & ~stay, state, "active"),
            reason=ibis.ifelse(ended & ~stay, reason, ""),
            due_at=due_at if until is None else ibis.ifelse(stay, until, due_at),
            reached_at=ibis.ifelse(
                new_step & ~stay, ibis.least(due_at, self.at), ibis.coalesce(rows.reached_at, rows.entered_at)
            ),
        )

    def _chosen(self, rows: ir.Table, way: Way, ways: Sequence[str], what: str) -> ir.Value:
        """What holds on each row's way: where it leads (`to_`), whether to another step (`new_`)."""
        told = _told(self.journey, self.node)
        values = {name: self.own(rows, what + name, told[what + name]) for name in ways}
        if isinstance(way, str):
            return values[way]
        cases, otherwise = [], values.get("next")
        if isinstance(way, ir.Value):
            cases = [(way == name, values[name]) for name in ways]
            cases, otherwise = cases[:-1], cases[-1][1]
        else:
            cases = [(holds, values[name]) for holds, name in way]
        while cases and cases[-1][1].equals(otherwise):  # compared for a million rows, a case costs
            cases.pop()
        return ibis.cases(*cases, else_=otherwise) if cases else otherwise

    def rows(self, rows: ir.Table, **changes: ir.Value) -> ir.Table:
        """Rows of ENROLMENTS with these columns changed."""
        return rows.mutate(**changes, updated_at=self.at).select(*ENROLMENTS.columns).cast(SHAPE)

    # -- what is kept of it

    def passed(self, rows: ir.Table, way: ir.StringValue) -> None:
        """Keeps which way each went."""
        bar, where = ibis.literal("|"), self.where(rows)
        known = rows.mutate(
            passage_id=self.warehouse.digest(rows.enrolment_id + bar + where["step"] + bar + moment.stamp()),
            journey=where["journey"],
            journey_version=where["journey_version"],
            step=self.own(rows, "step", self.node.step),
            way=way,
            passed_at=self.at,
        )
        self.add(PASSAGES, known.select(*PASSAGES.columns), "passage_id")

    def effect(self, rows: ir.Table, asked: Any, kind: str = "") -> None:
        """Lets the hand-off carry out, for each, what the step asks outside of the journey."""
        self.add(EFFECTS, self.remembered("effects", lambda: self._effects(rows, asked, kind)), "effect_id")

    def _effects(self, rows: ir.Table, asked: Any, kind: str) -> ir.Table:
        return rows.mutate(
            effect_id=self.warehouse.uuid(rows.enrolment_id + self.place(rows)),
            kind=ibis.literal(kind or self.node.kind),
            journey=ibis.literal(self.journey.name),
            journey_version=ibis.literal(self.journey.version, "int64"),
            step=ibis.literal(self.node.step),
            asked=ibis.literal(msgspec.json.encode(asked).decode()),
            planned_at=self.at,
            tick=moment.number(),
        ).select(*EFFECTS.columns)

    def place(self, rows: ir.Table) -> ir.StringValue:
        """What tells this node, and this passing of it, from others: part of what ids are made of."""
        again = ibis.ifelse(passes(rows) > 0, ibis.literal("|") + passes(rows).cast("string"), "")
        return ibis.literal("|") + self.where(rows)["step"] + again

    def noted(self, rows: ir.Table, reason: str, outcome: str = "skip") -> None:
        """Keeps a decision on which no channel was reached."""
        record(self.warehouse, rows, reason, outcome)

    def add(self, facts: Facts, rows: ir.Table, key: str) -> None:
        """Appends rows; where the store has no transactions, those that a tick that was cut off has written stay."""
        append_new(self.warehouse, facts, rows, key)
