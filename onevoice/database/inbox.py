"""The inbox: the one door by which facts enter, whoever brings them. Written in the bringer's own transaction.

`read` gives the entries after a watermark in an order that never changes; the engine's load takes each into the
warehouse exactly once, by keeping that watermark in the same transaction as the data.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Identity,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    text,
)

from onevoice.database import driver, metadata

inbox = Table(
    "inbox",
    # A log, read in the order (transaction, sequence) and only below the oldest open transaction, because a sequence
    # number is taken before its transaction commits. Rows are removed once the warehouse's watermark has passed them.
    metadata,
    Column("transaction", BigInteger, nullable=False, server_default=text("(pg_current_xact_id()::text)::bigint")),
    Column("sequence", BigInteger, Identity(always=True, cache=100), nullable=False),
    Column("source_id", SmallInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),  # see inbox.py
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("payload", LargeBinary, nullable=False),  # JSON
    PrimaryKeyConstraint("transaction", "sequence"),
)


class Kind(IntEnum):
    """What an entry's payload is. Each domain that takes a kind describes its shape in `schemas.py`."""

    EVENT = 1  # a tracking call (Segment's spec), the write key's source beside it
    PRODUCT = 2  # a product of the catalogue
    CONSENT = 3  # a row of the consent ledger, written to the ledger in the same transaction
    SUPPRESSION = 4  # a row of the suppression list, likewise
    IDENTITY = 7  # a decision about who is who, written to the decisions in the same transaction
    MESSAGE = 5  # something that happened to a message: accepted, delivered, opened, clicked, failed, ...


INTERNAL_SOURCE = 0
"""The source id of what OneVoice itself brings in."""

COPY = "COPY inbox (source_id, kind, received_at, payload) FROM STDIN"


@dataclass(frozen=True)
class Entry:
    """One fact on its way in; `payload` is JSON in UTF-8."""

    source_id: int
    kind: Kind
    received_at: datetime
    payload: bytes


def append(connection: Connection, entries: Iterable[Entry]) -> None:
    """Writes entries within the connection's transaction; they count once it commits."""
    with driver(connection) as raw, raw.cursor().copy(COPY) as copy:
        for entry in entries:
            copy.write_row((entry.source_id, entry.kind.value, entry.received_at, entry.payload))


def read(connection: Connection, after: tuple[int, int], limit: int) -> list[tuple[int, int, Entry]]:
    """Up to `limit` entries after the watermark `after`, each with its (transaction, sequence), in that order.

    Stops below the oldest open transaction, whose entries may still turn up before what is visible now. (A transaction
    whose database cannot be seen counts as one of ours: that delays, and loses nothing.)
    """
    with driver(connection) as raw:
        rows = raw.execute(
            """
            SELECT transaction, sequence, source_id, kind, received_at, payload FROM inbox
            WHERE (transaction, sequence) > (%s, %s) AND transaction < (
                -- The snapshot's open transactions are those of the whole server; another database's do not write here.
                SELECT coalesce(min(open), pg_snapshot_xmax(pg_current_snapshot()))::text::bigint
                FROM pg_snapshot_xip(pg_current_snapshot()) AS open
                WHERE open::xid NOT IN (
                    SELECT backend_xid FROM pg_stat_activity
                    WHERE backend_xid IS NOT NULL AND datname <> current_database()))
            ORDER BY transaction, sequence LIMIT %s
            """,
            (*after, limit),
            binary=True,
        )
        return [(row[0], row[1], Entry(row[2], Kind(row[3]), row[4], row[5])) for row in rows]


def prune(connection: Connection, up_to: tuple[int, int]) -> None:
    """Removes the entries up to the watermark, which the warehouse holds durably."""
    with driver(connection) as raw:
        raw.execute("DELETE FROM inbox WHERE (transaction, sequence) <= (%s, %s)", up_to)


def remove(connection: Connection, transaction: int, sequence: int) -> None:
    """Takes one entry out."""
    connection.execute(inbox.delete().where(inbox.c.transaction == transaction, inbox.c.sequence == sequence))
