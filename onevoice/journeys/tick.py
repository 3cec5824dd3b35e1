"""The tick: moves everybody who is due, in a handful of expressions a node, whoever and how many they are.

All of a tick is one warehouse transaction and every id in it is made from what it stands for, so a tick that is cut off
has not been, and a second one at the same time finds nobody due.

Its parts, in this order: who comes in (enrolment.py), who goes out early (leaving.py), for whom what they waited for
has happened (listening.py), and the walk: node by node in the graph's order, so that who finishes one node is at the
next in the same tick, and nodes of several journeys that are alike at once. What a step does is in steps/, one file
per kind.
"""

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import ibis
import ibis.expr.types as ir
import pyarrow as pa

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
from onevoice.journeys.turn import Turn, likeness, told
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse, remembered

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ROUNDS = 5_000
"""More often than anybody can go on within one tick: a loop takes time, and jumps are counted."""


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


Spot = tuple[str, int, str]
"""Where people stand: a journey, its version, a node's key."""

Place = tuple[Laid, Node]
"""The same, with what is to be done there."""


@dataclass
class Crowd:
    """People on the walk, in a scratch table; how many of them are due where, and since when."""

    table: ir.Table
    due: dict[Spot, int] = field(default_factory=dict)
    since: dict[Spot, datetime] = field(default_factory=dict)
    taken: set[Spot] = field(default_factory=set)  # where they were taken further
    is_whole: bool = True  # whether nobody else is in the table


MANY = 10_000
"""So many people have a turn of their own, and a scratch table of so many is renamed rather than copied."""


def _walk(warehouse: Warehouse, journeys: Sequence[Laid], due: ir.Table, now: datetime, rules: House) -> bool:
    """Moves everybody who is due; tells whether somebody may go on still: who has jumped back, and who has come to
    where they wait for something that may have happened already."""
    rest = False
    for crowd, some in _apart(warehouse, journeys, _crowd(warehouse, due)):
        rest = _walk_some(warehouse, some, crowd, now, rules) or rest
    return rest


def _crowd(warehouse: Warehouse, table: ir.Table) -> Crowd:
    crowd = Crowd(table)
    for row in warehouse.rows(_counted(table)):
        spot = row["journey"], row["journey_version"], row["step"]
        crowd.due[spot], crowd.since[spot] = row["n"], row["since"]
    return crowd


def _apart(warehouse: Warehouse, journeys: Sequence[Laid], everybody: Crowd) -> Iterator[tuple[Crowd, Sequence[Laid]]]:
    """First who is due in one journey, all journeys at once. Then who is due in several, journey by journey in their
    order: what the one has planned for somebody counts when the next asks."""
    journeys = _there(journeys, everybody)
    if not journeys:
        return
    several = warehouse.stage("due_in_several", _in_several(everybody.table)) if len(journeys) > 1 else None
    if several is None or not warehouse.count(several):
        yield everybody, journeys
        return
    alone = _crowd(warehouse, warehouse.stage("due_in_one", _others(everybody.table, several)))
    crowd = everybody
    if alone.due:
        yield alone, _there(journeys, alone)
        crowd = _crowd(warehouse, warehouse.stage("due_again", _those(everybody.table, several)))
    for journey in _there(journeys, crowd):
        here = {spot: n for spot, n in crowd.due.items() if spot[:2] == (journey.name, journey.version)}
        yield Crowd(crowd.table, here, crowd.since, is_whole=False), [journey]


def _there(journeys: Sequence[Laid], crowd: Crowd) -> list[Laid]:
    """The journeys in which somebody is due."""
    found = {spot[:2] for spot in crowd.due}
    return [journey for journey in journeys if (journey.name, journey.version) in found]


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
def _counted(due: ir.Table) -> ir.Table:
    return due.group_by("journey", "journey_version", "step").aggregate(n=due.count(), since=due.due_at.min())


@remembered
def _in_several(due: ir.Table) -> ir.Table:
    """The customers who are due in more than one journey, or version of one."""
    names, versions = due.journey, due.journey_version
    found = due.group_by("customer_id").aggregate(
        is_in_several=(names.min() < names.max()) | (versions.min() < versions.max())
    )
    return found.filter(found.is_in_several).select("customer_id")


@remembered
def _others(due: ir.Table, customers: ir.Table) -> ir.Table:
    return due.anti_join(customers, "customer_id")


@remembered
def _those(due: ir.Table, customers: ir.Table) -> ir.Table:
    return due.semi_join(customers, "customer_id")


