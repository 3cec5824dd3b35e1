"""`branch`: the first path whose condition the customer meets, else the last."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import ibis.expr.types as ir
import msgspec
from msgspec import Meta

from onevoice.journeys.asking import Question
from onevoice.journeys.asking import asked as askings
from onevoice.journeys.steps.kind import Layout, Step, StepKind
from onevoice.segments.tree import condition

if TYPE_CHECKING:
    from onevoice.journeys.turn import Turn


class Path(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"condition": "if"}):
    """`if` is any condition tree of a segment; `steps` for those who meet it and no earlier path's."""

    condition: dict[str, Any]
    steps: list[Step]
    title: str = ""


class Branch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"otherwise": "else"}):
    """Paths in order, and `else` the steps of everybody else."""

    paths: Annotated[list[Path], Meta(min_length=1, max_length=50)]
    otherwise: list[Step] = msgspec.field(default_factory=list)


def _check(asked: Branch, place: str) -> None:
    for number, path in enumerate(asked.paths):
        condition(path.condition, f"{place}.paths[{number}].if")


def _nested(asked: Branch) -> Iterator[tuple[str, list[Step]]]:
    for number, path in enumerate(asked.paths):
        yield f".paths[{number}].steps", path.steps
    yield ".else", asked.otherwise


def _lay(step: Step, after: str, layout: Layout) -> str:
    ways = {str(number): layout.lay(path.steps, after) for number, path in enumerate(step.asked.paths)}
    return layout.add(step, {**ways, "else": layout.lay(step.asked.otherwise, after)})


def _conditions(asked: Branch) -> list[dict[str, Any] | None]:
    return [path.condition for path in asked.paths]


def _move(turn: "Turn", here: ir.Table) -> ir.Table:
    asked = turn.node.asked
    questions = turn.journey.remembered(
        (turn.node.key, "questions"),
        lambda: {f"{number:02}": Question(path.condition) for number, path in enumerate(asked.paths)},
    )
    answers = askings(turn.warehouse, questions, here, turn.now)
    dealt = turn.warehouse.stage("dealt", turn.remembered("dealt", lambda: _first(here, answers)))
    turn.passed(dealt, dealt.way)
    return turn.remembered("moved", lambda: turn.go(dealt, dealt.way))


def _first(here: ir.Table, answers: ir.Table) -> ir.Table:
    first = answers.group_by("customer_id").aggregate(first=answers.way.min())
    rows = here.left_join(first, "customer_id").drop("customer_id_right")
    return rows.mutate(way=rows.first.cast("int64").cast("string").fill_null("else")).drop("first")


BRANCH = StepKind("branch", Branch, _check, _nested, _lay, _conditions, _move)
