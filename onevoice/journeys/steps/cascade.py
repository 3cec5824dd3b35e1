"""`cascade`: channels one after the other until the person has reacted, as one step."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from onevoice.journeys.spans import Name, duration
from onevoice.journeys.steps.kind import Layout, Step, StepKind
from onevoice.journeys.steps.send import Send, rested
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.values import Where, check_where

Reaction = Literal["delivered", "opened", "clicked", "replied", "ordered"]


class StopEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An event that stops a cascade."""

    event: Name
    where: Where = msgspec.field(default_factory=dict)


class Cascade(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whoever does one of `stop_on` gets no further channel. `opened` is by a person, never by a machine.

    `order`: as listed, or `best`, the channel first that the person answers best for what it costs. `on_failure`: a
    message that a provider could not deliver gives way to the `next` channel at once, or its `wait` is waited out.
    """

    channels: Annotated[list[Send], Meta(min_length=1, max_length=20)]
    stop_on: list[Reaction | StopEvent] = msgspec.field(default_factory=lambda: ["opened", "clicked"])
    order: Literal["listed", "best"] = "listed"
    on_failure: Literal["next", "wait"] = "next"


def _check(asked: Cascade, place: str) -> None:
    for number, send in enumerate(asked.channels):
        duration(send.wait, f"{place}.channels[{number}].wait")
    for number, stop in enumerate(asked.stop_on):
        if isinstance(stop, StopEvent):
            check_where(stop.where, f"{place}.stop_on[{number}].where")
    if asked.order == "best" and len({send.channel for send in asked.channels}) < len(asked.channels):
        raise InvalidInput(f"an order by `best` names each channel once - at `{place}.channels`")


def _lay(step: Step, after: str, layout: Layout) -> str:
    channels = step.asked.channels
    following = after
    for place in reversed(range(len(channels))):
        is_last = place == len(channels) - 1
        sent = rested(step, channels[place].wait, after, layout) if is_last else following
        ways = {"next": following, "sent": sent, "beyond": after}
        following = layout.add(step, ways, str(place))
    return following


CASCADE = StepKind("cascade", Cascade, _check, lay=_lay, contacts=True)
