"""`webhook`: a signed call (Standard Webhooks) of a URL, through the delivery queue like a message."""

from typing import TYPE_CHECKING, Any

import ibis.expr.types as ir
import msgspec

from onevoice.journeys.spans import Name
from onevoice.journeys.steps.kind import StepKind
from onevoice.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from onevoice.journeys.turn import Turn


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The URL is told the customer, the journey, the step and `data`."""

    url: Name
    data: dict[str, Any] = msgspec.field(default_factory=dict)


def _check(asked: Webhook, place: str) -> None:
    if not asked.url.startswith(("https://", "http://")):
        raise InvalidInput(f"expected a URL that begins with https:// - at `{place}.url`")


def _move(turn: "Turn", here: ir.Table) -> ir.Table:
    turn.effect(here, turn.node.asked)
    return turn.remembered("moved", lambda: turn.go(here))


WEBHOOK = StepKind("webhook", Webhook, _check, move=_move)
