"""`split`: people dealt among variants by chance, each always the same; a winner by rule, or a bandit."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import ibis.expr.types as ir
import msgspec
from msgspec import Meta

from onevoice.journeys import dealing
from onevoice.journeys.spans import duration
from onevoice.journeys.steps.kind import Layout, Step, StepKind
from onevoice.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from onevoice.journeys.turn import Turn

Measure = Literal["delivered", "opened", "clicked", "replied", "ordered", "goal"]


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of the variants; `weight` is its share, relative to the others'."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+$")]
    steps: list[Step] = msgspec.field(default_factory=list)
    weight: Annotated[int, Meta(ge=0, le=1_000)] = 1


class Winner(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """After so many `people`, or so long, whoever comes later goes the way whose people did `by` most often."""

    by: Measure
    people: Annotated[int, Meta(ge=1)] | None = None
    after: str | None = None


class Bandit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Thompson's sampling: each tick deals in proportion to how likely each variant is the best by `by`."""

    by: Measure


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Variants, and at most one of winner, bandit. Who has been dealt a variant keeps it."""

    variants: Annotated[list[Variant], Meta(min_length=2, max_length=20)]
    winner: Winner | None = None
    bandit: Bandit | None = None


def _check(asked: Split, place: str) -> None:
    if len({variant.name for variant in asked.variants}) < len(asked.variants):
        raise InvalidInput(f"two variants have the same name - at `{place}.variants`")
    if not any(variant.weight for variant in asked.variants):
        raise InvalidInput(f"give one variant at least a weight above 0 - at `{place}.variants`")
    if asked.winner and asked.bandit:
        raise InvalidInput(f"give at most one of winner, bandit - at `{place}`")
    if asked.winner and (asked.winner.people is None) == (asked.winner.after is None):
        raise InvalidInput(f"give exactly one of people, after - at `{place}.winner`")
    if asked.winner and asked.winner.after is not None:
        duration(asked.winner.after, f"{place}.winner.after")


def _nested(asked: Split) -> Iterator[tuple[str, list[Step]]]:
    for number, variant in enumerate(asked.variants):
        yield f".variants[{number}].steps", variant.steps


def _lay(step: Step, after: str, layout: Layout) -> str:
    return layout.add(step, {variant.name: layout.lay(variant.steps, after) for variant in step.asked.variants})


def _move(turn: "Turn", here: ir.Table) -> ir.Table:
    split: Split = turn.node.asked
    by, names = dealing.measure(split), [variant.name for variant in split.variants]
    tallies = dealing.tally(turn.warehouse, turn.journey.name, turn.node.step, by, names) if by else {}
    shares = dealing.shares(split, tallies, dealing.seed(turn.journey.name, turn.node.step, turn.now), turn.now)
    bounds = turn.warehouse.stage("split_bounds", dealing.bounds(shares))
    dealt = turn.warehouse.stage("dealt", turn.remembered("dealt", lambda: dealing.dealt(turn, here, bounds)))
    turn.passed(dealt, dealt.way)
    return turn.remembered("moved", lambda: turn.go(dealt, dealt.way))


SPLIT = StepKind("split", Split, _check, _nested, _lay, move=_move)
