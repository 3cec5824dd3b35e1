"""The kinds of steps there are."""

from onevoice.journeys.steps.audience import AUDIENCE
from onevoice.journeys.steps.branch import BRANCH
from onevoice.journeys.steps.call import CALL
from onevoice.journeys.steps.cascade import CASCADE
from onevoice.journeys.steps.event import EVENT
from onevoice.journeys.steps.exit import EXIT
from onevoice.journeys.steps.jump import JUMP
from onevoice.journeys.steps.kind import END, KINDS, Layout, Node, Step, StepKind, kind_of, register
from onevoice.journeys.steps.note import NOTE
from onevoice.journeys.steps.rewards import COUPON, POINTS
from onevoice.journeys.steps.send import SEND
from onevoice.journeys.steps.split import SPLIT
from onevoice.journeys.steps.update import UPDATE
from onevoice.journeys.steps.wait import WAIT
from onevoice.journeys.steps.webhook import WEBHOOK

for _kind in (
    SEND,
    CASCADE,
    WAIT,
    BRANCH,
    SPLIT,
    UPDATE,
    EVENT,
    WEBHOOK,
    CALL,
    AUDIENCE,
    COUPON,
    POINTS,
    NOTE,
    JUMP,
    EXIT,
):
    register(_kind)

__all__ = ["END", "KINDS", "Layout", "Node", "Step", "StepKind", "kind_of", "register"]
