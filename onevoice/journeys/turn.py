"""A turn: those who are due at one node of a journey, and what its step needs to move them on.

A step's `move` is handed the turn and the enrolments that are due there (rows of ENROLMENTS, in a table by name), and
gives the same enrolments with where they stand now. What else it writes, it writes in the tick's transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import ibis
import ibis.expr.types as ir
import msgspec

from onevoice.journeys import moment
from onevoice.journeys.facts import EFFECTS, ENROLMENTS, PASSAGES
from onevoice.journeys.keeping import SHAPE, append_new, passes, record
from onevoice.journeys.laid import Laid
from onevoice.journeys.policy.ask import NOTHING, House
from onevoice.journeys.steps.kind import END, Node
from onevoice.warehouse import Facts, Warehouse

Way: TypeAlias = str | ir.StringValue | Sequence[tuple[ir.BooleanValue, str]]
"""Where people go: all by one way, each by the way that a text names, or by the first case that holds, else `next`."""


@dataclass(frozen=True)
class Turn:
    """One node's."""

    warehouse: Warehouse
    journey: Laid
    node: Node
    now: datetime
    house: House = NOTHING  # what holds for all journeys

    @property
    def at(self) -> ir.TimestampScalar:
        """The tick's instant, as the warehouse has it."""
        return moment.at()

    def remembered(self, label: str, build: Callable[[], ir.Table]) -> ir.Table:
        """An expression of this node that is the same in every tick, built once."""
        found: ir.Table = self.journey.remembered((self.warehouse.is_duckdb, self.node.key, label), build)
        return found

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
        ways = {name: key for name, key in self.node.ways.items() if not isinstance(way, str) or name == way}
        to = _chosen(way, ways)
        ended = to == END
        due_at = rows.due_at if due is None else due
        new_step = _chosen(way, {name: str(self._is_elsewhere(key)) for name, key in ways.items()}) == "True"
        stay = ibis.literal(False) if stays is None else stays
        return self.rows(
            rows,
            step=ibis.ifelse(ended | stay, self.node.key, to),
            state=ibis.ifelse(ended & ~stay, state, "active"),
            reason=ibis.ifelse(ended & ~stay, reason, ""),
            due_at=due_at if until is None else ibis.ifelse(stay, until, due_at),
            reached_at=ibis.ifelse(
                new_step & ~stay, ibis.least(due_at, self.at), ibis.coalesce(rows.reached_at, rows.entered_at)
            ),
        )

    def _is_elsewhere(self, key: str) -> bool:
        node = self.journey.node(key)
        return node is None or node.step != self.node.step

    def rows(self, rows: ir.Table, **changes: ir.Value) -> ir.Table:
        """Rows of ENROLMENTS with these columns changed."""
        return rows.mutate(**changes, updated_at=self.at).select(*ENROLMENTS.columns).cast(SHAPE)

    # -- what is kept of it

    def passed(self, rows: ir.Table, way: ir.StringValue) -> None:
        """Keeps which way each went."""
        unique = rows.enrolment_id + ibis.literal(f"|{self.node.key}|") + moment.stamp()
        known = rows.mutate(
            passage_id=self.warehouse.digest(unique),
            journey=ibis.literal(self.journey.name),
            journey_version=ibis.literal(self.journey.version, "int64"),
            step=ibis.literal(self.node.step),
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
        return ibis.literal(f"|{self.node.key}") + again

    def noted(self, rows: ir.Table, reason: str, outcome: str = "skip") -> None:
        """Keeps a decision on which no channel was reached."""
        record(self.warehouse, rows, reason, outcome)

    def add(self, facts: Facts, rows: ir.Table, key: str) -> None:
        """Appends rows; where the store has no transactions, those that a tick that was cut off has written stay."""
        append_new(self.warehouse, facts, rows, key)


def _chosen(way: Way, values: Mapping[str, str]) -> ir.StringValue:
    if isinstance(way, str):
        return ibis.literal(values[way])
    if isinstance(way, ir.Value):
        cases, otherwise = [(way == name, value) for name, value in values.items()], END
        if len(set(values.values())) == 1:
            cases, otherwise = [], next(iter(values.values()))
    else:
        cases, otherwise = [(holds, values[name]) for holds, name in way], values["next"]
    while cases and cases[-1][1] == otherwise:  # compared for a million rows, a case costs
        cases.pop()
    return ibis.cases(*cases, else_=otherwise) if cases else ibis.literal(otherwise)
