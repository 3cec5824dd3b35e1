"""A journey as a document: what a marketer writes in YAML, checked, and flattened into the tick's positions."""

import re
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Any, Literal

import msgspec

from onevoice.kernel.errors import InvalidInput

UNITS = {"minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
"""Seconds in each unit of a wait."""


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """Who comes in: the members of a segment, each once."""

    segment: str
    reentry: Literal["never"] = "never"


class Goal(msgspec.Struct, forbid_unknown_fields=True):
    """What ends the journey for whoever does it, at any moment: an event by name."""

    event: str


class Cap(msgspec.Struct, forbid_unknown_fields=True):
    """At most so many messages in so many days, those of all journeys counted."""

    messages: int
    days: int


class QuietHours(msgspec.Struct, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}):
    """When nobody is contacted, by the customer's own clock; over midnight where `from` is later than `to`."""

    start: str
    end: str


class Policy(msgspec.Struct, forbid_unknown_fields=True):
    """Limits on contact; see policy.py for the order in which they apply."""

    cap: Cap | None = None
    quiet_hours: QuietHours | None = None


class Send(msgspec.Struct, forbid_unknown_fields=True):
    """One message on one channel; `wait` is how long its reader is given before the next."""

    channel: str
    template: str
    wait: str = "0 days"


class Cascade(msgspec.Struct, forbid_unknown_fields=True):
    """Channels in order; whoever does one of `stop_on` gets no further one."""

    channels: list[Send]
    stop_on: list[Literal["opened", "clicked"]] = msgspec.field(default_factory=lambda: ["opened", "clicked"])


class Step(msgspec.Struct, forbid_unknown_fields=True):
    """One step; exactly one of its kinds is set."""

    id: str
    cascade: Cascade | None = None
    send: Send | None = None
    wait: str | None = None


class Document(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The whole journey."""

    kind: Literal["journey"]
    name: str
    entry: Entry
    topic: str
    steps: list[Step]
    title: str = ""
    holdout: float = 0.1  # share of those who enter and are never contacted, so that the effect can be measured
    goal: Goal | None = None
    policy: Policy = msgspec.field(default_factory=Policy)
    status: Literal["draft", "live", "paused", "archived"] = "draft"


@dataclass(frozen=True)
class Position:
    """A place where a customer stands: about to be sent one message, unless they have reacted."""

    key: str  # `step` or `step/0`, as in enrolments.step
    channel: str
    template: str
    wait: timedelta  # after this message, before the next position
    stop_on: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The document flattened: where one enters, and every position in order."""

    delay: timedelta  # from entry to the first position
    positions: tuple[Position, ...]

    def after(self, index: int) -> str:
        """The key of the position after `index`, empty at the end."""
        return self.positions[index + 1].key if index + 1 < len(self.positions) else ""


def parse(document: dict[str, Any]) -> Document:
    """Checks a document. Raises InvalidInput naming the place and what is allowed there."""
    try:
        journey = msgspec.convert(document, Document, str_keys=True)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"Journey {document.get('name', '')!r}: {error}") from error
    if not 0 <= journey.holdout < 1:
        raise InvalidInput(f"Journey {journey.name}: holdout is a share from 0 to below 1, not {journey.holdout}")
    if len({step.id for step in journey.steps}) != len(journey.steps):
        raise InvalidInput(f"Journey {journey.name}: two steps have the same id")
    if journey.policy.quiet_hours:
        clock_time(journey.policy.quiet_hours.start), clock_time(journey.policy.quiet_hours.end)
    if not plan(journey).positions:
        raise InvalidInput(f"Journey {journey.name}: it sends nothing; add a step with `cascade` or `send`")
    return journey


def written(journey: Document) -> dict[str, Any]:
    """The document as plain values, ready for YAML or JSON; `parse` of it gives the same journey."""
    values: dict[str, Any] = msgspec.to_builtins(journey)
    return values


def plan(journey: Document) -> Plan:
    """The journey's positions. Raises InvalidInput for a step that is of no kind, or of two."""
    delay = timedelta()
    positions: list[Position] = []
    for step in journey.steps:
        kinds = [kind for kind in ("cascade", "send", "wait") if getattr(step, kind) is not None]
        if len(kinds) != 1:
            raise InvalidInput(f"Journey {journey.name}, step {step.id}: give exactly one of cascade, send, wait")
        if step.wait is not None:
            pause = duration(step.wait)
            if positions:
                last = positions[-1]
                positions[-1] = Position(last.key, last.channel, last.template, last.wait + pause, last.stop_on)
            else:
                delay += pause
        elif step.send is not None:
            send = step.send
            positions.append(Position(step.id, send.channel, send.template, duration(send.wait), ()))
        elif step.cascade is not None:
            positions += [
                Position(
                    f"{step.id}/{index}", send.channel, send.template, duration(send.wait), tuple(step.cascade.stop_on)
                )
                for index, send in enumerate(step.cascade.channels)
            ]
    return Plan(delay, tuple(positions))


def duration(text: str) -> timedelta:
    """`3 days`, `2 hours`, `30 minutes`, `1 week`. Raises InvalidInput."""
    found = re.fullmatch(r"(\d+)\s*(minute|hour|day|week)s?", text.strip())
    if not found:
        raise InvalidInput(f"A wait is a number and minutes, hours, days or weeks, such as `3 days`; got {text!r}")
    return timedelta(seconds=int(found[1]) * UNITS[found[2]])


def clock_time(text: str) -> time:
    """`21:00`. Raises InvalidInput."""
    try:
        return time.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"A time of day is written HH:MM, such as `21:00`; got {text!r}") from error
