"""The consent ledger: every grant, denial and withdrawal with its proof, appended and never changed.

The database itself refuses to change a row, and to delete one except within an erasure (migration 0005). The text that
was shown is kept once per wording and locale, and named by its hash; it outlives the rows that name it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from sqlalchemy import Connection

from onevoice.customers.consent import soft_opt_in
from onevoice.customers.schemas import ConsentEntry
from onevoice.database import driver, inbox
from onevoice.database.inbox import INTERNAL_SOURCE, Entry, Kind
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.ids import fact_id

STATES = ("granted", "denied", "withdrawn", "soft_opt_in", "pending")
"""What can be written. `expired` is not written: it is what `rule` finds a grant to be when it has grown too old."""

ORIGINS = (
    "form",
    "till",
    "phone",
    "agent",
    "import",
    "webhook",
    "api",
    "preference_page",
    "double_opt_in",
    "one_click",
    "link",
    "reply",
    "complaint",
)
"""How a word reached us."""


@dataclass(frozen=True)
class Consent:
    """One word of a customer about being contacted. Namespace and value where the identifier may not be known yet."""

    identifier_id: int
    channel: str  # or * for all
    topic: str  # or * for all
    state: str  # one of STATES
    occurred_at: datetime
    origin: str  # one of ORIGINS
    evidence: Mapping[str, Any] = field(default_factory=dict)  # ip, user agent, page, message, double opt-in, order
    namespace: str = ""
    value: str = ""
    text: str = ""  # the very words that were shown
    locale: str = ""  # the language of the text
    actor: str = "customer"  # who wrote it down: customer, system, or agent:NAME
    country: str = ""  # ISO 3166 alpha-2, whose law counts; empty where it is not known

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

    @property
    def text_hash(self) -> bytes | None:
        """16 bytes that stand for the text in its language; None where no text was shown."""
        if not self.text:
            return None
        return blake2b(f"{self.locale}\x1f{self.text}".encode(), digest_size=16).digest()


def record(connection: Connection, consents: Iterable[Consent], now: datetime, source_id: int = INTERNAL_SOURCE) -> int:
    """Appends to the ledger and the inbox, in the connection's transaction; returns how many were new.

    Raises InvalidInput for a state that is none, and for a soft opt-in that lacks what the law asks for.
    """
    by_id: dict[UUID, Consent] = {}
    for consent in consents:
        if consent.state not in STATES:
            raise InvalidInput(f"A consent's state is {consent.state!r}; use one of {', '.join(STATES)}")
        if consent.state == "soft_opt_in":
            soft_opt_in.check(consent.country, consent.channel, consent.evidence)
        by_id[consent.id] = consent
    if not by_id:
        return 0
    rows = list(by_id.values())
    _keep_texts(connection, rows, now)
    with driver(connection) as raw:
        inserted = raw.execute(
            """
            INSERT INTO consent_ledger
                (id, identifier_id, channel, topic, state, occurred_at, recorded_at, origin, evidence, text_hash, actor,
                 country)
            SELECT id, identifier_id, channel, topic, state, occurred_at, %s, origin, evidence, text_hash, actor,
                   country
            FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[],
                        %s::jsonb[], %s::bytea[], %s::text[], %s::text[])
                AS new (id, identifier_id, channel, topic, state, occurred_at, origin, evidence, text_hash, actor,
                        country)
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
                [row.text_hash for row in rows],
                [row.actor for row in rows],
                [row.country.upper() for row in rows],
            ),
        ).fetchall()
    inbox.append(connection, (Entry(source_id, Kind.CONSENT, now, _payload(by_id[new_id])) for (new_id,) in inserted))
    return len(inserted)


def history(connection: Connection, identifier_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Every word under these identifiers with its text and proof, the newest first."""
    with driver(connection) as raw, raw.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """
            SELECT ledger.id::text, identifier_id, channel, topic, state, occurred_at, recorded_at, origin, actor,
                   country, evidence, wording.text, wording.locale
            FROM consent_ledger ledger LEFT JOIN consent_text wording ON wording.hash = ledger.text_hash
            WHERE identifier_id = ANY(%s) ORDER BY occurred_at DESC, recorded_at DESC, ledger.id
            """,
            (list(identifier_ids),),
        ).fetchall()


def one(connection: Connection, consent_id: UUID) -> dict[str, Any] | None:
    """One row of the ledger with its text; None where there is none."""
    with driver(connection) as raw, raw.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT ledger.*, wording.text, wording.locale FROM consent_ledger ledger "
            "LEFT JOIN consent_text wording ON wording.hash = ledger.text_hash WHERE id = %s",
            (consent_id,),
        ).fetchone()


def erase(connection: Connection, identifier_ids: Sequence[int]) -> int:
    """Deletes a person's words, the only way the database allows; returns how many rows went.

    Texts stay: they are ours and hold nothing personal. Put the addresses on the suppression list first.
    """
    with driver(connection) as raw:
        raw.execute("SET LOCAL onevoice.erasure = 'on'")
        gone = raw.execute("DELETE FROM consent_ledger WHERE identifier_id = ANY(%s)", (list(identifier_ids),)).rowcount
        raw.execute("SET LOCAL onevoice.erasure = 'off'")
    return gone


def _keep_texts(connection: Connection, rows: Sequence[Consent], now: datetime) -> None:
    texts = {row.text_hash: row for row in rows if row.text}
    if not texts:
        return
    with driver(connection) as raw:
        raw.execute(
            "INSERT INTO consent_text SELECT hash, locale, text, %s "
            "FROM unnest(%s::bytea[], %s::text[], %s::text[]) AS new (hash, locale, text) ON CONFLICT DO NOTHING",
            (now, list(texts), [row.locale for row in texts.values()], [row.text for row in texts.values()]),
        )


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
            country=consent.country.upper(),
        )
    )
