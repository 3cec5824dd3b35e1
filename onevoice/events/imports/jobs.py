"""Imports asked for over HTTP: a queue of one table, carried out one after another by a process of its own.

Who carries them out holds an advisory lock, which PostgreSQL lets go with the connection; so a job that is `running`
while nobody holds the lock was killed, and begins anew. Reading anew costs time only: what is in the inbox already the
run of the import knows (`runs`), and it goes on after that. docs/decisions/0009-jobs.md says why there is no more.
"""

import shutil
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import duckdb
import msgspec
from sqlalchemy import Connection, Engine, Row, select, text, update

from onevoice.events import importing, sources
from onevoice.events.imports import mapping as mappings
from onevoice.events.imports import places, reach
from onevoice.events.models import import_job as table
from onevoice.events.sources import KINDS
from onevoice.kernel.clock import Clock
from onevoice.kernel.errors import Conflict, InvalidInput, NotFound, OneVoiceError
from onevoice.kernel.log import logger
from onevoice.kernel.settings import Settings

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"
OPEN = (WAITING, RUNNING)

LOCK = "onevoice.imports"

MOST_STARTS = 5
"""So often a job is begun without getting further; then it fails (a file that takes all memory is killed each time)."""

TOLD_SECONDS = 0.5
"""Between two looks at whether the job was cancelled, with a note of how far it is."""

QUOTED = 100
"""Bad rows in a job's result; its report has all."""

log = logger("imports")


@dataclass(frozen=True)
class Job:
    """An import asked for, and how far it is."""

    id: UUID
    kind: str
    source: str
    source_kind: str
    url: str
    mapping: dict[str, Any] | None
    dry_run: bool
    again: bool
    person: str
    state: str
    phase: str
    progress: int
    total: int
    starts: int
    result: dict[str, Any] | None
    report: str | None
    error: str | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


class Cancelled(Exception):
    """Ends a job that nobody wants any more."""


def ask(
    connection: Connection,
    settings: Settings,
    now: datetime,
    *,
    kind: str,
    url: str,
    source: str,
    source_kind: str,
    mapping: dict[str, Any] | None,
    dry_run: bool,
    again: bool,
    person: str,
) -> Job:
    """Puts a job into the queue. Raises InvalidInput where the URL, the kind of source or the mapping will not do."""
    reach.check(url, settings.import_from)
    if source_kind and source_kind not in KINDS:
        raise InvalidInput(f"A source's kind is one of {', '.join(KINDS)}; got {source_kind!r}")
    if mapping is not None:
        mapping = asdict(mappings.parsed(mapping))
    row = {
        "id": uuid4(), "kind": kind, "source": source, "source_kind": source_kind, "url": url, "mapping": mapping,
        "dry_run": dry_run, "again": again, "person": person, "state": WAITING, "created_at": now, "updated_at": now,
    }  # fmt: skip
    return _job(connection.execute(table.insert().values(**row).returning(table)).one())


