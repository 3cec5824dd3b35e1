"""The quarantine: what could not be taken, as it came, with the reason. Nothing acknowledged is thrown away."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from onevoice.database import driver
from onevoice.database.inbox import Kind
from onevoice.events.models import quarantine as table

INSERT = (
    "INSERT INTO quarantine (received_at, source_id, kind, reason, detail, payload) VALUES (%s, %s, %s, %s, %s, %s)"
)


@dataclass(frozen=True)
class Refused:
    """A call, or another entry of the inbox, that could not be taken."""

    source_id: int
    received_at: datetime
    reason: str  # a code of tracking.REASONS, or `load`
    detail: str  # a sentence
    payload: bytes
    kind: Kind = Kind.EVENT


def values(one: Refused) -> tuple[Any, ...]:
    """What `INSERT` takes."""
    return (one.received_at, one.source_id, one.kind.value, one.reason, one.detail, one.payload)


def add(connection: Connection, refused: Iterable[Refused]) -> None:
    """Keeps refused calls."""
    with driver(connection) as raw, raw.cursor() as cursor:
        cursor.executemany(INSERT, [values(one) for one in refused])


def listed(connection: Connection, limit: int = 100) -> list[dict[str, Any]]:
    """The newest ones; payloads as text."""
    rows = connection.execute(select(table).order_by(table.c.id.desc()).limit(limit))
    return [{**row._mapping, "payload": row.payload.decode("utf-8", "replace")} for row in rows]
