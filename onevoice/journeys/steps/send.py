"""`send`: one message on one channel, if the contact policy lets it through."""

from collections.abc import Hashable
from typing import TYPE_CHECKING

import ibis.expr.types as ir
import msgspec

from onevoice.journeys.spans import Name, duration
from onevoice.journeys.steps.kind import Layout, Step, StepKind

if TYPE_CHECKING:
    from onevoice.journeys.turn import Turn


class Send(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`wait` is how long its reader is given before what follows, where it was sent.

    `content` names what is said, whichever template and channel say it: nobody who has reacted to it, in this journey
    or another, is told it again. `coupon` is the code it gives: a template has it as `coupon.code`, and an order made
    with it is put down to the message.
    """

    channel: Name
    template: Name
    wait: str = "0 days"
    content: str = ""
    coupon: str = ""


def _check(asked: Send, place: str) -> None:
    duration(asked.wait, f"{place}.wait")


def _lay(step: Step, after: str, layout: Layout) -> str:
    return layout.add(step, {"next": after, "sent": rested(step, step.asked.wait, after, layout)})


def rested(step: Step, wait: str, after: str, layout: Layout) -> str:
    """The node in which a reader is given time before `after`; `after` itself where none is, or nothing follows."""
    if not after or not duration(wait, ""):
        return after
    return layout.add(step, {"next": after}, "rest", wait)


def _move(turn: "Turn", here: ir.Table) -> ir.Table:
    from onevoice.journeys.contact import contacted, moved  # the policy reads the document, which reads this file

    if turn.node.part == "rest":
        return turn.remembered("moved", lambda: turn.go(here))
    decided = contacted(turn, here, turn.node.asked)
    return moved(turn, decided, turn.node.asked.wait)


def alike(send: Send) -> Hashable:
    """What sends of several journeys must have in common to be asked about at once."""
    return send.channel, bool(send.content)


def told(send: Send) -> dict[str, str | int]:
    """What each of them has for itself."""
    wait = int(duration(send.wait, "").total_seconds())
    return {"template": send.template, "content": send.content, "coupon": send.coupon, "wait": wait}


SEND = StepKind(
    "send",
    Send,
    _check,
    lay=_lay,
    move=_move,
    likeness=lambda node: () if node.part == "rest" else alike(node.asked),
    tells=lambda node: {} if node.part == "rest" else told(node.asked),
    contacts=True,
)
