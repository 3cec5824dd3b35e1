"""`wait`: for so long, until a time of day, until something happens (with a time-out), or until around a date."""

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.types as ir
import msgspec

from onevoice.journeys import clocks
from onevoice.journeys.keeping import WOKEN
from onevoice.journeys.spans import Name, Weekday, check_happening, clock_time, duration, offset
from onevoice.journeys.steps.kind import Layout, Node, Step, StepKind
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.values import Where

if TYPE_CHECKING:
    from onevoice.journeys.turn import Turn


class Until(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"otherwise": "else"}):
    """Until one of: `at` a time of day by the customer's clock, on the weekdays `on`; `best_hour`, that at which each
    is most often about (habits.py), on the weekdays `on`; an `event` (see Happening); a condition holds (`when`); a
    `reply`, on any channel or the one named; `date`, a trait that says a day, `offset`.

    `then` holds steps for those for whom it happened, `else` for those whose `timeout` came first.
    """

    at: str | None = None
    best_hour: bool = False
    on: list[Weekday] = msgspec.field(default_factory=list)
    event: Name | None = None
    where: Where = msgspec.field(default_factory=dict)
    key: Name | None = None
    when: dict[str, Any] | None = None
    reply: bool | Name = False
    date: Name | None = None
    offset: str | None = None
    timeout: str | None = None
    then: list[Step] = msgspec.field(default_factory=list)
    otherwise: list[Step] = msgspec.field(default_factory=list)

    @property
    def is_for_something(self) -> bool:
        """Whether it waits for what may never happen."""
        return bool(self.event or self.when or self.reply)


def _check(asked: str | Until, place: str) -> None:
    if isinstance(asked, str):
        duration(asked, place)
        return
    if asked.at is not None:
        clock_time(asked.at, f"{place}.at")
    if asked.best_hour:
        if asked != Until(best_hour=True, on=asked.on):
            raise InvalidInput(f"only `on` goes with `best_hour` - at `{place}`")
        return
    if asked.date is not None or (asked.at is not None and not asked.is_for_something):
        _check_date(asked, place)
        return
    if asked.at or asked.on or asked.offset:
        raise InvalidInput(f"`at`, `on` and `offset` belong to a time or a `date` - at `{place}`")
    check_happening(asked, place, ("reply", "at", "date"))
    if asked.timeout is None:
        raise InvalidInput(f"give a `timeout`, such as `3 days`: it may never happen - at `{place}`")
    duration(asked.timeout, f"{place}.timeout")


def _check_date(asked: Until, place: str) -> None:
    if asked.is_for_something or asked.where or asked.key:
        raise InvalidInput(f"give exactly one of event, when, reply, at, date - at `{place}`")
    if asked.timeout or asked.then or asked.otherwise:
        raise InvalidInput(
            f"a time always comes: `timeout`, `then` and `else` go with event, when, reply - at `{place}`"
        )
    if asked.offset is not None:
        if asked.date is None:
            raise InvalidInput(f"`offset` counts from a `date` - at `{place}`")
        offset(asked.offset, f"{place}.offset")
    if asked.date is not None and asked.on:
        raise InvalidInput(f"a date has its weekday: leave `on` out - at `{place}`")


def _nested(asked: str | Until) -> Iterator[tuple[str, list[Step]]]:
    if isinstance(asked, Until):
        yield ".then", asked.then
        yield ".else", asked.otherwise


def _lay(step: Step, after: str, layout: Layout) -> str:
    asked = step.asked
    if isinstance(asked, Until) and asked.is_for_something:
        ways = {"met": layout.lay(asked.then, after), "late": layout.lay(asked.otherwise, after)}
    else:
        ways = {"next": after}
    return layout.add(step, {"held": layout.add(step, ways, "held")})


def _conditions(asked: str | Until) -> list[dict[str, Any] | None]:
    return [asked.when] if isinstance(asked, Until) else []


def _move(turn: "Turn", here: ir.Table) -> ir.Table:
    if turn.node.part == "held":
        return _let_go(turn, here)
    asked = turn.node.asked
    if isinstance(asked, str):
        wait = duration(asked, "")
        return turn.remembered("moved", lambda: turn.go(here, "held", turn.after(here.due_at, here, wait)))
    if asked.is_for_something:
        timeout = duration(asked.timeout or "", "")
        return turn.remembered("moved", lambda: turn.go(here, "held", turn.after(here.due_at, here, timeout)))
    ends = clocks.with_ends(turn, here, asked)
    return turn.go(ends, "held", ibis.greatest(ibis.coalesce(ends.ends, ends.due_at), ends.due_at))


def _let_go(turn: "Turn", here: ir.Table) -> ir.Table:
    """On, or by what came: `woken` holds those for whom it happened in time."""
    if "met" not in turn.node.ways:
        return turn.remembered("moved", lambda: turn.go(here))
    gone = turn.warehouse.stage("dealt", turn.remembered("dealt", lambda: _dealt(here)))
    turn.passed(gone, gone.way)
    return turn.remembered("moved", lambda: turn.go(gone, gone.way))


def _dealt(here: ir.Table) -> ir.Table:
    known = WOKEN.select("enrolment_id", found=ibis.literal(1))
    rows = here.left_join(known, "enrolment_id").drop("enrolment_id_right")
    return rows.mutate(way=ibis.ifelse(rows.found.notnull(), "met", "late")).drop("found")


def _span(node: Node) -> str:
    """How long a wait is at the longest; empty where no span says."""
    asked = node.asked
    return asked if isinstance(asked, str) else (asked.timeout or "") if asked.is_for_something else ""


def _likeness(node: Node) -> Hashable | None:
    return () if node.part == "held" else ("for",) if _span(node) else None


def _tells(node: Node) -> dict[str, str | int]:
    return {"wait": int(duration(_span(node), "").total_seconds())} if not node.part and _span(node) else {}


WAIT = StepKind(
    "wait",
    str | Until,  # type: ignore[arg-type]  # a union is no class
    _check,
    _nested,
    _lay,
    _conditions,
    _move,
    _likeness,
    _tells,
    needs_habits=lambda asked: isinstance(asked, Until) and asked.best_hour,
)
