"""`send`: one message on one channel, if the contact policy lets it through."""

import msgspec

from onevoice.journeys.spans import Name, duration
from onevoice.journeys.steps.kind import Layout, Step, StepKind


class Send(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`wait` is how long its reader is given before what follows, where it was sent.

    `content` names what is said, whichever template says it (default: the template): nobody who has reacted to it,
    in this journey or another, is told it again.
    """

    channel: Name
    template: Name
    wait: str = "0 days"
    content: str = ""

    @property
    def content_key(self) -> str:
        """What is said."""
        return self.content or self.template


def _check(asked: Send, place: str) -> None:
    duration(asked.wait, f"{place}.wait")


def _lay(step: Step, after: str, layout: Layout) -> str:
    return layout.add(step, {"next": after, "sent": rested(step, step.asked.wait, after, layout)})


def rested(step: Step, wait: str, after: str, layout: Layout) -> str:
    """The node in which a reader is given time before `after`; `after` itself where none is, or nothing follows."""
    if not after or not duration(wait, ""):
        return after
    return layout.add(step, {"next": after}, "rest", wait)


SEND = StepKind("send", Send, _check, lay=_lay, contacts=True)
