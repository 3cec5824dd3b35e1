"""How a split deals people among its variants: by a hash, so that each always gets the same, in shares that are fixed,
all one winner's once it is known, or a bandit's of this tick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from onevoice.catalog.facts import ORDERS
from onevoice.catalog.orders import made
from onevoice.delivery.facts import MESSAGES
from onevoice.events.facts import EVENTS
from onevoice.journeys.facts import ENROLMENTS, PASSAGES
from onevoice.journeys.hashing import PRIME, place_of
from onevoice.journeys.matching import REPLIED, matching
from onevoice.journeys.spans import duration
from onevoice.kernel.clock import aware

if TYPE_CHECKING:
    from onevoice.journeys.steps.split import Split, Winner
    from onevoice.journeys.turn import Turn
    from onevoice.warehouse import Warehouse

DRAWS = 4_000
"""Draws by which a bandit weighs how likely each variant is the best: to about one percent."""

LEAST = 0.02
"""A bandit's share of each variant at the least, so that one that began badly can still show itself."""


@dataclass(frozen=True)
class Tally:
    """How a variant has fared: how many went its way, and how many of them did what counts."""

    people: int
    did: int
    since: datetime | None = None


def measure(split: Split) -> str | None:
    """What the rule counts by which later people are dealt; None where only the weights deal."""
    rule = split.winner or split.bandit
    return rule.by if rule else None


def shares(split: Split, tallies: Mapping[str, Tally], seed: str, now: datetime) -> dict[str, float]:
    """Each variant's share of those who come now; together 1. The same seed gives a bandit the same shares."""
    total = sum(variant.weight for variant in split.variants)
    fixed = {variant.name: variant.weight / total for variant in split.variants}
    if split.bandit is not None:
        return thompson(tallies, seed)
    found = winner(split.winner, tallies, now) if split.winner is not None else None
    return {name: float(name == found) for name in fixed} if found else fixed


def winner(rule: Winner, tallies: Mapping[str, Tally], now: datetime) -> str | None:
    """The variant with the highest rate once the rule says that there is one; of equals the first.

    As long as nobody has done what counts nobody has won, however many have come: they have had no time to.
    """
    began = [one.since for one in tallies.values() if one.since]
    if rule.people is not None:
        is_known = sum(one.people for one in tallies.values()) >= rule.people
    else:
        is_known = bool(began) and now >= min(began) + duration(rule.after or "", "")
    if not is_known or not any(one.did for one in tallies.values()):
        return None
    return max(tallies, key=lambda name: tallies[name].did / max(1, tallies[name].people))


def thompson(tallies: Mapping[str, Tally], seed: str) -> dict[str, float]:
    """How likely each is the best, by draws from Beta(1 + did, 1 + did not); the same seed draws the same."""
    random = np.random.default_rng(int.from_bytes(blake2b(seed.encode(), digest_size=8).digest(), "big"))
    drawn = np.stack([random.beta(1 + one.did, 1 + one.people - one.did, DRAWS) for one in tallies.values()])
    best = np.bincount(drawn.argmax(axis=0), minlength=len(tallies)) / DRAWS
    least = min(LEAST, 1 / len(tallies))
    lifted = least + best * (1 - least * len(tallies))
    return dict(zip(tallies, (float(share) for share in lifted), strict=True))


def tally(warehouse: Warehouse, journey: str, step: str, by: str, variants: Sequence[str]) -> dict[str, Tally]:
    """People and reactions by variant, of everybody who has passed the step."""
    passages = warehouse.table(PASSAGES)
    mine = passages.filter(passages.journey == journey, passages.step == step)
    people = mine.group_by("enrolment_id", "customer_id").aggregate(way=mine.way.min(), since=mine.passed_at.min())
    did = _did(warehouse, people, by).select("enrolment_id").distinct().mutate(did=ibis.literal(1))
    rows = people.left_join(did, "enrolment_id")
    sums = rows.group_by("way").aggregate(people=rows.count(), did=rows.did.fill_null(0).sum(), since=rows.since.min())
    found = {row["way"]: Tally(row["people"], int(row["did"]), aware(row["since"])) for row in warehouse.rows(sums)}
    return {name: found.get(name, Tally(0, 0)) for name in variants}


def standing(warehouse: Warehouse, journey: str, step: str, split: Split, now: datetime) -> dict[str, Any]:
    """By what a split deals people and how each variant has fared: `by`, None where only the weights deal; `variants`
    with `people`, how many of them `did` that (None without a rule), and the `share` of those who would come now."""
    by, names = measure(split), [variant.name for variant in split.variants]
    tallies = tally(warehouse, journey, step, by or "goal", names)
    dealt = shares(split, tallies, seed(journey, step, now), now)
    rows = {
        name: {"people": one.people, "did": one.did if by else None, "share": dealt[name]}
        for name, one in tallies.items()
    }
    return {"by": by, "variants": rows}


def seed(journey: str, step: str, now: datetime) -> str:
    """What a bandit's draws of one tick come from."""
    return f"{journey}|{step}|{now.isoformat()}"


def _did(warehouse: Warehouse, people: ir.Table, by: str) -> ir.Table:
    if by == "ordered":
        orders = made(warehouse.table(ORDERS)).select("customer_id", "ordered_at").join(people, "customer_id")
        return orders.filter(orders.ordered_at > orders.since)
    if by == "goal":
        enrolments = warehouse.table(ENROLMENTS)
        return enrolments.filter(enrolments.reason == "goal").semi_join(people, "enrolment_id")
    if by == "replied":
        replies = matching(warehouse, warehouse.table(EVENTS), REPLIED, {}).join(people, "customer_id")
        return replies.filter(replies.occurred_at > replies.since)
    messages = warehouse.table(MESSAGES)
    rows = messages.filter(messages[f"{by}_at"].notnull()).select("enrolment_id", "planned_at")
    rows = rows.join(people, "enrolment_id")
    return rows.filter(rows.planned_at >= rows.since)


def bounds(shares: Mapping[str, float]) -> pa.Table:
    """Where each variant's part of the hash begins and ends."""
    ends = np.cumsum(list(shares.values()))
    edges = [0, *(round(float(end) * PRIME) for end in ends[:-1]), PRIME]
    return pa.table(
        {
            "variant": pa.array(list(shares), pa.string()),
            "first": pa.array(edges[:-1], pa.int64()),
            "end": pa.array(edges[1:], pa.int64()),
        }
    )


def dealt(turn: Turn, here: ir.Table, bounds: ir.Table) -> ir.Table:
    """Those here with the `way` of each: the one they have had before, else where their hash falls."""
    passages = turn.warehouse.table(PASSAGES)
    mine = passages.filter(passages.journey == turn.journey.name, passages.step == turn.node.step)
    before = mine.group_by("customer_id").aggregate(before=mine.way.argmin(mine.passed_at))
    rows = here.left_join(before, "customer_id").drop("customer_id_right")
    rows = rows.mutate(hashed=place_of(rows.customer_id, "split", f"{turn.journey.name}|{turn.node.step}"))
    joined = rows.join(bounds, (rows.hashed >= bounds["first"]) & (rows.hashed < bounds["end"]))
    known = joined.before.isin([variant.name for variant in turn.node.asked.variants])
    return joined.mutate(way=ibis.ifelse(ibis.coalesce(known, False), joined.before, joined.variant)).drop(
        "before", "hashed", "variant", "first", "end"
    )
