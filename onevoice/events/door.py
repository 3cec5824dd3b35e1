"""The door: every event comes in here, whoever brings it, and each only once in thirty days.

An event is known by its source and message id. Which were seen is kept in PostgreSQL and written in the transaction
that writes the inbox, so it is exact: across restarts, several processes, and the same batch fifty times at once. Two
tables take turns of thirty days; the older is emptied whole, which costs nothing. Why so: docs/decisions/0006.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import Connection, text

from onevoice.database import driver, inbox
from onevoice.database.inbox import Entry, Kind

WINDOW = timedelta(days=30)
"""A message id is recognised for so long after it was first seen, and for at most twice as long."""

ADMIT = "SELECT admit(%b)"
"""Takes `Keys`; gives those that were held already."""

CALLS_IN_A_ROW = 500
"""Calls that lie in one row of the inbox, at most, of those that come without a request of their own."""

_UUID, _UUIDS = 2950, 2951  # PostgreSQL's type numbers
_ARRAY = struct.Struct(">iiIii")  # dimensions, nulls, the elements' type, how many, the first's number


class Keys(list[bytes]):
    """Keys as a parameter of a statement; they cross as they are, 16 bytes each."""


class _KeysDumper(Dumper):
    format = Format.BINARY
    oid = _UUIDS

    def dump(self, obj: Keys) -> bytes:
        return _ARRAY.pack(1, 0, _UUID, len(obj), 1) + b"".join([b"\0\0\0\x10" + key for key in obj])


psycopg.adapters.register_dumper(Keys, _KeysDumper)


def key(source_id: int, message_id: str) -> bytes:
    """What an event is known by: `fact_id("event", source_id, message_id)`, made faster."""
    return blake2b(f"event\x1f{source_id}\x1f{message_id}".encode(), digest_size=16).digest()


def enter(connection: Connection, source_id: int, received_at: datetime, calls: Sequence[tuple[str, bytes]]) -> int:
    """Writes calls (message id, vocabulary.EventEntry as JSON) to the inbox, those that are new; returns how many.

    They count once the connection's transaction commits. Once in a transaction: see `admit` in the database.
    """
    fresh: dict[bytes, bytes] = {}
    for message_id, payload in calls:
        fresh.setdefault(key(source_id, message_id), payload)
    return enter_lines(connection, source_id, received_at, {one: line(payload) for one, payload in fresh.items()})


def enter_lines(connection: Connection, source_id: int, received_at: datetime, lines: Mapping[bytes, bytes]) -> int:
    """The same for lines (`line`) by their keys (`key`)."""
    if not lines:
        return 0
    fresh = dict(lines)
    with driver(connection) as raw:
        for held in held_of(raw.execute(ADMIT, [Keys(fresh)], binary=True).fetchone()):
            del fresh[held]
    inbox.append(connection, rows(source_id, received_at, list(fresh.values())))
    return len(fresh)


def held_of(row: tuple[Any, ...] | None) -> list[bytes]:
    """The keys in the answer to `ADMIT`."""
    assert row is not None
    return [one.bytes for one in row[0]]


def line(payload: bytes) -> bytes:
    """An entry's JSON in one line; a line break in JSON is only ever white space."""
    return payload.replace(b"\n", b" ") if b"\n" in payload else payload


def rows(source_id: int, received_at: datetime, lines: Sequence[bytes]) -> Iterator[Entry]:
    """Lines as entries of the inbox, many in each."""
    for start in range(0, len(lines), CALLS_IN_A_ROW):
        some = lines[start : start + CALLS_IN_A_ROW]
        yield Entry(source_id, Kind.EVENT, received_at, b"\n".join(some), len(some))


def forget(connection: Connection, now: datetime) -> bool:
    """Changes generations where the newer is thirty days old: empties the older, which becomes the newer."""
    current, since = connection.execute(text("SELECT current, since FROM seen_generation")).one()
    if since is not None and now - since < WINDOW:
        return False
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('onevoice.seen'))"))
    current, since = connection.execute(text("SELECT current, since FROM seen_generation")).one()
    if since is None:
        connection.execute(text("UPDATE seen_generation SET since = :now"), {"now": now})
        return False
    if now - since < WINDOW:  # another process was faster
        return False
    connection.execute(text(f"TRUNCATE seen_{3 - current}"))
    connection.execute(text("UPDATE seen_generation SET current = 3 - current, since = :now"), {"now": now})
    return True
