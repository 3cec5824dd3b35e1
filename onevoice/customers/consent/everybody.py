"""The rule of `rule` in the warehouse: who of everybody may be contacted, as segments and journeys ask it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TypeAlias

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from sqlalchemy import Connection

from onevoice.customers.consent import policies, soft_opt_in
from onevoice.customers.consent.policies import ALL, cutoff
from onevoice.customers.consent.rule import CONFIRM_WITHIN
from onevoice.customers.facts import CONSENT_EXPIRIES, CONSENTS
from onevoice.customers.schemas import ConsentExpiry
from onevoice.database import driver
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse

Among: TypeAlias = ir.Table | Collection[int] | None
"""The customers considered: a table with `customer_id`, some ids, or everybody."""


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


def said_since(connection: Connection, since: datetime) -> pa.Table:
    """All words of the identifiers that have said something after `since`; instants as the warehouse has them."""
    with driver(connection) as raw:
        rows = raw.execute(
            """
            SELECT identifier_id, channel, topic, state, occurred_at, country FROM consent_ledger
            WHERE identifier_id IN (SELECT identifier_id FROM consent_ledger WHERE occurred_at > %s)
            """,
            (since,),
        ).fetchall()
    identifiers, channels, topics, states, moments, countries = zip(*rows, strict=True) if rows else ((),) * 6
    return pa.table(
        {
            "identifier_id": pa.array(identifiers, pa.int64()),
            "channel": pa.array(channels, pa.string()),
            "topic": pa.array(topics, pa.string()),
            "state": pa.array(states, pa.string()),
            "occurred_at": pa.array([naive(at) for at in moments], pa.timestamp("us")),
            "country": pa.array(countries, pa.string()),
        }
    )
