"""The quarantine: what could not be taken, as it came, with the reason. Nothing acknowledged is thrown away."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from onevoice.database.inbox import Kind
from onevoice.events.models import quarantine as table


@dataclass(frozen=True)
class Refused:
    """A call, or another entry of the inbox, that could not be taken."""

    source_id: int
    received_at: datetime
    reason: str  # a code of tracking.REASONS, or `load`
    detail: str  # a sentence
    payload: bytes
    kind: Kind = Kind.EVENT


def add(connection: Connection, refused: Iterable[Refused]) -> None:
    """Keeps refused calls."""
    rows = [
        {
            "source_id": one.source_id,
            "received_at": one.received_at,
            "reason": one.reason,
            "detail": one.detail,
            "payload": one.payload,
            "kind": one.kind,
        }
        for one in refused
    ]
    if rows:
        connection.execute(table.insert(), rows)


def listed(connection: Connection, limit: int = 100) -> list[dict[str, Any]]:
    """The newest ones; payloads as text."""
    rows = connection.execute(select(table).order_by(table.c.id.desc()).limit(limit))
    return [{**row._mapping, "payload": row.payload.decode("utf-8", "replace")} for row in rows]
