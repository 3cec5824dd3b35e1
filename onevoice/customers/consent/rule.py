"""May we contact a customer on a channel about a topic, now? The one rule, and who asks it by identifier.

What counts is when each kind of word was last said, over all identifiers of the customer; `*` as channel or topic
stands for all of them. In this order:

1. a consent that is not too old, newer than every refusal: `granted`
2. a refusal that no newer consent has taken back (at one instant the refusal wins): `denied` or `withdrawn`; or
   `pending`, while the customer has been asked since and has not confirmed
3. a soft opt-in that is not too old, where the law has one, newer than every refusal: `soft_opt_in`
4. `pending`, `expired`, with the reason

So a purchase never takes a refusal back, and asking again takes nothing away. Silence is not a consent: who has said
nothing is `none`.

`everybody` is the same rule in the warehouse, for all at once. The worker asks here, and needs no warehouse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from onevoice.customers.consent import policies, soft_opt_in
from onevoice.customers.consent.policies import cutoff
from onevoice.database import driver
from onevoice.database.arrays import array

PERMITTED = ("granted", "soft_opt_in")
"""The states in which a customer may be contacted."""

CONFIRM_WITHIN = timedelta(days=7)
"""How long a double opt-in's link works."""

REASONS = {
    "granted": "The customer has consented.",
    "soft_opt_in": "The customer bought, may be written to about similar goods, and has not refused.",
    "denied": "The customer was asked and said no.",
    "withdrawn": "The customer has taken the consent back.",
    "awaiting_confirmation": "The customer was sent a link to confirm and has not used it yet.",
    "not_confirmed": "The customer was sent a link to confirm and did not use it in time.",
    "consent_too_old": "The consent is older than the shop's rule allows; a new one is needed.",
    "soft_opt_in_over": "The purchase is too long ago, or the law there does not let it stand for a consent.",
    "never_asked": "The customer has never said anything about this.",
}
"""What each reason means."""


@dataclass(frozen=True)
class Permission:
    """The answer: its state, since when, on what it rests (consent, soft_opt_in, or nothing), and the reason."""

    state: str = "none"  # granted, soft_opt_in, denied, withdrawn, pending, expired, none
    since: datetime | None = None
    basis: str = ""
    reason: str = "never_asked"

    @property
    def permitted(self) -> bool:
        """Whether the customer may be contacted."""
        return self.state in PERMITTED


class Words(NamedTuple):
    """When one customer last said each kind of word that counts."""

    granted_at: datetime | None = None
    live_at: datetime | None = None  # the newest grant that is not too old
    refused_at: datetime | None = None
    denied_at: datetime | None = None
    soft_at: datetime | None = None
    soft_live_at: datetime | None = None  # the newest that is not too old, where the law has it
    pending_at: datetime | None = None


def ruling(words: Words, now: datetime) -> Permission:
    """The rule for one customer."""
    granted, live, refused, soft, soft_live, pending = (
        words.granted_at,
        words.live_at,
        words.refused_at,
        words.soft_at,
        words.soft_live_at,
        words.pending_at,
    )
    if live and _after(live, refused):
        return Permission("granted", live, "consent", "granted")
    asked = pending is not None and pending > now - CONFIRM_WITHIN
    if refused and not (granted and granted > refused):
        if asked and _after(pending, refused):
            return Permission("pending", pending, "", "awaiting_confirmation")
        no = "denied" if words.denied_at == refused else "withdrawn"
        return Permission(no, refused, "", no)
    if soft_live and _after(soft_live, refused):
        return Permission("soft_opt_in", soft_live, "soft_opt_in", "soft_opt_in")
    if pending and _after(pending, granted) and _after(pending, soft):
        if asked:
            return Permission("pending", pending, "", "awaiting_confirmation")
        return Permission("expired", pending, "", "not_confirmed")
    if granted:
        return Permission("expired", granted, "consent", "consent_too_old")
    return Permission("expired", soft, "soft_opt_in", "soft_opt_in_over") if soft else Permission()


def _after(at: datetime | None, other: datetime | None) -> bool:
    return at is not None and (other is None or at > other)


