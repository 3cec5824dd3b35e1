"""`call`: a task for a person to call the customer: a message on the channel `call`, under the same contact policy."""

import msgspec

from onevoice.journeys.spans import Name, duration
from onevoice.journeys.steps.kind import Layout, Step, StepKind
from onevoice.journeys.steps.send import SEND, Send

CHANNEL = "call"


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The template is what to say; `wait` and `content` as in `send`."""

    template: Name
    wait: str = "0 days"
    content: str = ""


def _check(asked: Call, place: str) -> None:
    duration(asked.wait, f"{place}.wait")


def _lay(step: Step, after: str, layout: Layout) -> str:
    asked = step.asked
    return SEND.lay(Step(step.id, SEND.name, Send(CHANNEL, asked.template, asked.wait, asked.content)), after, layout)


CALL = StepKind("call", Call, _check, lay=_lay, contacts=True)
