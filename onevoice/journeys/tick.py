"""The tick: moves everybody who is due, in a handful of expressions a node, whoever and how many they are.

All of a tick is one warehouse transaction and every id in it is made from what it stands for, so a tick that is cut off
has not been, and a second one at the same time finds nobody due.

Its parts, in this order: who comes in (enrolment.py), who goes out early (leaving.py), for whom what they waited for
has happened (listening.py), and the walk: node by node in the graph's order, so that who finishes one node is at the
next in the same tick. What a step does is in steps/, one file per kind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir

from onevoice.customers.contact import OPEN, ContactPolicy
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys import moment
from onevoice.journeys.enrolment import enter
from onevoice.journeys.facts import EFFECTS, ENROLMENTS
from onevoice.journeys.habits import learn_daily
from onevoice.journeys.keeping import LATEST, SHAPE, WOKEN, record
from onevoice.journeys.laid import Laid, laid
from onevoice.journeys.leaving import leave_by_edit, leave_by_merge, standing, stop
from onevoice.journeys.listening import fall_back, hear
from onevoice.journeys.news import heard, news
from onevoice.journeys.policy import House, house
from onevoice.journeys.service import OVER, SavedJourney
from onevoice.journeys.steps import Node, kind_of
from onevoice.journeys.turn import Turn
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse, remembered

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ROUNDS = 5_000
"""More often than anybody can go on within one tick: a loop takes time, and jumps are counted."""

_HERE = ibis.table(SHAPE, name="here")


@dataclass
class TickReport:
    """What a tick did, per journey."""

    entered: dict[str, int] = field(default_factory=dict)
    planned: dict[str, int] = field(default_factory=dict)


def tick(
    warehouse: Warehouse,
    journeys: Sequence[SavedJourney],
    now: datetime,
    policy: ContactPolicy = OPEN,
    learning: Callable[[Warehouse, datetime], object] = learn_daily,
) -> TickReport:
    """Moves the journeys on to `now`, under the house's contact policy.

    Of a journey several versions may be handed over: people are let into the newest, and finish on theirs where the
    newest's moves say so. Of one that was stopped everybody is taken out. `learning` brings the habits up to date that
    some steps ask about.
    """
    report = TickReport()
    with warehouse.transaction():
        number = _number(warehouse, now)
        moment.set_moment(warehouse, now, number)
        over = sorted({one.name for one in journeys if one.status in OVER})
        if over:
            stop(warehouse, over)
        versions = {
            (one.name, one.version): laid(one.name, one.version, one.definition, one.launched_at, one.moves)
            for one in journeys
            if one.status not in OVER
        }
        if any(one.needs_habits for one in versions.values()):
            learning(warehouse, now)
        newest = {one.name: one for one in sorted(versions.values(), key=lambda one: one.version)}
        ordered = sorted(versions.values(), key=lambda one: (-one.document.priority, one.name, one.version))
        told = news(warehouse, list(newest.values()))
        report.entered = enter(warehouse, list(newest.values()), told, now, policy.control_group)
        leave_by_merge(warehouse, list(newest.values()))
        where = standing(warehouse, newest.keys())
        if leave_by_edit(warehouse, versions, where):
            where = standing(warehouse, newest.keys())
        fall_back(warehouse, ordered, where)
        rules = house(policy, versions)
        for turn in range(ROUNDS):
            is_heard = hear(warehouse, ordered, told, where, now, again=turn > 0)
            due = warehouse.stage("tick_due", _due(warehouse.table(ENROLMENTS), *([WOKEN] if is_heard else [])))
            if not _walk(warehouse, ordered, due, now, rules):
                break
            where = standing(warehouse, newest.keys())
        heard(warehouse, list(newest.values()), told)
        messages = warehouse.table(MESSAGES)
        mine = messages.filter(messages.tick == moment.number())
        counts = warehouse.rows(mine.group_by("journey").aggregate(n=mine.count()))
        report.planned = {**dict.fromkeys(newest, 0), **{row["journey"]: row["n"] for row in counts}}
    return report


def _number(warehouse: Warehouse, now: datetime) -> int:
    """The tick's. Told by the clock, so that none comes again after messages were erased or the warehouse restored."""
    last = [
        warehouse.rows(table.aggregate(tick=table.tick.max()))[0]["tick"] or 0
        for table in (warehouse.table(MESSAGES), warehouse.table(EFFECTS))
    ]
    return max(max(last) + 1, (now - EPOCH) // timedelta(microseconds=1))


@dataclass
class Crowd:
    """People on the walk, in a scratch table; how many of them are due at which node, and since when."""

    table: ir.Table
    due: dict[str, int] = field(default_factory=dict)
    since: dict[str, datetime] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)  # the nodes at which they were taken further

    def note(self, row: dict[str, Any]) -> None:
        """Takes in how many are at a node, and since when the first of them."""
        self.due[row["step"]], self.since[row["step"]] = row["n"], row["since"]


MANY = 10_000
"""From so many on a scratch table is renamed rather than copied."""


def _walk(warehouse: Warehouse, journeys: Sequence[Laid], due: ir.Table, now: datetime, rules: House) -> bool:
    """Moves everybody who is due, journey by journey; tells whether somebody may go on still: who has jumped back, and
    who has come to where they wait for something that may have happened already."""
    crowds: dict[tuple[str, int], Crowd] = {}
    for row in warehouse.rows(_counted_by_journey(due)):
        crowds.setdefault((row["journey"], row["journey_version"]), Crowd(due)).note(row)
    rest = False
    for journey in journeys:
        crowd = crowds.get((journey.name, journey.version))
        if crowd is not None:
            if len(crowds) > 1:
                mine = journey.remembered("due", lambda journey=journey: _of(due, journey))  # type: ignore[misc]
                crowd.table = warehouse.stage("journey_due", mine)
            rest = _walk_one(warehouse, journey, crowd, now, rules) or rest
    return rest