def permissions(connection: Connection, asked: Sequence[tuple[int, str, str]], now: datetime) -> list[Permission]:
    """The permission per (identifier, channel, topic), over all identifiers of its customer."""
    rules = policies.expiries(connection)
    law = [
        (channel, country, cutoff(now, months) if months else datetime.min.replace(tzinfo=now.tzinfo))
        for channel in sorted({row[1] for row in asked})
        for country, months in soft_opt_in.allowed(channel).items()
    ]
    found = [Permission()] * len(asked)
    with driver(connection) as raw:
        rows = raw.execute(
            _NEWEST,
            {
                "identifiers": array([str(row[0]) for row in asked]),
                "channels": array([row[1] for row in asked]),
                "topics": array([row[2] for row in asked]),
                "rule_countries": [rule.country for rule in rules],
                "rule_channels": [rule.channel for rule in rules],
                "rule_topics": [rule.topic for rule in rules],
                "rule_states": [rule.state for rule in rules],
                "rule_cutoffs": [cutoff(now, rule.months) for rule in rules],
                "law_channels": [row[0] for row in law],
                "law_countries": [row[1] for row in law],
                "law_cutoffs": [row[2] for row in law],
            },
            binary=True,
        ).fetchall()
    for row in rows:
        found[row[0] - 1] = ruling(Words._make(row[1:]), now)
    return found


_NEWEST = """
WITH asked AS (
    SELECT * FROM unnest(%(identifiers)s::bigint[], %(channels)s::text[], %(topics)s::text[])
        WITH ORDINALITY AS asked (identifier_id, channel, topic, n)
), rule AS MATERIALIZED (
    SELECT * FROM unnest(%(rule_countries)s::text[], %(rule_channels)s::text[], %(rule_topics)s::text[],
                         %(rule_states)s::text[], %(rule_cutoffs)s::timestamptz[])
        AS rule (country, channel, topic, state, cutoff)
), law AS MATERIALIZED (
    SELECT * FROM unnest(%(law_channels)s::text[], %(law_countries)s::text[], %(law_cutoffs)s::timestamptz[])
        AS law (channel, country, cutoff)
), word AS (
    SELECT asked.n, ledger.state, ledger.occurred_at,
        NOT EXISTS (
            SELECT FROM rule
            WHERE rule.country IN (ledger.country, '*') AND rule.channel IN (asked.channel, '*')
              AND rule.topic IN (asked.topic, '*') AND rule.state IN (ledger.state, '*')
              AND ledger.occurred_at <= rule.cutoff
        ) AS young,
        EXISTS (
            SELECT FROM law
            WHERE law.channel = asked.channel AND law.country = ledger.country AND ledger.occurred_at > law.cutoff
        ) AS lawful
    FROM asked
    -- OFFSET 0 keeps PostgreSQL from joining all that there are with the few that are asked for.
    LEFT JOIN LATERAL (
        SELECT customer_id FROM identifier WHERE identifier_id = asked.identifier_id OFFSET 0
    ) AS own ON true
    LEFT JOIN LATERAL (
        SELECT identifier_id FROM identifier WHERE customer_id = own.customer_id OFFSET 0
    ) AS peer ON true
    CROSS JOIN LATERAL (
        SELECT state, occurred_at, country FROM consent_ledger
        WHERE identifier_id = coalesce(peer.identifier_id, asked.identifier_id)
          AND channel IN (asked.channel, '*') AND topic IN (asked.topic, '*') OFFSET 0
    ) AS ledger
)
SELECT n,
    max(occurred_at) FILTER (WHERE state = 'granted'),
    max(occurred_at) FILTER (WHERE state = 'granted' AND young),
    max(occurred_at) FILTER (WHERE state IN ('denied', 'withdrawn')),
    max(occurred_at) FILTER (WHERE state = 'denied'),
    max(occurred_at) FILTER (WHERE state = 'soft_opt_in'),
    max(occurred_at) FILTER (WHERE state = 'soft_opt_in' AND young AND lawful),
    max(occurred_at) FILTER (WHERE state = 'pending')
FROM word GROUP BY n
"""
