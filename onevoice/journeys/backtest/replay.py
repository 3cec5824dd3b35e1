"""A journey played over a past window: the engine's own segments, policy and tick, moved from instant to instant.

Once a day or an hour (`every`) the segments are computed and the journey is ticked; in between it is ticked whenever
somebody is due, to the quarter of an hour. Nothing here can reach the database or a channel: it is given a warehouse
and documents, no more.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import ibis.expr.types as ir
import pyarrow as pa

from onevoice.customers.contact import OPEN, ContactPolicy
from onevoice.journeys.backtest import reactions
from onevoice.journeys.backtest.rewinding import rewound
from onevoice.journeys.backtest.scratch import Scratch, Window
from onevoice.journeys.document import Document, all_steps
from onevoice.journeys.facts import ENROLMENTS
from onevoice.journeys.habits import learn_daily
from onevoice.journeys.service import SavedJourney
from onevoice.journeys.tick import tick
from onevoice.kernel.clock import aware
from onevoice.segments.refresh import Refresher
from onevoice.segments.service import SavedSegment
from onevoice.segments.tree import segments_named
from onevoice.warehouse import Facts, Warehouse, set_watermark

QUARTER = timedelta(minutes=15)
"""To this the instants between are rounded up, so that many who are due at about the same time go together."""

LEARNED_EVERY = timedelta(days=30)
"""How often habits are learned, at the window's start first: each time from what had happened by then. Every day, as
the live engine does it, would take longer than all else; and within a month habits of two years hardly change."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Cancelled(Exception):
    """Somebody has asked for an end of it."""


Watch = Callable[[float], bool]
"""Told how far it has come (0 to 1) before each instant; says whether to go on."""


@dataclass(frozen=True)
class Plan:
    """What is played: the journey, the segments it needs (saved or not), how finely, with what reactions."""

    journey: SavedJourney
    segments: Sequence[SavedSegment]
    window: Window
    every: timedelta
    reacting: bool = True
    policy: ContactPolicy = OPEN  # the house's, as it is today


@dataclass(frozen=True)
class Played:
    """What came of it: in the scratch warehouse, and here the rates by which people reacted and the instants."""

    scratch: Scratch
    plan: Plan
    rates: tuple[reactions.Rate, ...]
    instants: tuple[datetime, ...]


Noticed = Callable[[Scratch, ir.Table, datetime], None]
"""Looks at the messages just planned, while the facts are seen as of then."""


def play(
    live: Warehouse,
    tables: Sequence[Facts],
    plan: Plan,
    secret: bytes,
    words: pa.Table | None = None,
    watch: Watch = lambda share: True,
    noticed: Noticed = lambda scratch, fresh, now: None,
) -> Played:
    """Plays the journey; the caller closes the scratch warehouse. Raises Cancelled when `watch` says so.

    `words` are as in rewinding.rewound.
    """
    segments = _needed(plan)
    journey = replace(plan.journey, status="live", launched_at=plan.window.start)
    names = [segment.name for segment in segments]
    scratch = Scratch(live, tables, plan.window, plan.journey.name, names)
    try:
        advance = rewound(scratch, secret, words)
        chances = reactions.learned(scratch)
        refresher = Refresher(scratch)
        learning = partial(learn_daily, every=LEARNED_EVERY, messages=scratch.table(scratch.remembered))
        before, instants = plan.window.start, list[datetime]()
        for now, is_whole in _instants(scratch, plan):
            if not watch((now - plan.window.start) / (plan.window.end - plan.window.start)):
                raise Cancelled
            if now > before:
                advance(before, now)
            set_watermark(scratch, "revision", (now - EPOCH) // timedelta(microseconds=1), 0)
            if is_whole:
                refresher.start_anew()
                refresher.all(segments, now)
            tick(scratch, [journey], now, plan.policy, learning)
            fresh = scratch.planned_now(plan.journey.name)
            if scratch.count(fresh):
                if plan.reacting:
                    reactions.react(scratch, chances, fresh)
                noticed(scratch, fresh, now)
            before = now
            instants.append(now)
        advance(before, plan.window.end)
    except BaseException:
        scratch.close()
        raise
    return Played(scratch, plan, chances.rates if plan.reacting else (), tuple(instants))


def fineness(journey: Document) -> timedelta:
    """How often to look where nobody has said: every hour for what hangs on single events, else every day."""
    kinds = [step.asked for _, step in all_steps(journey.steps) if step.kind == "wait"]
    waits = any(getattr(asked, "is_for_something", False) for asked in kinds)
    by_event = journey.entry.event is not None or journey.entry.left is not None
    return timedelta(hours=1) if waits or by_event else timedelta(days=1)


def _needed(plan: Plan) -> list[SavedSegment]:
    """The segments the journey asks about, with those that they ask about."""
    known = {segment.name: segment for segment in plan.segments}
    document = plan.journey.document
    shunned = {assertion.nobody_in for assertion in document.asserts if assertion.nobody_in}
    open_, found = sorted(document.segments | shunned), dict[str, SavedSegment]()
    while open_:
        name = open_.pop()
        if name in known and name not in found:
            found[name] = known[name]
            open_ += segments_named(known[name].condition)
    return [found[name] for name in sorted(found)]


def _instants(scratch: Scratch, plan: Plan) -> Iterator[tuple[datetime, bool]]:
    """Every instant at which to tick, and whether segments are computed then too."""
    now, number = plan.window.start, 0
    while now < plan.window.end:
        yield now, True
        number += 1
        following = plan.window.start + number * plan.every
        until = min(following, plan.window.end)
        while (due := _due(scratch, plan.journey.name)) is not None:
            now = max(_rounded(due), now + QUARTER)
            if now >= until:
                break
            yield now, False
        now = following


def _due(scratch: Scratch, journey: str) -> datetime | None:
    """When the next is due."""
    enrolments = scratch.table(ENROLMENTS)
    standing = enrolments.filter(enrolments.journey == journey, enrolments.state == "active")
    (row,) = scratch.rows(standing.aggregate(due_at=standing.due_at.min()))
    return aware(row["due_at"]) if row["due_at"] is not None else None


def _rounded(at: datetime) -> datetime:
    return EPOCH + -((EPOCH - at) // QUARTER) * QUARTER
