"""The consent ledger: every grant, denial and withdrawal with its proof, appended and never changed.

The newest word counts, over all identifiers of a customer; at one instant a refusal wins. `*` as channel or topic
stands for all of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb
from sqlalchemy import Connection

from onevoice.customers.schemas import ConsentEntry
from onevoice.database import driver, inbox
from onevoice.database.inbox import INTERNAL_SOURCE, Entry, Kind
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.ids import fact_id

STATES = ("granted", "denied", "withdrawn")


@dataclass(frozen=True)
class Consent:
    """One word of a customer about being contacted. Namespace and value where the identifier may not be known yet."""

    identifier_id: int
    channel: str
    topic: str
    state: str  # one of STATES
    occurred_at: datetime
    origin: str  # import, form, one_click, link, webhook, agent
    evidence: Mapping[str, Any] = field(default_factory=dict)  # the text shown, its locale, user agent, message, ...
    namespace: str = ""
    value: str = ""

    @property
    def id(self) -> UUID:
        """The same word told twice is one row."""
        return fact_id(
            "consent",
            self.identifier_id,
            self.channel,
            self.topic,
            self.state,
            self.occurred_at.isoformat(),
            self.origin,
        )


def record(connection: Connection, consents: Iterable[Consent], now: datetime, source_id: int = INTERNAL_SOURCE) -> int:
    """Appends to the ledger and the inbox, in the connection's transaction; returns how many were new.

    Raises InvalidInput for a state that is none.
    """
    by_id: dict[UUID, Consent] = {}
    for consent in consents:
        if consent.state not in STATES:
            raise InvalidInput(f"A consent's state is {consent.state!r}; use one of {', '.join(STATES)}")
        by_id[consent.id] = consent
    if not by_id:
        return 0
    rows = list(by_id.values())
    with driver(connection) as raw:
        inserted = raw.execute(
            """
            INSERT INTO consent_ledger
                (id, identifier_id, channel, topic, state, occurred_at, recorded_at, origin, evidence)
            SELECT id, identifier_id, channel, topic, state, occurred_at, %s, origin, evidence
            FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[],
                        %s::jsonb[])
                AS new (id, identifier_id, channel, topic, state, occurred_at, origin, evidence)
            ON CONFLICT DO NOTHING RETURNING id
            """,
            (
                now,
                list(by_id),
                [row.identifier_id for row in rows],
                [row.channel for row in rows],
                [row.topic for row in rows],
                [row.state for row in rows],
                [row.occurred_at for row in rows],
                [row.origin for row in rows],
                [Jsonb(dict(row.evidence)) for row in rows],
            ),
        ).fetchall()
    inbox.append(connection, (Entry(source_id, Kind.CONSENT, now, _payload(by_id[new_id])) for (new_id,) in inserted))
    return len(inserted)


def newest(connection: Connection, asked: Sequence[tuple[int, str, str]]) -> list[str]:
    """The newest state per (identifier, channel, topic), over all identifiers of its customer; empty for silence."""
    states = [""] * len(asked)
    with driver(connection) as raw:
        rows = raw.execute(
            """
            SELECT DISTINCT ON (asked.n) asked.n, ledger.state
            FROM unnest(%s::bigint[], %s::text[], %s::text[])
                WITH ORDINALITY AS asked (identifier_id, channel, topic, n)
            LEFT JOIN identifier own ON own.identifier_id = asked.identifier_id
            LEFT JOIN identifier peer ON peer.customer_id = own.customer_id
            JOIN consent_ledger ledger
              ON ledger.identifier_id = coalesce(peer.identifier_id, asked.identifier_id)
             AND ledger.channel IN (asked.channel, '*') AND ledger.topic IN (asked.topic, '*')
            ORDER BY asked.n, ledger.occurred_at DESC, ledger.state = 'granted'
            """,
            ([row[0] for row in asked], [row[1] for row in asked], [row[2] for row in asked]),
        )
        for number, state in rows:
            states[number - 1] = state
    return states


def _payload(consent: Consent) -> bytes:
    return msgspec.json.encode(
        ConsentEntry(
            identifier_id=consent.identifier_id,
            channel=consent.channel,
            topic=consent.topic,
            state=consent.state,
            occurred_at=consent.occurred_at,
            namespace=consent.namespace,
            value=consent.value,
        )
    )
