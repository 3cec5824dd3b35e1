"""`branch`: the first path whose condition the customer meets, else the last."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from onevoice.journeys.steps.kind import Layout, Step, StepKind
from onevoice.segments.tree import condition


class Path(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"condition": "if"}):
    """`if` is any condition tree of a segment; `steps` for those who meet it and no earlier path's."""

    condition: dict[str, Any]
    steps: list[Step]
    title: str = ""


class Branch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"otherwise": "else"}):
    """Paths in order, and `else` the steps of everybody else."""

    paths: Annotated[list[Path], Meta(min_length=1, max_length=50)]
    otherwise: list[Step] = msgspec.field(default_factory=list)


def _check(asked: Branch, place: str) -> None:
    for number, path in enumerate(asked.paths):
        condition(path.condition, f"{place}.paths[{number}].if")


def _nested(asked: Branch) -> Iterator[tuple[str, list[Step]]]:
    for number, path in enumerate(asked.paths):
        yield f".paths[{number}].steps", path.steps
    yield ".else", asked.otherwise


def _lay(step: Step, after: str, layout: Layout) -> str:
    ways = {str(number): layout.lay(path.steps, after) for number, path in enumerate(step.asked.paths)}
    return layout.add(step, {**ways, "else": layout.lay(step.asked.otherwise, after)})


def _conditions(asked: Branch) -> list[dict[str, Any] | None]:
    return [path.condition for path in asked.paths]


BRANCH = StepKind("branch", Branch, _check, _nested, _lay, _conditions)
