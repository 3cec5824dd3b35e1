"""Steps about the way itself: `jump` to another step, `exit`, and `note`, which only its readers see."""

from typing import Annotated

import msgspec
from msgspec import Meta

from onevoice.journeys.spans import Name
from onevoice.journeys.steps.kind import END, Layout, Step, StepKind


class Jump(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Goes on at another step, at most `times` times for each person; then past the jump."""

    to: Name
    times: Annotated[int, Meta(ge=1, le=1_000)] = 10


class Exit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Leaves the journey; `reason` is kept."""

    reason: str = ""


def _lay_jump(step: Step, after: str, layout: Layout) -> str:
    # Where the step named begins is known when all are laid; see document.graph.
    return layout.add(step, {"jump": f"*{step.asked.to}", "next": after})


def _lay_exit(step: Step, after: str, layout: Layout) -> str:
    return layout.add(step, {"next": END})


def _lay_note(step: Step, after: str, layout: Layout) -> str:
    return after


JUMP = StepKind("jump", Jump, lay=_lay_jump)
EXIT = StepKind("exit", Exit, lay=_lay_exit)
NOTE = StepKind("note", str, lay=_lay_note)
