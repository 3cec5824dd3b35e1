"""Where and whether a customer can be spoken to: preferred channel, consent, an address that is not suppressed."""

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from onevoice.customers.consent import everybody
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

COMMON = tuple(sorted(set(REACTIONS.values())))
"""The channels that each have a count beside the customer; those of further channels are counted row by row."""

PACK = 2**26
"""Two counts below this are added up as one number, one + other * PACK, which a double holds exactly."""


class Prefers(Asked, frozen=True, kw_only=True):
    """The customer reacted on the channel, and on no other more: by own opens and clicks.

    Who reacted as often on two channels prefers both.
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
    window = Windowed(within=asked.within)
    owned = _owned(scope, window)
    common, others = _common(scope, window, owned), _others(owned)
    if asked.channel in COMMON:  # what is measured is then the same for each of these channels, and measured once
        most = others.group_by("customer_id").aggregate(elsewhere=others.n.max())
        found = common.left_join(most, "customer_id")
        found = found.mutate(elsewhere=ibis.coalesce(found.elsewhere, 0))
        reactions = found[f"_{asked.channel}"]
    else:
        most = others.group_by("customer_id").aggregate(
            reactions=others.n.max(where=others.channel == asked.channel), elsewhere=others.n.max()
        )
        found = most.filter(most.reactions > 0).left_join(common, "customer_id")
        found = found.mutate(**{f"_{channel}": ibis.coalesce(found[f"_{channel}"], 0.0) for channel in COMMON})
        reactions = found.reactions
    found = found.mutate(**{channel: found[f"_{channel}"].cast("int64") for channel in COMMON})
    met = reactions > 0
    for other in (*(f"_{channel}" for channel in COMMON if channel != asked.channel), "elsewhere"):
        met = met & (reactions >= found[other])
    return Measured(found.drop("customer_id_right"), met)


def _common(scope: Scope, window: Windowed, owned: ir.Table) -> ir.Table:
    """customer_id and the number of reactions on each of the common channels, such as `_email`, as doubles.

    To group costs most here, and the more the wider what is kept of each customer: so it is two numbers, not three, of
    which the counts are made. To group by customer and channel, and then by customer, would cost nearly twice as much.
    """
    events = inside(scope, scope.table(EVENTS), "occurred_at", window)
    tracked = events.select("customer_id", weight=_weight(events.name, REACTIONS))
    owned = owned.select("customer_id", weight=_weight(owned.channel, {channel: channel for channel in COMMON}))
    rows = tracked.union(owned).filter(ibis._.weight.notnull())
    kept = rows.group_by("customer_id").aggregate(_all=rows.count(), _packed=rows.weight.sum())
    first, second, third = (f"_{channel}" for channel in COMMON)
    kept = kept.mutate(**{second: _floor(kept._packed / PACK)})
    kept = kept.mutate(**{first: kept._packed - kept[second] * PACK})
    return kept.select("customer_id", first, second, **{third: kept._all - kept[first] - kept[second]})


def _weight(name: ir.StringColumn, channels: Mapping[str, str]) -> ir.FloatingValue:
    """What a reaction adds to the two counts that are one number: nothing on the third channel, null where it is none.

    A store that keeps each name once works this out once for each name, which is cheaper than to look the names up.
    """
    weights = dict(zip(COMMON, (1, PACK, 0), strict=True))
    return name.cases(*((word, weights[channel]) for word, channel in channels.items())).cast("float64")


@ibis.udf.scalar.builtin(name="floor")
def _floor(value: float) -> float: ...  # type: ignore[empty-body]  # Ibis' own casts to an integer, which costs more


def _others(owned: ir.Table) -> ir.Table:
    """customer_id, channel, and the number `n` of reactions on it, for all but the common channels."""
    rows = owned.filter(owned.channel.notin(COMMON))
    return rows.group_by("customer_id", "channel").aggregate(n=rows.count())


def _owned(scope: Scope, window: Windowed) -> ir.Table:
    """customer_id and channel of what people opened and clicked of our own messages."""
    news, messages = scope.warehouse.table(MESSAGE_EVENTS), scope.table(MESSAGES)
    personal = inside(scope, news.filter(news.news.isin(PERSONAL), ~news.machine), "occurred_at", window)
    sent = messages.select("message_id", "customer_id", "channel")
    return personal.select("message_id").join(sent, "message_id").select("customer_id", "channel")


def _consent(asked: Consent, scope: Scope) -> Measured:
    rows = everybody.permission(scope.warehouse, asked.channel, asked.topic, scope.now, scope.among)
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
