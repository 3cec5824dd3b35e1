"""Where events come from: each source has a kind and a write key."""

import asyncio
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from onevoice.events.models import source as table
from onevoice.kernel.errors import Conflict, InvalidInput, Unavailable

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
        self._reading = asyncio.Lock()

    async def find(self, write_key: str) -> Source | None:
        """The source of a key, or None where no source has had it since it was asked for.

        A key that is not in memory waits for the next look, of which there is one in `REFRESH_SECONDS`: a client drops
        what a 401 answers, so that of a source just made must not get one, and one who guesses keys waits.
        Raises Unavailable where the database cannot be asked.
        """
        asked_at = time.monotonic()
        if write_key and write_key not in self._by_key:
            async with self._reading:
                if self._read_at < asked_at and write_key not in self._by_key:
                    await asyncio.sleep(self._read_at + REFRESH_SECONDS - time.monotonic())
                    began = time.monotonic()
                    self._by_key = await asyncio.to_thread(self._read)
                    self._read_at = began
        return self._by_key.get(write_key)

    def _read(self) -> dict[str, Source]:
        try:
            with self._pool.connect() as connection:
                rows = connection.execute(select(table)).all()
        except (OperationalError, PoolTimeoutError) as error:
            raise Unavailable("The database could not be asked for the write key; try again") from error
        return {row.write_key: Source(row.id, row.name, row.kind, row.write_key) for row in rows}
