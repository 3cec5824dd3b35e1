"""`audience`: onto a static list, or off it; the condition `list` asks about it."""

from typing import TYPE_CHECKING

import ibis.expr.types as ir
import msgspec

from onevoice.journeys.spans import Name
from onevoice.journeys.steps.kind import StepKind
from onevoice.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from onevoice.journeys.turn import Turn


class Audience(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Exactly one of both names a list."""

    add: Name | None = None
    remove: Name | None = None


def _check(asked: Audience, place: str) -> None:
    if (asked.add is None) == (asked.remove is None):
        raise InvalidInput(f"give exactly one of add, remove - at `{place}`")


def _move(turn: "Turn", here: ir.Table) -> ir.Table:
    turn.effect(here, turn.node.asked)
    return turn.remembered("moved", lambda: turn.go(here))


AUDIENCE = StepKind("audience", Audience, _check, move=_move)
