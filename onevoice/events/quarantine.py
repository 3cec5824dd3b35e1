"""The quarantine: what could not be taken, as it came, with the reason. Nothing acknowledged is thrown away."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from onevoice.database import driver
from onevoice.database.inbox import Kind
from onevoice.events.models import quarantine as table
from onevoice.kernel.errors import NotFound

INSERT = (
    "INSERT INTO quarantine (received_at, source_id, kind, reason, detail, payload, request) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s)"
)


OPEN, REPLAYED, DISCARDED = "open", "replayed", "discarded"


@dataclass(frozen=True)
class Refused:
    """A call, or another entry of the inbox, that could not be taken."""

    source_id: int
    received_at: datetime
    reason: str  # a code of tracking.REASONS, `load` or `webhook`
    detail: str  # a sentence
    payload: bytes
    kind: Kind = Kind.EVENT
    request: bytes | None = None  # what its request said for all its calls (tracking.Told), as JSON


@dataclass(frozen=True)
class Held:
    """One in the quarantine, with its number and what became of it."""

    number: int
    refused: Refused
    state: str  # open, replayed, discarded
    resolved_at: datetime | None


def values(one: Refused) -> tuple[Any, ...]:
    """What `INSERT` takes."""
    return (one.received_at, one.source_id, one.kind.value, one.reason, one.detail, one.payload, one.request)


def add(connection: Connection, refused: Iterable[Refused]) -> None:
    """Keeps refused calls."""
    with driver(connection) as raw, raw.cursor() as cursor:
        cursor.executemany(INSERT, [values(one) for one in refused])


def listed(
    connection: Connection,
    *,
    state: str = OPEN,
    reason: str | None = None,
    source_id: int | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Held]:
    """The newest first, those of one state (`all` for any); `before` an id goes on from the page before."""
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    if state != "all":
        query = query.where(table.c.resolution.is_(None) if state == OPEN else table.c.resolution == state)
    for column, wanted in ((table.c.reason, reason), (table.c.source_id, source_id)):
        if wanted is not None:
            query = query.where(column == wanted)
    if before is not None:
        query = query.where(table.c.id < before)
    return [_held(row) for row in connection.execute(query)]


def counts(connection: Connection) -> list[dict[str, Any]]:
    """How many are open by source and reason, the most first."""
    query = (
        select(
            table.c.source_id, table.c.reason, func.count().label("open"), func.max(table.c.received_at).label("last")
        )
        .where(table.c.resolution.is_(None))
        .group_by(table.c.source_id, table.c.reason)
        .order_by(func.count().desc(), table.c.source_id, table.c.reason)
    )
    return [dict(row._mapping) for row in connection.execute(query)]


def get(connection: Connection, number: int) -> Held:
    """One of them, locked until the transaction ends. Raises NotFound."""
    row = connection.execute(select(table).where(table.c.id == number).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"There is nothing numbered {number} in the quarantine")
    return _held(row)


def resolve(connection: Connection, number: int, resolution: str | None, now: datetime) -> None:
    """Marks one as replayed or discarded, or with None as open again."""
    values = {"resolution": resolution, "resolved_at": now if resolution else None}
    connection.execute(table.update().where(table.c.id == number).values(**values))


def _held(row: Row[Any]) -> Held:
    return Held(
        row.id,
        Refused(row.source_id, row.received_at, row.reason, row.detail, row.payload, Kind(row.kind), row.request),
        row.resolution or OPEN,
        row.resolved_at,
    )
