"""`event`: an event of the customer's, as if a source of ours had told it."""

from typing import TYPE_CHECKING, Any

import ibis.expr.types as ir
import msgspec

from onevoice.journeys.spans import Name
from onevoice.journeys.steps.kind import StepKind

if TYPE_CHECKING:
    from onevoice.journeys.turn import Turn


class Emit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Its name and properties; the journey and the step are added."""

    name: Name
    properties: dict[str, Any] = msgspec.field(default_factory=dict)


def _move(turn: "Turn", here: ir.Table) -> ir.Table:
    turn.effect(here, turn.node.asked)
    return turn.remembered("moved", lambda: turn.go(here))


EVENT = StepKind("event", Emit, move=_move)
