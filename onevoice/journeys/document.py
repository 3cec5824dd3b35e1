"""A journey as a document: what a marketer writes in YAML, checked, and flattened into the tick's positions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from onevoice.kernel.errors import InvalidInput

UNITS = {"minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
"""Seconds in each unit of a wait."""

LONGEST_WAIT = timedelta(days=3_660)

Name = Annotated[str, Meta(min_length=1)]
Reaction = Literal["opened", "clicked"]
Status = Literal["draft", "live", "paused", "archived"]


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """Who comes in: the members of a segment, each once."""

    segment: Name
    reentry: Literal["never"] = "never"


class Goal(msgspec.Struct, forbid_unknown_fields=True):
    """What ends the journey for whoever does it, at any moment: an event by name."""

    event: Name


class Cap(msgspec.Struct, forbid_unknown_fields=True):
    """At most so many messages in so many days, those of all journeys counted."""

    messages: Annotated[int, Meta(ge=1)]
    days: Annotated[int, Meta(ge=1, le=3_660)]


class QuietHours(msgspec.Struct, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}):
    """When nobody is contacted, by the customer's own clock; over midnight where `from` is later than `to`."""

    start: str
    end: str


class Policy(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Limits on contact; see policy.py for the order in which they apply."""

    cap: Cap | None = None
    quiet_hours: QuietHours | None = None


class Send(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One message on one channel; `wait` is how long its reader is given before the next."""

    channel: Name
    template: Name
    wait: str = "0 days"


class Cascade(msgspec.Struct, forbid_unknown_fields=True):
    """Channels in order; whoever does one of `stop_on` gets no further one."""

    channels: Annotated[list[Send], Meta(min_length=1)]
    stop_on: list[Reaction] = msgspec.field(default_factory=lambda: ["opened", "clicked"])


class Step(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One step; exactly one of its kinds (`KINDS`) is set."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+$")]
    cascade: Cascade | None = None
    send: Send | None = None
    wait: str | None = None


KINDS = ("cascade", "send", "wait")


class Document(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The whole journey."""

    kind: Literal["journey"]
    name: Name
    entry: Entry
    topic: Name
    steps: list[Step]
    title: str = ""
    holdout: Annotated[float, Meta(ge=0, lt=1)] = 0.1  # share never contacted, so that the effect can be measured
    goal: Goal | None = None
    policy: Policy = msgspec.field(default_factory=Policy)
    status: Status | None = None  # None: as it is; a new journey is a draft


@dataclass(frozen=True)
class Position:
    """A place where a customer stands: about to be sent one message, unless they have reacted."""

    key: str  # `step` or `step/0`, as in enrolments.step
    step: str
    channel: str
    template: str
    delay: timedelta  # what the wait steps before it ask for, whatever became of the message before
    wait: timedelta  # after this message, where it was sent
    stop_on: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The document flattened: every position in order."""

    positions: tuple[Position, ...]

    def after(self, index: int) -> Position | None:
        """The position after `index`, None at the end."""
        return self.positions[index + 1] if index + 1 < len(self.positions) else None

    def beyond(self, index: int) -> Position | None:
        """The first position of the next step: where one goes on who has reacted."""
        step = self.positions[index].step
        return next((position for position in self.positions[index + 1 :] if position.step != step), None)

    def earlier(self, index: int) -> list[str]:
        """The keys of the positions before `index` in the same step: reactions to their messages end the cascade."""
        step = self.positions[index].step
        return [position.key for position in self.positions[:index] if position.step == step]


def parse(document: Any) -> Document:
    """Checks a document. Raises InvalidInput naming the place and what is allowed there."""
    name = document.get("name", "") if isinstance(document, dict) else ""
    try:
        _refuse_unknown_kinds(document)
        journey = msgspec.convert(document, Document, str_keys=True)
        if len({step.id for step in journey.steps}) != len(journey.steps):
            raise InvalidInput("two steps have the same id - at `$.steps`")
        hours = journey.policy.quiet_hours
        if hours and clock_time(hours.start, _QUIET + ".from") == clock_time(hours.end, _QUIET + ".to"):
            raise InvalidInput(f"quiet hours that end when they begin are none, or for ever - at `{_QUIET}`")
        if not plan(journey).positions:
            raise InvalidInput("it sends nothing; add a step with `cascade` or `send` - at `$.steps`")
    except (msgspec.ValidationError, InvalidInput) as error:
        raise InvalidInput(f"Journey {name!r}: {error}") from error
    return journey


_QUIET = "$.policy.quiet_hours"


def written(journey: Document) -> dict[str, Any]:
    """The document as plain values, ready for YAML or JSON, defaults left out; `parse` gives the same journey again."""
    values: dict[str, Any] = msgspec.to_builtins(journey)
    return values


def plan(journey: Document) -> Plan:
    """The journey's positions. Raises InvalidInput for a step that is of no kind, or of two, and for a wrong wait."""
    positions: list[Position] = []
    delay = timedelta()
    for number, step in enumerate(journey.steps):
        place = f"$.steps[{number}]"
        if sum(getattr(step, kind) is not None for kind in KINDS) != 1:
            raise InvalidInput(f"give exactly one of {', '.join(KINDS)} - at `{place}`")
        if step.wait is not None:
            delay += duration(step.wait, f"{place}.wait")
        else:
            positions += _positions(step, delay, place)
            delay = timedelta()
    return Plan(tuple(positions))


def _positions(step: Step, delay: timedelta, place: str) -> Iterator[Position]:
    if step.send is not None:
        send = step.send
        yield Position(
            step.id, step.id, send.channel, send.template, delay, duration(send.wait, f"{place}.send.wait"), ()
        )
    elif step.cascade is not None:
        for index, send in enumerate(step.cascade.channels):
            yield Position(
                f"{step.id}/{index}",
                step.id,
                send.channel,
                send.template,
                delay if index == 0 else timedelta(),
                duration(send.wait, f"{place}.cascade.channels[{index}].wait"),
                tuple(step.cascade.stop_on),
            )


def _refuse_unknown_kinds(document: Any) -> None:
    """Says which steps there are, where msgspec would only say that a field is unknown."""
    steps = document.get("steps") if isinstance(document, dict) else None
    for number, step in enumerate(steps if isinstance(steps, list) else ()):
        unknown = [str(key) for key in step if key not in ("id", *KINDS)] if isinstance(step, dict) else []
        if unknown:
            raise InvalidInput(
                f"there is no step `{unknown[0]}`; steps are {', '.join(KINDS)} - at `$.steps[{number}].{unknown[0]}`"
            )


def duration(text: str, place: str) -> timedelta:
    """`3 days`, `2 hours`, `30 minutes`, `1 week`. Raises InvalidInput."""
    found = re.fullmatch(r"(\d{1,7})\s*(minute|hour|day|week)s?", text.strip(), re.ASCII)
    lasting = timedelta(seconds=int(found[1]) * UNITS[found[2]]) if found else None
    if lasting is None or lasting > LONGEST_WAIT:
        raise InvalidInput(
            f"a wait is a number and minutes, hours, days or weeks, such as `3 days`, and at most "
            f"{LONGEST_WAIT.days} days; not {text!r} - at `{place}`"
        )
    return lasting


def clock_time(text: str, place: str = _QUIET) -> time:
    """`21:00`. Raises InvalidInput."""
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", text, re.ASCII)
    if not found:
        raise InvalidInput(f"a time of day is written HH:MM, such as `21:00`; not {text!r} - at `{place}`")
    return time(int(found[1]), int(found[2]))
