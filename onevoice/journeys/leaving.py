"""Who goes out of a journey before its end: by its goal or exit, by a merge, by an edit, by its being stopped."""

from collections.abc import Collection, Mapping, Sequence

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.journeys import moment
from onevoice.journeys.document import FINISH, LEAVE
from onevoice.journeys.facts import ENROLMENTS
from onevoice.journeys.keeping import SHAPE, record
from onevoice.journeys.laid import Laid
from onevoice.kernel.errors import InvalidInput
from onevoice.warehouse import Warehouse

MOVE = "move"
"""What becomes of somebody on an older version who neither finishes on it nor leaves."""


def end(warehouse: Warehouse, leaving: ir.Table, reason: str) -> None:
    """Takes enrolments out of their journey, and keeps why."""
    gone = warehouse.stage("leaving", leaving.select(*ENROLMENTS.columns).cast(SHAPE))
    if warehouse.count(gone):
        record(warehouse, gone, reason)
        ended = gone.mutate(state=ibis.literal("exited"), reason=ibis.literal(reason), updated_at=moment.at())
        warehouse.replace(ENROLMENTS, ["enrolment_id"], ended.select(*ENROLMENTS.columns))


def leave_by_merge(warehouse: Warehouse, journeys: Sequence[Laid]) -> None:
    """Of customers who entered as several and turned out to be one, a single enrolment goes on: if one of them is held
    out, that; else the oldest. Where people may come in again, only those count that are not over."""
    names = warehouse.stage(
        "live_journeys",
        pa.table(
            {
                "journey": [one.name for one in journeys],
                "once": pa.array([int(one.document.entry.rule == "never") for one in journeys], pa.int8()),
            }
        ),
    )
    enrolments = warehouse.table(ENROLMENTS)
    # Each entered as its own customer, so of two that are now one, one at least has changed its customer.
    changed = enrolments.filter(enrolments.identifier_id != enrolments.customer_id)
    merged = changed.semi_join(names, "journey").select("journey", "customer_id").distinct()
    rivals = enrolments.semi_join(merged, ["journey", "customer_id"]).join(names, "journey")
    treated = (rivals.arm == "treated").cast("int8")
    rivals = rivals.filter((rivals.once == 1) | (rivals.state == "active") | (treated == 0))
    first = (rivals.arm == "treated").cast("int8")
    key = rivals.key.fill_null("")
    order = [first, rivals.entered_at, rivals.enrolment_id]
    ranked = rivals.mutate(rank=ibis.row_number().over(group_by=["journey", "customer_id", key], order_by=order))
    end(warehouse, ranked.filter(ranked["rank"] > 0, ranked.state == "active"), "merged")


Standing = Mapping[tuple[str, int, str], int]
"""How many stand where: by journey, version and node."""


def standing(warehouse: Warehouse, names: Collection[str]) -> dict[tuple[str, int, str], int]:
    """How many have not ended, by where they stand."""
    enrolments = warehouse.table(ENROLMENTS)
    active = enrolments.filter(enrolments.state == "active")
    counts = active.group_by("journey", "journey_version", "step").aggregate(n=active.count())
    rows = warehouse.rows(counts)
    return {(row["journey"], row["journey_version"], row["step"]): row["n"] for row in rows if row["journey"] in names}


def in_flight(warehouse: Warehouse) -> set[tuple[str, int]]:
    """The journeys' versions on which somebody is."""
    enrolments = warehouse.table(ENROLMENTS)
    rows = enrolments.filter(enrolments.state == "active").select("journey", "journey_version").distinct()
    return {(row["journey"], row["journey_version"]) for row in warehouse.rows(rows)}


def leave_by_edit(warehouse: Warehouse, versions: Mapping[tuple[str, int], Laid], where: Standing) -> bool:
    """Settles what becomes of those on an older version, as the newest says; tells whether anybody was concerned.

    Who is told nothing goes on in the newest version where they stand, and is out where that has no such place.
    """
    newest: dict[str, Laid] = {}
    for (name, version), one in versions.items():
        if name not in newest or version > newest[name].version:
            newest[name] = one
    moving: list[tuple[str, int, str, int, str]] = []
    leaving: list[tuple[str, int, str]] = []
    for name, version, step in where:
        latest, own = newest[name], versions.get((name, version))
        if version == latest.version:
            if latest.node(step) is None:
                leaving.append((name, version, step))
            continue
        told, target = fate(latest, own, step)
        if told == LEAVE:
            leaving.append((name, version, step))
        elif told == MOVE:
            moving.append((name, version, step, latest.version, target))
    if leaving:
        places = _places(warehouse, leaving)
        held = warehouse.table(ENROLMENTS)
        rows = held.semi_join(places, ["journey", "journey_version", "step"])
        end(warehouse, rows.filter(rows.state == "active"), "step_removed")
    if moving:
        _move(warehouse, moving)
    return bool(leaving or moving)


def fate(latest: Laid, own: Laid | None, step: str) -> tuple[str, str]:
    """What becomes of who stands at a node of an older version: MOVE and the node to go on at, FINISH, or LEAVE."""
    told = latest.moves.get(step, latest.moves.get(step.partition("/")[0], ""))
    if told == FINISH and own is not None and own.node(step) is not None:
        return FINISH, ""
    target = _target(latest, told, step)
    return (LEAVE, "") if told == LEAVE or target is None else (MOVE, target)


def _target(latest: Laid, fate: str, step: str) -> str | None:
    """The node of the newest version at which who stands at `step` goes on."""
    if fate in ("", FINISH, LEAVE):
        return step if latest.node(step) is not None else None
    firsts = [key for key, node in latest.graph.nodes.items() if node.step == fate]
    if not firsts:
        raise InvalidInput(f"Journey {latest.name!r}: there is no step `{fate}` to move to")
    same = f"{fate}/{step.partition('/')[2]}" if "/" in step else fate
    return same if same in firsts else fate if fate in firsts else f"{fate}/0"


def _places(warehouse: Warehouse, places: Sequence[tuple[str, int, str]]) -> ir.Table:
    names, versions, steps = zip(*places, strict=True)
    columns = {"journey": list(names), "journey_version": pa.array(list(versions), pa.int64()), "step": list(steps)}
    return warehouse.stage("places_left", pa.table(columns))


def _move(warehouse: Warehouse, moving: Sequence[tuple[str, int, str, int, str]]) -> None:
    names, versions, steps, to_versions, targets = zip(*moving, strict=True)
    moves = warehouse.stage(
        "places_moved",
        pa.table(
            {
                "journey": list(names),
                "journey_version": pa.array(list(versions), pa.int64()),
                "step": list(steps),
                "to_version": pa.array(list(to_versions), pa.int64()),
                "target": list(targets),
            }
        ),
    )
    held = warehouse.table(ENROLMENTS)
    rows = held.filter(held.state == "active").join(moves, ["journey", "journey_version", "step"])
    moved = rows.mutate(journey_version=rows.to_version, step=rows.target, updated_at=moment.at())
    staged = warehouse.stage("moved_over", moved.select(*ENROLMENTS.columns).cast(SHAPE))
    warehouse.replace(ENROLMENTS, ["enrolment_id"], staged)


def stop(warehouse: Warehouse, names: Collection[str]) -> None:
    """Takes everybody out of the journeys that were stopped."""
    held = warehouse.table(ENROLMENTS)
    end(warehouse, held.filter(held.journey.isin(sorted(names)), held.state == "active"), "stopped")
