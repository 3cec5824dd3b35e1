"""The inbox: the one door by which facts enter, whoever brings them. Written in the bringer's own transaction.

`read` gives the entries after a watermark in an order that never changes; the engine's load takes each into the
warehouse exactly once, by keeping that watermark in the same transaction as the data. A row may hold many facts, one a
line, and is kept packed where it is large: what a busy inbox costs most is writing it to disk.
"""

import sys
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
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    text,
)

from onevoice.database import driver, metadata

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

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
    Column("payload", LargeBinary, nullable=False),  # JSON, one fact a line; see `packed`
    Column("calls", Integer, nullable=False, server_default=text("1")),  # how many facts
    PrimaryKeyConstraint("transaction", "sequence"),
)


class Kind(IntEnum):
    """What an entry's payload is. Each domain that takes a kind describes its shape in `schemas.py`."""

    EVENT = 1  # a tracking call (Segment's spec), the write key's source beside it
    PRODUCT = 2  # a product of the catalogue
    CONSENT = 3  # a row of the consent ledger, written to the ledger in the same transaction
    SUPPRESSION = 4  # a row of the suppression list, likewise
    CONSENT_POLICY = 6  # all rules about a consent's age, in place of those before
    IDENTITY = 7  # a decision about who is who, written to the decisions in the same transaction
    MESSAGE = 5  # something that happened to a message: accepted, delivered, opened, clicked, failed, ...


INTERNAL_SOURCE = 0
"""The source id of what OneVoice itself brings in."""

COPY = "COPY inbox (source_id, kind, received_at, payload, calls) FROM STDIN"

INSERT = "INSERT INTO inbox (source_id, kind, received_at, payload, calls) VALUES (%s, %s, %s, %s, %s)"

PACKED_FROM = 2_000
"""Bytes from which on a payload is packed: PostgreSQL would store it outside of its row."""

READ_BYTES = 32 * 1024 * 1024
"""Bytes of payload, as they are stored, that one reading takes at most, if it is more than one row."""

_READABLE = """(transaction, sequence) > (%s, %s) AND transaction < (
    -- The snapshot's open transactions are those of the whole server; another database's do not write here.
    SELECT coalesce(min(open), pg_snapshot_xmax(pg_current_snapshot()))::text::bigint
    FROM pg_snapshot_xip(pg_current_snapshot()) AS open
    WHERE open::xid NOT IN (
        SELECT backend_xid FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND datname <> current_database()))"""

_WAITS = f"SELECT EXISTS (SELECT 1 FROM inbox WHERE {_READABLE})"  # noqa: S608  # made of constants

_ZSTD = b"\x28\xb5\x2f\xfd"  # how such a frame begins (RFC 8878); JSON does not


@dataclass(frozen=True)
class Entry:
    """Facts of one kind that came together; `payload` is JSON in UTF-8, a fact a line."""

    source_id: int
    kind: Kind
    received_at: datetime
    payload: bytes
    calls: int = 1


def packed(payload: bytes) -> bytes:
    """The payload as it is stored."""
    return zstd.compress(payload, 1) if len(payload) >= PACKED_FROM else payload


def unpacked(payload: bytes) -> bytes:
    """A stored payload as it was."""
    return zstd.decompress(payload) if payload.startswith(_ZSTD) else payload


def append(connection: Connection, entries: Iterable[Entry]) -> None:
    """Writes entries within the connection's transaction; they count once it commits. Events come by events/door.py."""
    rows = [(one.source_id, one.kind.value, one.received_at, packed(one.payload), one.calls) for one in entries]
    with driver(connection) as raw:
        if len(rows) == 1:
            raw.execute(INSERT, rows[0])
        elif rows:
            with raw.cursor().copy(COPY) as copy:
                for row in rows:
                    copy.write_row(row)


def read(connection: Connection, after: tuple[int, int], limit: int) -> list[tuple[int, int, Entry]]:
    """Up to `limit` facts (but at least a row) after the watermark `after`, each row with its (transaction, sequence).

    They come in that order. Stops below the oldest open transaction, whose entries may still turn up before what is
    visible now. (A transaction whose database cannot be seen counts as one of ours: that delays, and loses nothing.)
    """
    with driver(connection) as raw:
        rows = raw.execute(
            f"""
            SELECT transaction, sequence, source_id, kind, received_at, payload, calls FROM (
                SELECT *, sum(calls) OVER before AS calls_before, sum(octet_length(payload)) OVER before AS bytes_before
                FROM (
                    SELECT * FROM inbox
                    WHERE {_READABLE}
                    ORDER BY transaction, sequence LIMIT %s
                ) AS next
                WINDOW before AS (
                    ORDER BY transaction, sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
            ) AS counted
            WHERE calls_before IS NULL OR calls_before < %s AND bytes_before < %s
            ORDER BY transaction, sequence
            """,  # noqa: S608  # made of constants
            (*after, limit, limit, READ_BYTES),
            binary=True,
        )
        return [(row[0], row[1], Entry(row[2], Kind(row[3]), row[4], unpacked(row[5]), row[6])) for row in rows]


def is_waiting(connection: Connection, after: tuple[int, int]) -> bool:
    """Whether `read` would give anything; cheap enough to ask many times a second."""
    with driver(connection) as raw:
        row = raw.execute(_WAITS, after).fetchone()
        assert row is not None
        return bool(row[0])


def prune(connection: Connection, up_to: tuple[int, int]) -> None:
    """Removes the entries up to the watermark, which the warehouse holds durably."""
    with driver(connection) as raw:
        raw.execute("DELETE FROM inbox WHERE (transaction, sequence) <= (%s, %s)", up_to)


def remove(connection: Connection, transaction: int, sequence: int) -> None:
    """Takes one entry out."""
    connection.execute(inbox.delete().where(inbox.c.transaction == transaction, inbox.c.sequence == sequence))


def replace(connection: Connection, transaction: int, sequence: int, payload: bytes, calls: int) -> None:
    """Writes other facts into an entry, in its place."""
    where = (inbox.c.transaction == transaction, inbox.c.sequence == sequence)
    connection.execute(inbox.update().where(*where).values(payload=packed(payload), calls=calls))
