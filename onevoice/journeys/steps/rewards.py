"""`coupon` and `points`: rewards, which a part above carries out; without its handler a document is refused.

The loyalty part registers a handler by the kind's name. A handler is given the rows of one hand-off within the
transaction that keeps the watermark, so that what it writes to the database happens exactly once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import ibis.expr.types as ir
import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from onevoice.journeys.spans import Name, duration
from onevoice.journeys.steps.kind import StepKind
from onevoice.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from onevoice.journeys.turn import Turn


@dataclass(frozen=True)
class Reward:
    """What somebody is to be given; `reward_id` is the same however often it is handed over."""

    reward_id: str
    journey: str
    step: str
    identifier_id: int
    asked: Any
    decided_at: datetime


class RewardHandler(Protocol):
    """Gives rewards of one kind."""

    def check(self, asked: Any, place: str) -> None:
        """Raises InvalidInput where the document asks for what there is not (a pool, a programme)."""
        ...

    def give(self, connection: Connection, rewards: Sequence[Reward]) -> None:
        """Gives them, in the caller's transaction."""
        ...


HANDLERS: dict[str, RewardHandler] = {}


def register_reward(kind: str, handler: RewardHandler) -> None:
    """Lets `coupon` or `points` be carried out."""
    HANDLERS[kind] = handler


class Coupon(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A coupon of a pool, for so long."""

    pool: Name
    valid: str | None = None


class Points(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Points on the customer's account."""

    amount: Annotated[int, Meta(ge=1)]
    reason: str = ""
    programme: str = ""


def _check_coupon(asked: Coupon, place: str) -> None:
    if asked.valid is not None:
        duration(asked.valid, f"{place}.valid")


def require_handler(kind: str, asked: Any, place: str) -> None:
    """Raises InvalidInput where nobody can give such a reward: asked when a document is saved, not when it is read."""
    if kind in (COUPON.name, POINTS.name):
        if kind not in HANDLERS:
            raise InvalidInput(f"nothing here can give `{kind}`: no part has registered it - at `{place}`")
        HANDLERS[kind].check(asked, place)


def _move(turn: "Turn", here: ir.Table) -> ir.Table:
    turn.effect(here, turn.node.asked)
    return turn.remembered("moved", lambda: turn.go(here))


COUPON = StepKind("coupon", Coupon, _check_coupon, move=_move)
POINTS = StepKind("points", Points, move=_move)