@remembered
def _due(held: ir.Table, woken: ir.Table | None = None) -> ir.Table:
    rows = held.filter(held.state == "active")
    if woken is None:
        return rows.filter(rows.due_at <= moment.at()).select(*ENROLMENTS.columns).cast(SHAPE)
    rows = rows.left_join(woken, "enrolment_id").drop("enrolment_id_right")
    rows = rows.filter((rows.due_at <= moment.at()) | rows.happened_at.notnull())
    rows = rows.mutate(due_at=ibis.ifelse(rows.happened_at.notnull(), rows.happened_at, rows.due_at))
    return rows.select(*ENROLMENTS.columns).cast(SHAPE)


@remembered
def _counted_by_journey(due: ir.Table) -> ir.Table:
    return due.group_by("journey", "journey_version", "step").aggregate(n=due.count(), since=due.due_at.min())


@remembered
def _counted(due: ir.Table) -> ir.Table:
    return due.group_by("step").aggregate(n=due.count(), since=due.due_at.min())


def _of(due: ir.Table, journey: Laid) -> ir.Table:
    return due.filter(due.journey == journey.name, due.journey_version == journey.version)


def _walk_one(warehouse: Warehouse, journey: Laid, first: Crowd, now: datetime, rules: House) -> bool:
    """Node by node, in an order in which nobody comes to one that has been. Whoever rests is written at once, who goes
    on when they rest."""
    crowds, listens = [first], False
    edge = naive(now - LATEST)
    for key, node in journey.graph.nodes.items():
        # Who comes to a wait for something is let go in the next round, when it is known what has happened already.
        parts = [crowd for crowd in (crowds[:1] if _listens(node) else crowds) if crowd.due.get(key)]
        if not parts:
            continue
        if len(first.due) == len(parts) == 1 and parts[0] is first and first.due[key] >= MANY:  # everybody is here
            first.table = warehouse.rename(first.table, "here")
        else:
            _gather(warehouse, journey, key, [crowd.table for crowd in parts])
        for crowd in parts:
            crowd.taken.add(key)
        is_late = any(crowd.since[key] < edge for crowd in parts)
        for number, moved in enumerate(_moves(warehouse, Turn(warehouse, journey, node, now, rules), is_late)):
            on = Crowd(warehouse.stage(f"going_{len(crowds)}_{number}", _going(moved)))
            for row in warehouse.rows(_counted(on.table)):
                on.note(row)
            crowds.append(on)
            # Not by way of a scratch table: `moved` is made of such, and its rows are many.
            resting = _resting(moved) if on.due else moved
            warehouse.delete(ENROLMENTS, _ids(resting))
            warehouse.append(ENROLMENTS, resting)
        listens = listens or any(_listens(journey.graph.nodes[to]) for to in node.ways.values() if to)
    left = [(crowd, set(crowd.due) - crowd.taken) for crowd in crowds]
    for crowd, nodes in left[1:]:
        if nodes:
            rows = crowd.table.filter(crowd.table.step.isin(sorted(nodes)))
            warehouse.replace(ENROLMENTS, ["enrolment_id"], rows)
    return listens or any(nodes for _, nodes in left)


def _gather(warehouse: Warehouse, journey: Laid, key: str, tables: list[ir.Table]) -> None:
    """Puts those who are due at the node into the table `here`."""

    def at_node() -> ir.Table:
        pieces = [table.filter(table.step == key) for table in tables]
        return ibis.union(*pieces) if len(pieces) > 1 else pieces[0]

    names = tuple(table.get_name() for table in tables)
    warehouse.stage("here", journey.remembered(("here", key, names), at_node))


def _goes_on(moved: ir.Table) -> ir.BooleanValue:
    return ibis.coalesce((moved.state == "active") & (moved.due_at <= moment.at()), False)


@remembered
def _going(moved: ir.Table) -> ir.Table:
    return moved.filter(_goes_on(moved))


@remembered
def _resting(moved: ir.Table) -> ir.Table:
    return moved.filter(~_goes_on(moved))


@remembered
def _ids(moved: ir.Table) -> ir.Table:
    return moved.select("enrolment_id")


def _moves(warehouse: Warehouse, turn: Turn, is_late: bool) -> list[ir.Table]:
    """The enrolments at the node, moved. What is too late to be said is not said any more."""
    kind = kind_of(turn.node)
    here = _HERE
    if not (is_late and kind.contacts and turn.node.part != "rest"):
        return [kind.move(turn, here)]
    edge = ibis.timestamp(naive(turn.now - LATEST))
    late = warehouse.stage("too_late", here.filter(here.due_at < edge))
    record(warehouse, late, "too_late")
    passed = warehouse.stage("passed_late", turn.go(late, "beyond" if "beyond" in turn.node.ways else "next"))
    in_time = warehouse.stage("in_time", here.filter(here.due_at >= edge))
    warehouse.stage("here", in_time)
    return [passed, *([kind.move(turn, here)] if warehouse.count(in_time) else [])]


def _listens(node: Node) -> bool:
    return node.kind == "wait" and "met" in node.ways
