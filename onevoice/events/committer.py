"""Group commit: what many requests bring is written by one COPY and one commit, and each gets its answer only then."""

import asyncio
import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import psycopg

from onevoice import database
from onevoice.database.inbox import COPY, Entry, Kind
from onevoice.events import quarantine
from onevoice.events.quarantine import Refused
from onevoice.kernel.errors import Unavailable
from onevoice.kernel.log import logger
from onevoice.kernel.settings import Settings

MAX_PENDING = 64 * 1024 * 1024
"""Bytes that may wait for a commit; beyond that callers are told to come again."""

WRITERS = 3
"""Connections that write in turn: one fills while the others wait for the disk."""

RECONNECT_SECONDS = 0.5

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL's
_MICROSECOND = timedelta(microseconds=1)
_HEAD = struct.Struct(">hihihiq")  # COPY BINARY: how many columns, then each column's length and value
_LENGTH = struct.Struct(">i")
_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_TRAILER = struct.pack(">h", -1)

log = logger("committer")


def row_head(source_id: int, kind: Kind, received_at: datetime) -> bytes:
    """What the rows of the inbox that came together have in common, in the binary form COPY takes."""
    moment = (received_at - _EPOCH) // _MICROSECOND
    return _HEAD.pack(4, 2, source_id, 2, kind.value, 8, moment)


def packed(head: bytes, payload: bytes) -> bytes:
    """A row: its head, then its payload."""
    return head + _LENGTH.pack(len(payload)) + payload


class _Waiting:
    """What one caller brought, and the future that tells them."""

    __slots__ = ("done", "refused", "rows", "size")

    def __init__(self, rows: Sequence[bytes], refused: Sequence[Refused], done: "asyncio.Future[bool]") -> None:
        self.rows, self.refused, self.done = rows, refused, done
        self.size = sum(map(len, rows)) + sum(len(one.payload) for one in refused)


class Committer:
    """Writes to the inbox for all requests of a process. `start` and `stop` it in the loop that uses it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pending: list[_Waiting] = []
        self._pending_bytes = 0
        self._filled = asyncio.Event()
        self._stopping = False
        self._failures = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begins to write."""
        self._tasks = [asyncio.create_task(self._write(), name=f"committer-{n}") for n in range(WRITERS)]

    async def stop(self) -> None:
        """Writes what is pending, then ends."""
        self._stopping = True
        self._filled.set()
        await asyncio.gather(*self._tasks)

    async def append(self, entries: Iterable[Entry]) -> None:
        """Returns when the entries are committed. Raises Unavailable where they could not be."""
        await self.append_packed([packed(row_head(e.source_id, e.kind, e.received_at), e.payload) for e in entries])

    async def append_packed(self, rows: Sequence[bytes], refused: Sequence[Refused] = ()) -> None:
        """The same for rows that are packed already; refused calls go to the quarantine in the same commit."""
        if not rows and not refused:
            return
        waiting = _Waiting(rows, refused, asyncio.get_running_loop().create_future())
        if self._stopping or self._pending_bytes + waiting.size > MAX_PENDING:
            raise Unavailable("Too much is waiting to be written; try again in a moment")
        self._pending.append(waiting)
        self._pending_bytes += waiting.size
        self._filled.set()
        await waiting.done

    async def _write(self) -> None:
        connection: psycopg.AsyncConnection[object] | None = None
        failures = 0
        while self._pending or not self._stopping:
            if not self._pending:
                self._filled.clear()
                await self._filled.wait()
                continue
            batch, self._pending, self._pending_bytes = self._pending, [], 0
            try:
                if connection is not None and failures != self._failures:  # what cut another off may have cut this off
                    await connection.close()
                    connection = None
                if connection is None:
                    failures = self._failures
                    connection = await database.connect(self._settings)
                await self._commit(connection, batch)
            except Exception as error:  # noqa: BLE001  # the outermost loop: were it to end, callers would wait for ever
                log.error("write failed", error=repr(error), callers=len(batch))
                self._failures += 1
                if connection is not None:  # of no more use; whether its commit went through is unknown: callers retry
                    await connection.close()
                    connection = None
                self._tell(batch, Unavailable("The database could not be written; try again"))
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                self._tell(batch, None)
        if connection is not None:
            await connection.close()

    @staticmethod
    async def _commit(connection: psycopg.AsyncConnection[object], batch: Sequence[_Waiting]) -> None:
        async with connection.cursor() as cursor:
            rows = [row for waiting in batch for row in waiting.rows]
            if rows:
                async with cursor.copy(f"{COPY} (FORMAT binary)".encode()) as copy:
                    await copy.write(b"".join([_HEADER, *rows, _TRAILER]))
            refused = [one for waiting in batch for one in waiting.refused]
            if refused:
                await cursor.executemany(quarantine.INSERT, [quarantine.values(one) for one in refused])
        await connection.commit()

    @staticmethod
    def _tell(batch: Sequence[_Waiting], error: Unavailable | None) -> None:
        for waiting in batch:
            if waiting.done.done():
                continue  # the caller went away
            if error is None:
                waiting.done.set_result(True)
            else:
                waiting.done.set_exception(error)