def _walk_some(warehouse: Warehouse, journeys: Sequence[Laid], first: Crowd, now: datetime, rules: House) -> bool:
    """Each journey node by node, in an order in which nobody comes to one that has been; nodes of several journeys
    that are alike together. Whoever rests is written at once, who goes on when they rest."""
    crowds, listens = [first], False
    edge = naive(now - LATEST)
    nodes = [(journey, iter(journey.graph.nodes.values())) for journey in journeys]
    while heads := [(journey, node) for journey, left in nodes if (node := _next(journey, left, crowds)) is not None]:
        for alike, places in _together(heads, crowds):
            spots = [_spot(*place) for place in places]
            # Who comes to a wait for something is let go in the next round, when it is known what has happened already.
            parts = [crowd for crowd in _going_in(crowds, places[0][1]) if any(crowd.due.get(spot) for spot in spots)]
            is_late = any(crowd.since[spot] < edge for crowd in parts for spot in spots if crowd.due.get(spot))
            here = _gather(warehouse, places, alike, parts)
            for crowd in parts:
                crowd.taken.update(spots)
            journey, node = places[0]
            turn = Turn(warehouse, journey, node, now, rules, alike)
            for number, moved in enumerate(_moves(warehouse, turn, here, is_late)):
                on = _crowd(warehouse, warehouse.stage(f"going_{len(crowds)}_{number}", _going(moved)))
                crowds.append(on)
                # Not by way of a scratch table: `moved` is made of such, and its rows are many.
                resting = _resting(moved) if on.due else moved
                warehouse.delete(ENROLMENTS, _ids(resting))
                warehouse.append(ENROLMENTS, resting)
            listens = listens or any(
                _listens(journey.graph.nodes[to]) for journey, node in places for to in node.ways.values() if to
            )
    left = [(crowd, set(crowd.due) - crowd.taken) for crowd in crowds]
    for crowd, spots_left in left[1:]:
        if spots_left:
            warehouse.replace(ENROLMENTS, ["enrolment_id"], _standing_at(warehouse, crowd.table, spots_left))
    return listens or any(spots_left for _, spots_left in left)


def _spot(journey: Laid, node: Node) -> Spot:
    return journey.name, journey.version, node.key


def _going_in(crowds: list[Crowd], node: Node) -> list[Crowd]:
    """Those of whom the node lets people go on."""
    return crowds[:1] if _listens(node) else crowds


def _next(journey: Laid, left: Iterator[Node], crowds: list[Crowd]) -> Node | None:
    """The journey's next node at which somebody is."""
    for node in left:
        spot = _spot(journey, node)
        if any(crowd.due.get(spot) for crowd in _going_in(crowds, node)):
            return node
    return None


def _together(heads: Sequence[Place], crowds: list[Crowd]) -> Iterator[tuple[Hashable | None, list[Place]]]:
    """The places by what they have in common, one alone too: what was compiled for others is ready for it. None and one
    place where it can have nothing in common with another, or where so many are that constants pay."""
    found: dict[Hashable, list[Place]] = {}
    for journey, node in heads:
        spot = _spot(journey, node)
        alike = likeness(journey, node)
        if alike is None or sum(crowd.due.get(spot, 0) for crowd in crowds) >= MANY:
            yield None, [(journey, node)]
        else:
            found.setdefault(alike, []).append((journey, node))
    yield from found.items()


def _gather(warehouse: Warehouse, places: Sequence[Place], alike: Hashable | None, crowds: Sequence[Crowd]) -> ir.Table:
    """Puts those who are due there into the table `here`; of several places with what is each one's own."""
    tables = [crowd.table for crowd in crowds]
    names = tuple(table.get_name() for table in tables)
    if alike is not None:
        own = warehouse.stage("turn_places", told(places))
        return warehouse.stage("here", _beside(own, *tables))
    journey, node = places[0]
    spot = _spot(journey, node)
    crowd = crowds[0]
    if len(crowds) == 1 and crowd.is_whole and len(crowd.due) == 1 and crowd.due[spot] >= MANY:  # everybody is here
        crowd.table = warehouse.rename(crowd.table, "here")
        return crowd.table
    return warehouse.stage("here", journey.remembered(("here", node.key, names), lambda: _at(spot, tables)))


def _at(spot: Spot, tables: Sequence[ir.Table]) -> ir.Table:
    name, version, key = spot
    pieces = [rows.filter(rows.journey == name, rows.journey_version == version, rows.step == key) for rows in tables]
    return ibis.union(*pieces) if len(pieces) > 1 else pieces[0]


@remembered
def _beside(own: ir.Table, *tables: ir.Table) -> ir.Table:
    rows = ibis.union(*tables) if len(tables) > 1 else tables[0]
    return rows.join(own, ["journey", "journey_version", "step"])


def _standing_at(warehouse: Warehouse, rows: ir.Table, spots: Collection[Spot]) -> ir.Table:
    names, versions, steps = zip(*sorted(spots), strict=True)
    columns = {"journey": list(names), "journey_version": pa.array(list(versions), pa.int64()), "step": list(steps)}
    return rows.semi_join(warehouse.stage("spots_left", pa.table(columns)), ["journey", "journey_version", "step"])


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


def _moves(warehouse: Warehouse, turn: Turn, here: ir.Table, is_late: bool) -> list[ir.Table]:
    """The enrolments of the turn, moved. What is too late to be said is not said any more."""
    kind = kind_of(turn.node)
    if not (is_late and kind.contacts and turn.node.part != "rest"):
        return [kind.move(turn, here)]
    edge = ibis.timestamp(naive(turn.now - LATEST))
    late = warehouse.stage("too_late", here.filter(here.due_at < edge))
    record(warehouse, late, "too_late")
    passed = warehouse.stage("passed_late", turn.go(late, "beyond" if "beyond" in turn.node.ways else "next"))
    in_time = warehouse.stage("in_time", here.filter(here.due_at >= edge))
    here = warehouse.stage("here", in_time)
    return [passed, *([kind.move(turn, here)] if warehouse.count(in_time) else [])]


def _listens(node: Node) -> bool:
    return node.kind == "wait" and "met" in node.ways
