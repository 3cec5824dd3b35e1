"""The suppression list: addresses never to be contacted on a channel again.

Kept as salted hashes, so that it survives erasure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

import msgspec
from sqlalchemy import Connection

from onevoice.customers.schemas import SuppressionEntry
from onevoice.database import driver, inbox
from onevoice.database.inbox import INTERNAL_SOURCE, Entry, Kind

DEAD_REASONS = ("bounced", "complained", "manual")
"""Reasons that stop transactional messages too; who unsubscribed from offers still gets the receipt."""


@dataclass(frozen=True)
class Suppressed:
    """An address to put on the list, and why: bounced, complained, unsubscribed or manual."""

    channel: str
    address: str
    reason: str
    occurred_at: datetime


def address_hash(secret: bytes, channel: str, address: str) -> bytes:
    """16 bytes that stand for an address on a channel, salted with the installation's secret; case does not count."""
    return blake2b(f"{channel}\x1f{address.lower()}".encode(), digest_size=16, key=secret).digest()


def suppress(connection: Connection, secret: bytes, addresses: Iterable[Suppressed], now: datetime) -> int:
    """Puts addresses on the list and their facts into the inbox, in one transaction; returns how many are new.

    An address that is listed keeps its first reason.
    """
    entries = []
    for row in addresses:
        hashed = address_hash(secret, row.channel, row.address)
        with driver(connection) as raw:
            new = raw.execute(
                "INSERT INTO suppression VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (row.channel, hashed, row.reason, row.occurred_at),
            ).rowcount
        if new:
            fact = SuppressionEntry(row.channel, hashed.hex(), row.reason, row.occurred_at)
            entries.append(Entry(INTERNAL_SOURCE, Kind.SUPPRESSION, now, msgspec.json.encode(fact)))
    if entries:
        inbox.append(connection, entries)
    return len(entries)


def reasons(connection: Connection, hashes: Iterable[tuple[str, bytes]]) -> dict[tuple[str, bytes], str]:
    """Which of the (channel, address hash) pairs are listed, and why."""
    asked = list(hashes)
    with driver(connection) as raw:
        rows = raw.execute(
            "SELECT channel, address_hash, reason FROM suppression "
            "JOIN unnest(%s::text[], %s::bytea[]) AS asked (channel, address_hash) USING (channel, address_hash)",
            ([channel for channel, _ in asked], [hashed for _, hashed in asked]),
        )
        return {(channel, bytes(hashed)): reason for channel, hashed, reason in rows}
