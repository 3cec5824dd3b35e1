"""The positions of a journey of waits, sends and cascades."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from onevoice.journeys.document import Document
from onevoice.journeys.spans import duration
from onevoice.journeys.steps import Step
from onevoice.kernel.errors import InvalidInput


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


def plan(journey: Document) -> Plan:
    """The journey's positions."""
    positions: list[Position] = []
    delay = timedelta()
    for step in journey.steps:
        if step.kind == "wait" and isinstance(step.asked, str):
            delay += duration(step.asked, "")
        elif step.kind in ("send", "cascade"):
            positions += _positions(step, delay)
            delay = timedelta()
        else:
            raise InvalidInput(f"the engine cannot run `{step.kind}` yet")
    return Plan(tuple(positions))


def _positions(step: Step, delay: timedelta) -> Iterator[Position]:
    if step.kind == "send":
        send = step.asked
        yield Position(step.id, step.id, send.channel, send.template, delay, duration(send.wait, ""), ())
        return
    for index, send in enumerate(step.asked.channels):
        yield Position(
            f"{step.id}/{index}",
            step.id,
            send.channel,
            send.template,
            delay if index == 0 else timedelta(),
            duration(send.wait, ""),
            tuple(one for one in step.asked.stop_on if isinstance(one, str)),
        )
