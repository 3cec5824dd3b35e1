"""Coupons and the loyalty programme, as far as they are told: there is no ledger of points here yet."""

from typing import Literal

import ibis
import ibis.expr.types as ir

from onevoice.catalog.facts import COUPON_EVENTS
from onevoice.customers.facts import IDENTIFIERS, TRAITS
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.kind import Asked, Kind, Measured, Number, Reads, Scope, reading
from onevoice.segments.conditions.traits import current
from onevoice.segments.conditions.windows import Windowed, check_window, inside, is_relative

LOYALTY_CARD = "loyalty_card"
"""The namespace of the cards' numbers."""

TIER, POINTS = "loyalty_tier", "loyalty_points"
"""The traits in which the loyalty programme tells of a customer."""

HELD = ("entered", "applied")
SPENT = ("redeemed", "removed", "denied")


class Coupon(Windowed, frozen=True, kw_only=True):
    """A coupon (or any) entered, applied, removed, denied or redeemed, in all or in a span of time, at least so often.

    `unused`: entered or applied, and neither redeemed, removed nor denied since; coupons are counted then.
    """

    state: Literal["entered", "applied", "removed", "denied", "redeemed", "unused"]
    coupon: str | None = None
    at_least: int = 1


class Loyalty(Asked, frozen=True, kw_only=True):
    """A member (holds a card: an identifier of the namespace `loyalty_card`), of a tier, or with so many points.

    Tier and points are the traits `loyalty_tier` and `loyalty_points` that the programme sends.
    """

    member: bool | None = None
    tier: str | list[str] | None = None
    at_least: Number | None = None
    at_most: Number | None = None


def _coupon(asked: Coupon, scope: Scope) -> Measured:
    rows = inside(scope, scope.table(COUPON_EVENTS), "occurred_at", asked)
    if asked.coupon is not None:
        rows = rows.filter(rows.coupon == asked.coupon)
    rows = _unused(rows) if asked.state == "unused" else rows.filter(rows.action == asked.state)
    counted = rows.group_by("customer_id").aggregate(count=rows.count(), coupon=rows.coupon.min())
    return Measured(counted, counted["count"] >= asked.at_least)


def _unused(rows: ir.Table) -> ir.Table:
    """customer_id and coupon of those held and not spent."""
    words = rows.group_by("customer_id", "coupon").aggregate(
        held_at=rows.occurred_at.max(where=rows.action.isin(HELD)),
        spent_at=rows.occurred_at.max(where=rows.action.isin(SPENT)),
    )
    return words.filter(words.held_at.notnull(), words.spent_at.isnull() | (words.spent_at < words.held_at))


def _loyalty(asked: Loyalty, scope: Scope) -> Measured:
    if asked.member is not None:
        identifiers = scope.table(IDENTIFIERS)
        cards = identifiers.filter(identifiers.namespace == LOYALTY_CARD)
        held = cards.group_by("customer_id").aggregate(cards=cards.count(), card=cards.value.min())
        return Measured(held, (held.cards > 0) == ibis.literal(asked.member), missing=not asked.member)
    if asked.tier is not None:
        found = current(scope, TIER)
        wanted = [asked.tier] if isinstance(asked.tier, str) else asked.tier
        plain = found.select("customer_id", tier=found.value.re_replace('^"|"$', ""))
        return Measured(plain, plain.tier.isin(wanted))
    found = current(scope, POINTS)
    known = found.select("customer_id", points=found.value.try_cast("float64"))
    if asked.at_least is not None:
        return Measured(known, known.points >= asked.at_least)
    return Measured(known, known.points <= float(asked.at_most or 0))


def _reads_loyalty(asked: Loyalty) -> Reads:
    return reading(TRAITS if asked.member is None else IDENTIFIERS)


def _check_coupon(asked: Coupon, here: str) -> None:
    check_window(asked, here)
    if asked.at_least < 1:
        raise InvalidInput(f"{here}.at_least: expected 1 or more; got {asked.at_least}; use not for none")


COUPON_KINDS = (
    Kind(
        "coupon",
        Coupon,
        _coupon,
        lambda asked: reading(COUPON_EVENTS, windows=is_relative(asked)),
        _check_coupon,
    ),
    Kind(
        "loyalty",
        Loyalty,
        _loyalty,
        _reads_loyalty,
        one_of=("member", "tier", "at_least", "at_most"),
        needs_one=True,
    ),
)
