"""The suppression list: addresses never to be contacted on a channel again.

Kept as salted hashes, so that it survives erasure. Whoever puts an address on the list or takes it off is recorded.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec
from psycopg.rows import dict_row
from sqlalchemy import Connection

from onevoice.customers.schemas import SuppressionEntry
from onevoice.database import driver, inbox
from onevoice.database.arrays import array
from onevoice.database.inbox import INTERNAL_SOURCE, Entry, Kind
from onevoice.kernel.errors import InvalidInput

REASONS = {
    "bounced": "the provider said that the address does not exist",
    "complained": "the recipient reported our message as unwanted",
    "unsubscribed": "the recipient wants no offers there; receipts still go",
    "erased": "the person was erased; the hash keeps the address from being written to again",
    "manual": "somebody of the shop put it there",
    "imported": "it came with a list from another system",
}
"""Why an address can be on the list."""

DEAD_REASONS = ("bounced", "complained", "manual", "imported")
"""Reasons that stop transactional messages too; who unsubscribed from offers still gets the receipt."""


@dataclass(frozen=True)
class Suppressed:
    """An address to put on the list, and why: one of REASONS."""

    channel: str
    address: str
    reason: str
    occurred_at: datetime


def address_hash(secret: bytes, channel: str, address: str) -> bytes:
    """16 bytes that stand for an address on a channel, salted with the installation's secret; case does not count."""
    return blake2b(f"{channel}\x1f{address.lower()}".encode(), digest_size=16, key=secret).digest()


def suppress(
    connection: Connection, secret: bytes, addresses: Iterable[Suppressed], now: datetime, actor: str = "system"
) -> int:
    """Puts addresses on the list and their facts into the inbox, in one transaction; returns how many are new.

    An address that is listed keeps its first reason. Raises InvalidInput for a reason that is none.
    """
    by_hash: dict[tuple[str, bytes], Suppressed] = {}
    for row in addresses:
        if row.reason not in REASONS:
            raise InvalidInput(f"{row.reason!r} is no reason to suppress; use one of {', '.join(REASONS)}")
        by_hash.setdefault((row.channel, address_hash(secret, row.channel, row.address)), row)
    if not by_hash:
        return 0
    rows = list(by_hash.values())
    with driver(connection) as raw:
        new = raw.execute(
            """
            WITH listed AS (
                INSERT INTO suppression
                SELECT * FROM unnest(%s::text[], %s::bytea[], %s::text[], %s::timestamptz[])
                ON CONFLICT DO NOTHING RETURNING channel, address_hash, reason
            ), noted AS (
                INSERT INTO suppression_change (channel, address_hash, added, reason, actor, changed_at)
                SELECT channel, address_hash, true, reason, %s, %s FROM listed
            )
            SELECT channel, address_hash FROM listed
            """,
            (
                [channel for channel, _ in by_hash],
                [hashed for _, hashed in by_hash],
                [row.reason for row in rows],
                [row.occurred_at for row in rows],
                actor,
                now,
            ),
        ).fetchall()
    facts = (
        SuppressionEntry(channel, hashed.hex(), row.reason, row.occurred_at)
        for channel, hashed in new
        for row in (by_hash[channel, bytes(hashed)],)
    )
    inbox.append(connection, (_entry(fact, now) for fact in facts))
    return len(new)


def release(
    connection: Connection, secret: bytes, channel: str, address: str, reason: str, now: datetime, actor: str
) -> bool:
    """Takes an address off the list; `reason` says why, in words, and is kept. False where it was not listed."""
    if not reason.strip():
        raise InvalidInput("Say why the address may be written to again; the reason is kept")
    hashed = address_hash(secret, channel, address)
    with driver(connection) as raw:
        gone = raw.execute("DELETE FROM suppression WHERE channel = %s AND address_hash = %s", (channel, hashed))
        if not gone.rowcount:
            return False
        raw.execute(
            "INSERT INTO suppression_change (channel, address_hash, added, reason, actor, changed_at) "
            "VALUES (%s, %s, false, %s, %s, %s)",
            (channel, hashed, reason, actor, now),
        )
    fact = SuppressionEntry(channel, hashed.hex(), reason, now, removed=True)
    inbox.append(connection, [_entry(fact, now)])
    return True


def reasons(connection: Connection, hashes: Iterable[tuple[str, bytes]]) -> dict[tuple[str, bytes], str]:
    """Which of the (channel, address hash) pairs are listed, and why."""
    asked = list(hashes)
    with driver(connection) as raw:
        rows = raw.execute(
            """
            SELECT listed.* FROM unnest(%s::text[], %s::text[]) AS asked (channel, hash)
            CROSS JOIN LATERAL (  -- OFFSET 0 keeps PostgreSQL from reading the whole list for a few
                SELECT channel, address_hash, reason FROM suppression
                WHERE channel = asked.channel AND address_hash = decode(hash, 'hex') OFFSET 0
            ) AS listed
            """,
            (array([channel for channel, _ in asked]), array([hashed.hex() for _, hashed in asked])),
        )
        return {(channel, bytes(hashed)): reason for channel, hashed, reason in rows}


def changes(connection: Connection, secret: bytes, channel: str, address: str) -> list[dict[str, Any]]:
    """When, why and by whom the address was put on the list and taken off, the newest first."""
    with driver(connection) as raw, raw.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT added, reason, actor, changed_at FROM suppression_change "
            "WHERE channel = %s AND address_hash = %s ORDER BY id DESC",
            (channel, address_hash(secret, channel, address)),
        ).fetchall()


def counts(connection: Connection) -> list[dict[str, Any]]:
    """How many addresses are listed, by channel and reason."""
    with driver(connection) as raw, raw.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT channel, reason, count(*) AS addresses FROM suppression GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()


def _entry(fact: SuppressionEntry, now: datetime) -> Entry:
    return Entry(INTERNAL_SOURCE, Kind.SUPPRESSION, now, msgspec.json.encode(fact))
