"""Where and whether a customer can be spoken to: preferred channel, consent, an address that is not suppressed."""

import ibis
import ibis.expr.types as ir

from onevoice.customers import consent
from onevoice.customers.facts import ADDRESSES, CONSENT_EXPIRIES, CONSENTS, SUPPRESSIONS
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.delivery.statuses import PERSONAL
from onevoice.events.facts import EVENTS
from onevoice.segments.conditions.kind import Asked, Kind, Measured, Scope, reading
from onevoice.segments.conditions.windows import Windowed, days, inside

REACTIONS = {
    "Email Opened": "email",
    "Email Link Clicked": "email",
    "Push Notification Opened": "push",
    "Push Opened": "push",
    "SMS Link Clicked": "sms",
    "SMS Clicked": "sms",
}
"""Tracked events that are a reaction on a channel, as other tools name them; news of our own messages counts too."""

REACTION = 2**32
"""What a reaction weighs in a channel's score: more than the seconds since 1970 of the last one, which break ties."""


class Prefers(Asked, frozen=True, kw_only=True):
    """The channel on which the customer reacted most, by own opens and clicks.

    Ties go to the channel of the last reaction (to the second), then to the first name of the alphabet.
    """

    channel: str
    within: str = "365 days"


class Consent(Asked, frozen=True):
    """The customer may be contacted on the channel about the topic (customers.consent.rule)."""

    channel: str
    topic: str


class Reachable(Asked, frozen=True):
    """There is an address on the channel, and it is not suppressed."""

    channel: str


def _check(asked: Prefers, here: str) -> None:
    days(asked.within, f"{here}.within")


def _prefers(asked: Prefers, scope: Scope) -> Measured:
    reactions = _reactions(scope, Windowed(within=asked.within))
    counted = reactions.group_by("customer_id", "channel").aggregate(
        score=reactions.count() * REACTION + reactions.occurred_at.max().epoch_seconds().cast("int64")
    )
    # Of equal scores the first of the alphabet is the highest: 2 before the channel asked about, 1 itself, 0 behind.
    order = ibis.cases((counted.channel < asked.channel, 2), (counted.channel == asked.channel, 1), else_=0)
    best = counted.group_by("customer_id").aggregate(
        _best=(counted.score * 4 + order).max(), channel=counted.channel.argmax(counted.score)
    )
    return Measured(best, best._best % 4 == 1)


def _reactions(scope: Scope, window: Windowed) -> ir.Table:
    """customer_id, channel, occurred_at of what people opened and clicked, whoever sent it."""
    events = scope.table(EVENTS)
    tracked = inside(scope, events.filter(events.name.isin(list(REACTIONS))), "occurred_at", window)
    tracked = tracked.select("customer_id", "occurred_at", channel=tracked.name.cases(*REACTIONS.items(), else_=""))
    news, messages = scope.warehouse.table(MESSAGE_EVENTS), scope.table(MESSAGES)
    personal = inside(scope, news.filter(news.news.isin(PERSONAL), ~news.machine), "occurred_at", window)
    owned = personal.select("message_id", "occurred_at").join(
        messages.select("message_id", "customer_id", "channel"), "message_id"
    )
    columns = ("customer_id", "channel", "occurred_at")
    return tracked.select(*columns).union(owned.select(*columns))


def _consent(asked: Consent, scope: Scope) -> Measured:
    rows = consent.permission(scope.warehouse, asked.channel, asked.topic, scope.now, scope.among)
    rows = rows.rename(_permitted="permitted")
    return Measured(rows, rows._permitted == 1)


def _reachable(asked: Reachable, scope: Scope) -> Measured:
    addresses, listed = scope.table(ADDRESSES), scope.warehouse.table(SUPPRESSIONS)
    here = addresses.filter(addresses.channel == asked.channel)
    reached = here.anti_join(listed.filter(listed.channel == asked.channel), "address_hash")
    found = reached.select("customer_id", "address")
    return Measured(found, found.address.notnull())


CHANNEL_KINDS = (
    Kind(
        "prefers",
        Prefers,
        _prefers,
        lambda asked: reading(EVENTS, MESSAGES, MESSAGE_EVENTS, events=frozenset(REACTIONS), windows=True),
        _check,
    ),
    Kind("consent", Consent, _consent, lambda asked: reading(CONSENTS, CONSENT_EXPIRIES, windows=True)),
    Kind("reachable", Reachable, _reachable, lambda asked: reading(ADDRESSES, SUPPRESSIONS)),
)
