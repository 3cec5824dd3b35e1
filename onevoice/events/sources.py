"""Where events come from: each source has a kind, a write key, and maybe a platform whose webhooks it takes."""

import asyncio
import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from onevoice.events.models import source as table
from onevoice.events.webhooks import platforms
from onevoice.kernel.errors import Conflict, InvalidInput, NotFound, Unavailable

KINDS = ("web", "app", "till", "server", "import")
INTERNAL = "internal"
"""The kind of OneVoice itself."""

REFRESH_SECONDS = 1.0
"""An unknown key makes the cache look again, at most so often; and a known one is believed for so long, so that a key
that was rotated or a source that was disabled takes nothing more soon after."""


@dataclass(frozen=True)
class Source:
    """A source of events."""

    id: int
    name: str
    kind: str
    write_key: str
    platform: str | None = None
    secret: str | None = None
    is_disabled: bool = False


def ensure(connection: Connection, name: str, kind: str = "") -> Source:
    """The source of that name, made with a new write key if there is none. Without a kind: as it is, or a server.

    Raises InvalidInput for a kind that does not exist, Conflict where the source is of another kind.
    """
    if kind and kind not in KINDS:
        raise InvalidInput(f"A source's kind is one of {', '.join(KINDS)}; got {kind!r}")
    row = connection.execute(select(table).where(table.c.name == name)).one_or_none()
    if row is None:
        made = table.insert().values(name=name, kind=kind or "server", write_key=secrets.token_urlsafe(24))
        row = connection.execute(made.returning(table)).one()
    if row.kind == INTERNAL or (kind and row.kind != kind):
        raise Conflict(f"The source {name!r} exists and is of kind {row.kind}; use another name")
    return _source(row)


def get(connection: Connection, name: str) -> Source:
    """The source of that name. Raises NotFound."""
    row = connection.execute(select(table).where(table.c.name == name)).one_or_none()
    if row is None or row.kind == INTERNAL:
        raise NotFound(f"There is no source {name!r}")
    return _source(row)


def all_sources(connection: Connection) -> list[Source]:
    """All of them but OneVoice itself, by name."""
    rows = connection.execute(select(table).where(table.c.kind != INTERNAL).order_by(table.c.name))
    return [_source(row) for row in rows]


def take_webhooks(connection: Connection, name: str, platform: str, secret: str) -> Source:
    """Lets a source take a platform's webhooks, signed with the secret. Raises InvalidInput, NotFound."""
    known = platforms()
    if platform not in known:
        raise InvalidInput(f"Webhooks are taken of {', '.join(known)}; got {platform!r}")
    if not secret.strip():
        raise InvalidInput("Give the secret the shop signs with; without it anybody could send orders")
    return _changed(connection, name, platform=platform, secret=secret)


def rotate_key(connection: Connection, name: str) -> Source:
    """Gives a source a new write key; the old one opens nothing any more. Raises NotFound."""
    return _changed(connection, name, write_key=secrets.token_urlsafe(24))


def disable(connection: Connection, name: str, at: datetime | None) -> Source:
    """Takes nothing more from a source, or with `at` None takes from it again. Raises NotFound."""
    return _changed(connection, name, disabled_at=at)


def _changed(connection: Connection, name: str, **values: Any) -> Source:
    get(connection, name)
    return _source(
        connection.execute(table.update().where(table.c.name == name).values(**values).returning(table)).one()
    )


def _source(row: Row[Any]) -> Source:
    return Source(row.id, row.name, row.kind, row.write_key, row.platform, row.secret, row.disabled_at is not None)


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
        known = self._by_key.get(write_key)
        if not write_key or (known and (asked_at < self._read_at + REFRESH_SECONDS or self._reading.locked())):
            return known
        async with self._reading:
            if self._read_at < asked_at and (known or write_key not in self._by_key):
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
        return {row.write_key: _source(row) for row in rows}
