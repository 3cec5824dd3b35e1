"""`exit`: out of the journey."""

from typing import TYPE_CHECKING

import ibis.expr.types as ir
import msgspec

from onevoice.journeys.steps.kind import END, Layout, Step, StepKind

if TYPE_CHECKING:
    from onevoice.journeys.turn import Turn


class Exit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`reason` is kept with the enrolment."""

    reason: str = "exit"


def _lay(step: Step, after: str, layout: Layout) -> str:
    return layout.add(step, {"next": END})


def _move(turn: "Turn", here: ir.Table) -> ir.Table:
    return turn.go(here, reason=turn.node.asked.reason, state="exited")


EXIT = StepKind("exit", Exit, lay=_lay, move=_move)