def get(connection: Connection, id: UUID) -> Job:
    """Raises NotFound."""
    row = connection.execute(select(table).where(table.c.id == id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no import {id}")
    return _job(row)


def listed(connection: Connection, limit: int) -> list[Job]:
    """The newest first."""
    query = select(table).order_by(table.c.created_at.desc(), table.c.id).limit(limit)
    return [_job(row) for row in connection.execute(query)]


def cancel(connection: Connection, id: UUID, now: datetime) -> Job:
    """Stops a job; what is in the inbox by then stays. Raises NotFound, Conflict where it has ended."""
    ended = update(table).where(table.c.id == id, table.c.state.in_(OPEN))
    ended = ended.values(state=CANCELLED, updated_at=now, finished_at=now)
    if connection.execute(ended).rowcount != 1:
        raise Conflict(f"This import is {get(connection, id).state} and cannot be cancelled any more")
    return get(connection, id)


def remove(connection: Connection, settings: Settings, id: UUID) -> None:
    """Forgets a job that has ended, with its report. Raises NotFound, Conflict while it runs."""
    if get(connection, id).state in OPEN:
        raise Conflict("This import has not ended; cancel it first")
    connection.execute(table.delete().where(table.c.id == id))
    shutil.rmtree(_folder(settings, id), ignore_errors=True)


def is_needed(connection: Connection) -> bool:
    """Whether there is a job and nobody who carries jobs out."""
    open_ones = select(table.c.id).where(table.c.state.in_(OPEN)).limit(1)
    if connection.scalar(open_ones) is None:
        return False
    return bool(connection.scalar(text("SELECT pg_try_advisory_xact_lock(hashtext(:name))"), {"name": LOCK}))


def carry_out(pool: Engine, settings: Settings, clock: Clock) -> int:
    """Carries out all jobs there are, the oldest first; returns how many: none where another process does it."""
    count = 0
    with pool.connect() as leadership:
        if not leadership.scalar(text("SELECT pg_try_advisory_lock(hashtext(:name))"), {"name": LOCK}):
            return 0
        leadership.commit()
        while (job := _next(pool, clock.now())) is not None:
            _carry_out(pool, settings, clock, job)
            count += 1
            leadership.execute(text("SELECT 1"))  # a lost connection is a lost lock
            leadership.commit()
        leadership.execute(text("SELECT pg_advisory_unlock(hashtext(:name))"), {"name": LOCK})
        leadership.commit()
    return count


def _next(pool: Engine, now: datetime) -> Job | None:
    with pool.begin() as connection:
        oldest = select(table.c.id).where(table.c.state.in_(OPEN)).order_by(table.c.created_at, table.c.id).limit(1)
        begun = update(table).where(table.c.id == oldest.scalar_subquery(), table.c.state.in_(OPEN))
        begun = begun.values(state=RUNNING, starts=table.c.starts + 1, updated_at=now)
        row = connection.execute(begun.returning(table)).one_or_none()
        return _job(row) if row else None


def _carry_out(pool: Engine, settings: Settings, clock: Clock, job: Job) -> None:
    log.info("import", job=str(job.id), kind=job.kind, url=job.url, start=job.starts)
    folder = _folder(settings, job.id)
    shutil.rmtree(folder / "file", ignore_errors=True)  # of a start that was killed
    end: dict[str, Any]
    try:
        if job.starts > MOST_STARTS:
            raise InvalidInput(f"It was begun {MOST_STARTS} times and killed each time before it got further")
        told = _imported(pool, settings, clock, job, folder)
        end = {"state": DONE, "result": told, "report": told["report"] or None, "error": None}
    except Cancelled:
        end = {"report": None}
    except (OneVoiceError, OSError, duckdb.Error) as error:
        end = {"state": FAILED, "error": error.message if isinstance(error, OneVoiceError) else str(error)}
    finally:
        shutil.rmtree(folder / "file", ignore_errors=True)
    now = clock.now()
    with pool.begin() as connection:
        still = update(table).where(table.c.id == job.id, table.c.state == RUNNING)
        connection.execute(still.values(**end, updated_at=now, finished_at=now))


def _imported(pool: Engine, settings: Settings, clock: Clock, job: Job, folder: Path) -> dict[str, Any]:
    tell = _Telling(pool, clock, job.id)
    resolve = partial(reach.address, private=settings.import_private)
    reach.check(job.url, settings.import_from)  # the setting may have changed since
    found = places.find(job.url, settings.stores, resolve)
    if len(found) != 1:
        raise InvalidInput(f"{job.url} is a folder of {len(found)} files; ask for each by itself")
    place = found[0]
    file, mark = places.fetched(
        *(place, folder / "file", settings.stores, resolve),
        tell=lambda count: tell("fetching", count, place.size),
        keep_free=settings.disk_reserve_mb << 20,
    )
    how = mappings.parsed(job.mapping) if job.mapping else None
    now, report_to = clock.now(), folder / "report.csv"
    if job.dry_run:
        report = importing.dry_run(job.kind, file, how, now, tell, report_to=report_to)
    else:
        with pool.begin() as connection:
            source = sources.ensure(connection, job.source, job.source_kind)
        report = importing.import_file(
            *(pool, job.kind, source, file, how, now, tell),
            place=place.url,
            mark=mark,
            work=settings.data_dir / "imports",
            report_to=report_to,
            again=job.again,
            secret=settings.secret(),
        )
    report.place = job.url
    report.bad = report.bad[:QUOTED]
    told: dict[str, Any] = msgspec.to_builtins(report)
    return told


class _Telling:
    """An import's progress, written beside its job from time to time. Raises Cancelled where the job was."""

    def __init__(self, pool: Engine, clock: Clock, id: UUID) -> None:
        self.pool, self.clock, self.id = pool, clock, id
        self.phase, self.at = "", 0.0

    def __call__(self, phase: str, done: int, total: int) -> None:
        if phase == self.phase and time.monotonic() - self.at < TOLD_SECONDS:
            return
        further = {"starts": 0} if phase == "writing" and done else {}
        told = update(table).where(table.c.id == self.id, table.c.state == RUNNING)
        told = told.values(phase=phase, progress=done, total=total, updated_at=self.clock.now(), **further)
        with self.pool.begin() as connection:
            if connection.execute(told).rowcount != 1:
                raise Cancelled
        self.phase, self.at = phase, time.monotonic()


def _folder(settings: Settings, id: UUID) -> Path:
    return settings.data_dir / "imports" / "jobs" / str(id)


def _job(row: Row[Any]) -> Job:
    return Job(**row._mapping)
