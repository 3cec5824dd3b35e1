"""May we contact a customer on a channel about a topic, now? The one rule, set-based and by identifier.

What counts is when each kind of word was last said, over all identifiers of the customer; `*` as channel or topic
stands for all of them. In this order:

1. a consent that is not too old, newer than every refusal: `granted`
2. a refusal that no newer consent has taken back (at one instant the refusal wins): `denied` or `withdrawn`; or
   `pending`, while the customer has been asked since and has not confirmed
3. a soft opt-in that is not too old, where the law has one, newer than every refusal: `soft_opt_in`
4. `pending`, `expired`, with the reason

So a purchase never takes a refusal back, and asking again takes nothing away. Silence is not a consent: who has said
nothing is `none`, and is not among the rows of `permission`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

import ibis
import ibis.expr.types as ir
from sqlalchemy import Connection

from onevoice.customers.consent import policies, soft_opt_in
from onevoice.customers.consent.policies import ALL, cutoff
from onevoice.customers.facts import CONSENT_EXPIRIES, CONSENTS
from onevoice.customers.schemas import ConsentExpiry
from onevoice.database import driver
from onevoice.database.arrays import array
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse

PERMITTED = ("granted", "soft_opt_in")
"""The states in which a customer may be contacted."""

Among: TypeAlias = ir.Table | Collection[int] | None
"""The customers considered: a table with `customer_id`, some ids, or everybody."""

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


def expiries(warehouse: Warehouse) -> tuple[ConsentExpiry, ...]:
    """The shop's rules of how long consents hold, as the warehouse has them."""
    return tuple(ConsentExpiry(**row) for row in warehouse.rows(warehouse.table(CONSENT_EXPIRIES)))


def permission(
    warehouse: Warehouse,
    channel: str,
    topic: str,
    now: datetime,
    among: Among = None,
    rules: Sequence[ConsentExpiry] | None = None,
) -> ir.Table:
    """customer_id, state, since, basis, reason and `permitted` of everybody who has said something.

    `permitted` is 1 or 0 (chDB's truths are numbers, which Arrow does not take for truths). `among` narrows it to these
    customers. The shop's rules, where they are not given, are read at once, so build it anew for another instant.
    """
    words = _words(warehouse, channel, topic, now, among, expiries(warehouse) if rules is None else rules)
    consented, stands, bought = _verdicts(words)
    granted, live, refused = words.granted_at, words.live_at, words.refused_at
    soft, soft_live, pending = words.soft_at, words.soft_live_at, words.pending_at
    asked = pending.notnull() & (pending > ibis.timestamp(naive(now - CONFIRM_WITHIN)))
    asked_since = asked & (ibis.coalesce(pending > refused, True))
    newest_is_pending = pending.notnull() & ibis.coalesce(pending > granted, True) & ibis.coalesce(pending > soft, True)
    no = ibis.ifelse(ibis.coalesce(words.denied_at == refused, False), "denied", "withdrawn")
    cases = (
        # condition, state, since, basis, reason
        (consented, "granted", live, "consent", "granted"),
        (stands & asked_since, "pending", pending, "", "awaiting_confirmation"),
        (stands, no, refused, "", no),
        (bought, "soft_opt_in", soft_live, "soft_opt_in", "soft_opt_in"),
        (newest_is_pending & asked, "pending", pending, "", "awaiting_confirmation"),
        (newest_is_pending, "expired", pending, "", "not_confirmed"),
        (granted.notnull(), "expired", granted, "consent", "consent_too_old"),
    )
    return words.select(
        "customer_id",
        state=ibis.cases(*((case[0], case[1]) for case in cases), else_="expired"),
        since=ibis.cases(*((case[0], case[2]) for case in cases), else_=soft),
        basis=ibis.cases(*((case[0], case[3]) for case in cases), else_="soft_opt_in"),
        reason=ibis.cases(*((case[0], case[4]) for case in cases), else_="soft_opt_in_over"),
        permitted=(consented | bought).ifelse(1, 0),
    )


def _verdicts(words: ir.Table) -> tuple[ir.BooleanValue, ir.BooleanValue, ir.BooleanValue]:
    """Whether there is a consent that holds, a refusal that stands, a soft opt-in that holds."""
    granted, live, refused, soft = words.granted_at, words.live_at, words.refused_at, words.soft_live_at
    consented = live.notnull() & (refused.isnull() | (live > refused))
    stands = refused.notnull() & (granted.isnull() | (refused >= granted))
    bought = ~stands & soft.notnull() & (refused.isnull() | (soft > refused))
    return consented, stands, bought


def _words(
    warehouse: Warehouse, channel: str, topic: str, now: datetime, among: Among, rules: Sequence[ConsentExpiry]
) -> ir.Table:
    """When each customer last said each kind of word that counts for the channel and topic."""
    consents = warehouse.table(CONSENTS)
    here = consents.filter(consents.channel.isin([channel, ALL]), consents.topic.isin([topic, ALL]))
    if isinstance(among, ir.Table):
        here = here.semi_join(among, "customer_id")
    elif among is not None:
        here = here.filter(here.customer_id.isin(list(among)))
    at, state = here.occurred_at, here.state
    law = soft_opt_in.allowed(channel)
    lasting = [country for country, months in law.items() if months is None]
    lawful = here.country.isin(lasting) if lasting else ibis.literal(False)
    for country, months in law.items():
        if months is not None:
            lawful |= (here.country == country) & (at > ibis.timestamp(naive(cutoff(now, months))))
    recent = _young(here, rules, channel, topic, "soft_opt_in", now)
    live = lawful if recent is None else lawful & recent
    granted = state == "granted"
    young = _young(here, rules, channel, topic, "granted", now)
    words = here.group_by("customer_id").aggregate(
        granted_at=at.max(where=granted),
        **({} if young is None else {"young_at": at.max(where=granted & young)}),
        refused_at=at.max(where=state.isin(["denied", "withdrawn"])),
        denied_at=at.max(where=state == "denied"),
        soft_at=at.max(where=state == "soft_opt_in"),
        # Few words are of a soft opt-in, and only of those the law is asked.
        soft_live_at=at.max(where=ibis.ifelse(state == "soft_opt_in", live, False)),
        pending_at=at.max(where=state == "pending"),
    )
    return words.mutate(live_at=words.granted_at if young is None else words.young_at)


def _young(
    here: ir.Table, rules: Sequence[ConsentExpiry], channel: str, topic: str, state: str, now: datetime
) -> ir.BooleanValue | None:
    """Whether a word is not too old by any rule that holds for it; None where there is no rule."""
    young: ir.BooleanValue | None = None
    for rule in policies.matching(rules, channel, topic, state):
        old = here.occurred_at <= ibis.timestamp(naive(cutoff(now, rule.months)))
        if rule.country != ALL:
            old &= ibis.coalesce(here.country, "") == rule.country
        young = ~old if young is None else young & ~old
    return young


# -- the same for single customers, from the ledger itself


@dataclass(frozen=True)
class Words:
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
        )
        for number, *words in rows:
            found[number - 1] = ruling(Words(*words), now)
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
