"""`update`: traits of the customer's profile, told as an identify event of ours, so that it is known who said them."""

from typing import TYPE_CHECKING

import ibis.expr.types as ir

from onevoice.journeys.steps.kind import StepKind
from onevoice.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from onevoice.journeys.turn import Turn

Scalar = str | int | float | bool | None


def _check(asked: dict[str, Scalar], place: str) -> None:
    if not asked or "" in asked:
        raise InvalidInput(f"name at least one trait and its value, such as `tier: gold` - at `{place}`")


def _move(turn: "Turn", here: ir.Table) -> ir.Table:
    turn.effect(here, turn.node.asked)
    return turn.remembered("moved", lambda: turn.go(here))


UPDATE = StepKind("update", dict[str, Scalar], _check, move=_move)
