"""Where events come from: each source has a kind and a write key."""

import secrets
import threading
import time
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select

from onevoice.events.models import source as table
from onevoice.kernel.errors import Conflict, InvalidInput

KINDS = ("web", "app", "till", "server", "import")

REFRESH_SECONDS = 1.0
"""An unknown key makes the cache look again, at most so often."""


@dataclass(frozen=True)
class Source:
    """A source of events."""

    id: int
    name: str
    kind: str
    write_key: str


def ensure(connection: Connection, name: str, kind: str) -> Source:
    """The source of that name, made with a new write key if there is none.

    Raises InvalidInput for a kind that does not exist, Conflict where the source is of another kind.
    """
    if kind not in KINDS:
        raise InvalidInput(f"A source's kind is one of {', '.join(KINDS)}; got {kind!r}")
    row = connection.execute(select(table).where(table.c.name == name)).one_or_none()
    if row is None:
        made = table.insert().values(name=name, kind=kind, write_key=secrets.token_urlsafe(24))
        row = connection.execute(made.returning(table)).one()
    if row.kind != kind:
        raise Conflict(f"The source {name!r} exists and is of kind {row.kind}, not {kind}; use another name")
    return Source(row.id, row.name, row.kind, row.write_key)


class Sources:
    """All sources by write key, held in memory; for the path that asks for each request."""

    def __init__(self, pool: Engine) -> None:
        self._pool = pool
        self._by_key: dict[str, Source] = {}
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def cached(self, write_key: str) -> Source | None:
        """The source if its key is in memory."""
        return self._by_key.get(write_key)

    def find(self, write_key: str) -> Source | None:
        """The source of a key, or None; asks the database, so call it from a thread."""
        with self._lock:
            if write_key not in self._by_key and time.monotonic() - self._read_at > REFRESH_SECONDS:
                with self._pool.connect() as connection:
                    rows = connection.execute(select(table)).all()
                self._by_key = {row.write_key: Source(row.id, row.name, row.kind, row.write_key) for row in rows}
                self._read_at = time.monotonic()
            return self._by_key.get(write_key)
