"""Group commit: what many requests bring goes through the door in one commit, and each gets its answer only then."""

import asyncio
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from onevoice import database
from onevoice.database.inbox import COPY, Entry, Kind, packed, unpacked
from onevoice.events import door, plans, quarantine
from onevoice.events.door import Keys
from onevoice.events.plans import Violation
from onevoice.events.pressure import Pressure
from onevoice.events.quarantine import Refused
from onevoice.kernel.clock import Clock
from onevoice.kernel.errors import OneVoiceError, TooMany, Unavailable
from onevoice.kernel.log import logger
from onevoice.kernel.settings import Settings

MAX_PENDING = 64 * 1024 * 1024
"""Bytes that may wait for a commit; beyond that callers are told to come again."""

WRITERS = 3
"""Connections that write in turn: one fills while the others wait for the disk."""

RECONNECT_SECONDS = 0.5

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL's
_MICROSECOND = timedelta(microseconds=1)
_HEAD = struct.Struct(">hihihiqi")  # COPY BINARY: how many columns, then each column's length and value
_CALLS = struct.Struct(">ii")
_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_TRAILER = struct.pack(">h", -1)

log = logger("committer")


@dataclass(slots=True)
class Brought:
    """What one request brought: calls that can be taken, each with its key (`door.key`), and calls that cannot."""

    source_id: int
    received_at: datetime
    lines: list[bytes] = field(default_factory=list)  # vocabulary.EventEntry as JSON, without line breaks
    keys: list[bytes] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)  # of plans that only warn


class _Waiting:
    """What one caller brought, packed as it will be stored, and the future that tells them what was held already."""

    __slots__ = ("brought", "done", "entries", "payload", "size")

    def __init__(self, done: "asyncio.Future[Sequence[int]]", brought: Brought, entries: Sequence[Entry] = ()) -> None:
        self.done, self.brought, self.entries = done, brought, entries
        self.payload = packed(b"\n".join(brought.lines))
        brought.lines = []  # what waits need not be held twice
        self.size = len(self.payload) + 48 * len(brought.keys)
        self.size += sum(len(one.payload) for one in entries) + sum(len(one.payload) for one in brought.refused)

    def rows(self, held: set[bytes] | None) -> tuple[list[bytes], list[int]]:
        """Its rows in the form COPY takes, and which calls are duplicates.

        `held` are the keys no call may have any more; those of its calls are added. None: no key comes twice.
        """
        brought, payload, duplicates = self.brought, self.payload, list[int]()
        if held is not None:
            for index, key in enumerate(brought.keys):
                if key in held:
                    duplicates.append(index)
                held.add(key)
            if duplicates:
                lines, left_out = unpacked(payload).split(b"\n"), set(duplicates)
                payload = packed(b"\n".join([line for index, line in enumerate(lines) if index not in left_out]))
        made = [_row(one.source_id, one.kind, one.received_at, packed(one.payload), one.calls) for one in self.entries]
        if count := len(brought.keys) - len(duplicates):
            made.append(_row(brought.source_id, Kind.EVENT, brought.received_at, payload, count))
        return made, duplicates


def _row(source_id: int, kind: Kind, received_at: datetime, payload: bytes, calls: int) -> bytes:
    moment = (received_at - _EPOCH) // _MICROSECOND
    return _HEAD.pack(5, 2, source_id, 2, kind.value, 8, moment, len(payload)) + payload + _CALLS.pack(4, calls)


