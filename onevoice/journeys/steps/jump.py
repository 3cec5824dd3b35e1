"""`jump`: on at another step, before this one or after it."""

from typing import TYPE_CHECKING, Annotated

import ibis.expr.types as ir
import msgspec
from msgspec import Meta

from onevoice.journeys.spans import Name
from onevoice.journeys.steps.kind import Layout, Step, StepKind

if TYPE_CHECKING:
    from onevoice.journeys.turn import Turn


class Jump(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """At most `times` jumps for each person, all jumps of the journey counted; then past it."""

    to: Name
    times: Annotated[int, Meta(ge=1, le=1_000)] = 10


def _lay(step: Step, after: str, layout: Layout) -> str:
    # Where the step named begins is known when all are laid; see document.graph.
    return layout.add(step, {"jump": f"*{step.asked.to}", "next": after})


def _move(turn: "Turn", here: ir.Table) -> ir.Table:
    again = here.passes.fill_null(0) < turn.node.asked.times
    moved = turn.go(here, again.ifelse("jump", "next"))
    return moved.mutate(passes=moved.passes.fill_null(0) + 1).select(*moved.columns).cast(moved.schema())


JUMP = StepKind("jump", Jump, lay=_lay, move=_move)
