"""Messages in doubt: cut off while they were being sent, so that nobody knows whether they went out.

They are listed, looked up at a provider that can tell, and settled by a person where none can. Meanwhile a journey
takes them for sent: better never than twice.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy import Connection, Engine

from onevoice.channels.adapter import MessageNews, Outcome, Status
from onevoice.database import driver, inbox
from onevoice.delivery.queue import LEASED, Leased, Settlement
from onevoice.delivery.settlement import entries, news

FIRST_ASKED = timedelta(seconds=30)
"""A provider is asked about a message so long after the attempt, then again after ever longer pauses."""

LAST_ASKED = timedelta(days=1)
AT_ONCE = 50
LOOK_SECONDS = 5.0
"""How often it is looked up which messages are in doubt."""


@dataclass(frozen=True)
class Doubt:
    """A message in doubt, as it is listed."""

    id: UUID
    journey: str
    step: str
    channel: str
    provider: str
    identifier_id: int
    address: str
    attempts: int
    attempted_at: datetime
    error_code: str
    error: str


@dataclass(frozen=True)
class Asked:
    """A message to ask its provider about."""

    message: Leased
    attempted_at: datetime


class Watch:
    """Settles doubt by what providers tell: a message of which there is news, they have.

    Which are in doubt is looked up now and then, not for each call of a provider.
    """

    def __init__(self, pool: Engine) -> None:
        self._pool = pool
        self._doubtful: frozenset[str] = frozenset()
        self._looked_at = float("-inf")

    def heard(self, told: Iterable[MessageNews], now: datetime) -> None:
        """Takes note that there is news of these messages; what is told of a try before ends no doubt."""
        if time.monotonic() - self._looked_at > LOOK_SECONDS:
            self._looked_at = time.monotonic()
            with self._pool.connect() as connection, driver(connection) as raw:
                rows = raw.execute("SELECT id::text FROM message WHERE state = 'in_doubt'").fetchall()
            self._doubtful = frozenset(row[0] for row in rows)
        known = {one.message_id: one.provider_id for one in told if one.message_id in self._doubtful}
        if known:
            with self._pool.begin() as connection, driver(connection) as raw:
                raw.execute(
                    """
                    UPDATE message SET state = 'accepted', error_code = NULL, error = NULL, settled_at = %s,
                        provider_id = nullif(told.provider_id, '')
                    FROM unnest(%s::uuid[], %s::text[]) AS told (id, provider_id)
                    WHERE message.id = told.id AND state = 'in_doubt'
                      AND (told.provider_id = '' OR told.provider_id IS DISTINCT FROM message.provider_id)
                    """,
                    (now, list(known), list(known.values())),
                )


def listed(connection: Connection, limit: int, journey: str = "") -> list[Doubt]:
    """Those in doubt, the oldest attempt first."""
    with driver(connection) as raw, raw.cursor(row_factory=class_row(Doubt)) as cursor:
        return cursor.execute(
            """
            SELECT id, journey, step, channel, coalesce(via, '') AS provider, identifier_id, address, attempts,
                   attempted_at, coalesce(error_code, '') AS error_code, coalesce(error, '') AS error
            FROM message WHERE state = 'in_doubt' AND (%(journey)s = '' OR journey = %(journey)s)
            ORDER BY attempted_at LIMIT %(limit)s
            """,
            {"journey": journey, "limit": limit},
        ).fetchall()


def resolve(connection: Connection, ids: Sequence[UUID], *, sent: bool, by: str, now: datetime) -> list[UUID]:
    """A person's word on messages in doubt: they were sent, or they were not and go out again.

    Returns those that were in doubt; of the others nothing is changed.
    """
    state = "accepted" if sent else "queued"
    with driver(connection) as raw:
        rows = raw.execute(
            """
            UPDATE message SET state = %(state)s, error_code = NULL, error = %(word)s, worker = NULL,
                not_before = CASE %(state)s WHEN 'queued' THEN %(now)s ELSE not_before END,
                settled_at = CASE %(state)s WHEN 'queued' THEN NULL ELSE %(now)s END
            WHERE id = ANY(%(ids)s) AND state = 'in_doubt' RETURNING id, attempts
            """,
            {
                "state": state,
                "now": now,
                "ids": list(ids),
                "word": f"{'sent' if sent else 'not sent'}, says {by}",
            },
        ).fetchall()
    _tell(connection, [Settlement(row[0], row[1], state) for row in rows], now)
    return [row[0] for row in rows]


def to_ask(connection: Connection, providers: Sequence[str], now: datetime) -> list[Asked]:
    """Some of the messages that these providers should be asked about now; no other worker gets them meanwhile."""
    with driver(connection) as raw:
        rows = raw.execute(
            f"""
            UPDATE message SET reconcile_at = %(now)s + greatest(%(first)s, %(now)s - attempted_at)
            WHERE id IN (
                SELECT id FROM message WHERE state = 'in_doubt' AND via = ANY(%(providers)s)
                  AND coalesce(reconcile_at, attempted_at + %(first)s) <= %(now)s AND attempted_at > %(since)s
                ORDER BY attempted_at LIMIT %(most)s FOR UPDATE SKIP LOCKED
            )
            RETURNING {LEASED}, attempted_at
            """,  # noqa: S608 - names of this package
            {
                "now": now,
                "first": FIRST_ASKED,
                "since": now - LAST_ASKED,
                "providers": list(providers),
                "most": AT_ONCE,
            },
        ).fetchall()
    return [Asked(Leased(*row[:-1]), row[-1]) for row in rows]


def settle(connection: Connection, answers: Sequence[tuple[Leased, Outcome]], now: datetime) -> int:
    """Writes down what providers knew: sent, surely not sent (it goes out again), failed. Returns how many."""
    states = {Status.ACCEPTED: "accepted", Status.RETRY: "queued", Status.FAILED: "failed"}
    known = [
        Settlement(
            message.id,
            message.attempts,
            states[outcome.status],
            provider_id=outcome.provider_id,
            error_code=outcome.error_code,
            error=outcome.error,
        )
        for message, outcome in answers
        if outcome.status in states
    ]
    with driver(connection) as raw:
        rows = raw.execute(
            """
            UPDATE message SET state = told.state,
                provider_id = CASE told.state WHEN 'queued' THEN message.provider_id
                              ELSE nullif(told.provider_id, '') END,
                error_code = nullif(told.code, ''), error = nullif(told.error, ''), worker = NULL,
                settled_at = CASE told.state WHEN 'queued' THEN NULL ELSE %(now)s::timestamptz END
            FROM unnest(%(ids)s::uuid[], %(attempts)s::smallint[], %(states)s::text[], %(provider_ids)s::text[],
                        %(codes)s::text[], %(errors)s::text[]) AS told (id, attempts, state, provider_id, code, error)
            WHERE message.id = told.id AND message.attempts = told.attempts AND message.state = 'in_doubt'
            RETURNING message.id
            """,
            {
                "now": now,
                "ids": [row.id for row in known],
                "attempts": [row.attempts for row in known],
                "states": [row.state for row in known],
                "provider_ids": [row.provider_id for row in known],
                "codes": [row.error_code for row in known],
                "errors": [row.error for row in known],
            },
        ).fetchall()
    mine = {row[0] for row in rows}
    _tell(connection, [row for row in known if row.id in mine], now)
    return len(mine)


def _tell(connection: Connection, settled: Sequence[Settlement], now: datetime) -> None:
    told = (news(one, now, delivered=False) for one in settled)
    inbox.append(connection, entries(told, now))