class Committer:
    """Writes to the inbox for all requests of a process. `start` and `stop` it in the loop that uses it."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._pressure = Pressure(settings, clock or settings.clock())
        self._pending: list[_Waiting] = []
        self._pending_bytes = 0
        self._filled = asyncio.Event()
        self._stopping = False
        self._failures = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to write."""
        self._tasks = [asyncio.create_task(self._write(), name=f"committer-{n}") for n in range(WRITERS)]
        self._watch = asyncio.create_task(self._pressure.watch(), name="pressure")

    async def stop(self) -> None:
        """Writes what is pending, then ends."""
        self._stopping = True
        self._filled.set()
        await asyncio.gather(*self._tasks)
        if self._watch is not None:
            self._watch.cancel()

    async def append(self, entries: Iterable[Entry]) -> None:
        """Returns when the entries, which are no events, are committed. Raises Unavailable where they could not be."""
        if entries := list(entries):
            await self._committed(Brought(0, _EPOCH), entries)

    async def take(self, brought: Brought) -> Sequence[int]:
        """Returns, once committed, which of the calls were held already. Takes `brought.lines` away.

        Raises TooMany where the engine or the disk cannot follow, Unavailable where it could not be written.
        """
        if not brought.keys and not brought.refused:
            return ()
        self._pressure.check()
        return await self._committed(brought)

    async def _committed(self, brought: Brought, entries: Sequence[Entry] = ()) -> Sequence[int]:
        waiting = _Waiting(asyncio.get_running_loop().create_future(), brought, entries)
        if self._stopping:
            raise Unavailable("This process is about to stop; try again")
        if self._pending_bytes + waiting.size > MAX_PENDING:
            raise TooMany("Too much is waiting to be written; try again in a moment", retry_after=1)
        self._pending.append(waiting)
        self._pending_bytes += waiting.size
        self._filled.set()
        return await waiting.done

    async def _write(self) -> None:
        connection: psycopg.AsyncConnection[object] | None = None
        failures = 0
        while self._pending or not self._stopping:
            if not self._pending:
                self._filled.clear()
                await self._filled.wait()
                continue
            batch, self._pending = self._pending, []
            try:
                if connection is not None and failures != self._failures:  # what cut another off may have cut this off
                    await connection.close()
                    connection = None
                if connection is None:
                    failures = self._failures
                    connection = await database.connect(self._settings)
                told = await self._commit(connection, batch)
            except Exception as error:  # noqa: BLE001  # the outermost loop: were it to end, callers would wait for ever
                log.error("write failed", error=repr(error), callers=len(batch))
                self._failures += 1
                if connection is not None:  # of no more use; whether its commit went through is unknown: callers retry
                    await connection.close()
                    connection = None
                self._tell(batch, _refusal(error))
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                self._tell(batch, told)
        if connection is not None:
            await connection.close()

    @staticmethod
    async def _commit(connection: psycopg.AsyncConnection[Any], batch: Sequence[_Waiting]) -> list[list[int]]:
        """Writes a group; returns each caller's duplicates."""
        async with connection.cursor() as cursor:
            keys = [key for waiting in batch for key in waiting.brought.keys]
            held: set[bytes] | None = None
            if keys:
                unique = Keys(dict.fromkeys(keys))
                await cursor.execute(door.ADMIT, [unique], binary=True)
                already = door.held_of(await cursor.fetchone())
                if already or len(unique) < len(keys):
                    held = set(already)
            made = [waiting.rows(held) for waiting in batch]
            rows = [row for rows, _ in made for row in rows]
            if rows:
                async with cursor.copy(f"{COPY} (FORMAT binary)".encode()) as copy:
                    await copy.write(b"".join([_HEADER, *rows, _TRAILER]))
            refused = [one for waiting in batch for one in waiting.brought.refused]
            if refused:
                await cursor.executemany(quarantine.INSERT, [quarantine.values(one) for one in refused])
            violations = [one for waiting in batch for one in waiting.brought.violations]
            if violations:
                await cursor.executemany(plans.COUNT, plans.counted(violations, batch[0].brought.received_at))
        await connection.commit()
        return [duplicates for _, duplicates in made]

    def _tell(self, batch: Sequence[_Waiting], told: Sequence[Sequence[int]] | OneVoiceError) -> None:
        for index, waiting in enumerate(batch):
            self._pending_bytes -= waiting.size
            if waiting.done.done():
                continue  # the caller went away
            if isinstance(told, OneVoiceError):
                waiting.done.set_exception(told)
            else:
                waiting.done.set_result(told[index])


def _refusal(error: Exception) -> OneVoiceError:
    if isinstance(error, psycopg.errors.DiskFull):
        return Unavailable("The database's disk is full; try again when there is room", retry_after=10)
    return Unavailable("The database could not be written; try again")
