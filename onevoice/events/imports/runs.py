"""Imports as the database knows them: what was imported, and how many of its parts are in the inbox.

A part and the count that says so are written in one transaction, so an import that was killed goes on with the part
after the last one written: nothing twice, nothing lost.
"""

from collections.abc import Mapping as Map
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects.postgresql import insert

from onevoice.events.models import import_run as table
from onevoice.kernel.errors import Conflict, NotFound

READING, WRITING, DONE, FAILED = "reading", "writing", "done", "failed"


@dataclass(frozen=True)
class Run:
    """An import, and how far it is."""

    id: str
    kind: str
    source_id: int
    place: str
    size: int
    mark: str
    mapping: dict[str, Any] | None
    state: str
    rows: int
    bad_rows: int
    entries: int
    parts: int
    parts_done: int
    report: str | None
    error: str | None
    started_at: datetime
    updated_at: datetime
    finished_at: datetime | None


def run_id(kind: str, source_id: int, place: str, mark: str) -> str:
    """The same content from the same place is one import; read another way, it begins anew."""
    said = "\x1f".join((kind, str(source_id), place, mark))
    return blake2b(said.encode(errors="surrogateescape"), digest_size=16).hexdigest()


def content_mark(path: Path) -> str:
    """A hash of a file's content."""
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def begin(
    connection: Connection, id: str, kind: str, source_id: int, place: str, size: int, mark: str, now: datetime
) -> Run:
    """The import of that id: as it was left, or new."""
    values = {"id": id, "kind": kind, "source_id": source_id, "place": place, "size": size, "mark": mark}
    made = insert(table).values(**values, state=READING, started_at=now, updated_at=now)
    connection.execute(made.on_conflict_do_nothing())
    return get(connection, id)


def restart(connection: Connection, id: str, now: datetime) -> Run:
    """Sets an import back to its beginning."""
    connection.execute(
        update(table)
        .where(table.c.id == id)
        .values(state=READING, parts_done=0, entries=0, error=None, started_at=now, updated_at=now, finished_at=None)
    )
    return get(connection, id)


def prepared(
    connection: Connection, id: str, mapping: Map[str, Any], rows: int, bad_rows: int, parts: int, report: str | None
) -> None:
    """Says what reading found; from now on parts are written."""
    values = {"mapping": dict(mapping), "rows": rows, "bad_rows": bad_rows, "parts": parts, "report": report}
    connection.execute(update(table).where(table.c.id == id).values(**values, state=WRITING, error=None))


def advance(connection: Connection, id: str, part: int, entries: int, now: datetime) -> None:
    """Counts a part as written. Raises Conflict where another process has written it."""
    done = update(table).where(table.c.id == id, table.c.parts_done == part)
    done = done.values(parts_done=part + 1, entries=table.c.entries + entries, updated_at=now)
    if connection.execute(done).rowcount != 1:
        raise Conflict("Another process runs this import; wait for it, or look at `onevoice imports`")


def finish(connection: Connection, id: str, now: datetime) -> None:
    """All parts are written."""
    connection.execute(update(table).where(table.c.id == id).values(state=DONE, finished_at=now, updated_at=now))


def fail(connection: Connection, id: str, error: str, now: datetime) -> None:
    """It cannot go on; the same command tries it again."""
    connection.execute(update(table).where(table.c.id == id).values(state=FAILED, error=error, updated_at=now))


def get(connection: Connection, id: str) -> Run:
    """An import by its id, or by the first characters of it. Raises NotFound."""
    found = connection.execute(select(table).where(table.c.id.startswith(id, autoescape=True)).limit(2)).all()
    if len(found) != 1:
        raise NotFound(f"There is no one import {id!r}; `onevoice imports` lists them")
    return _run(found[0])


def all_runs(connection: Connection, limit: int = 100) -> list[Run]:
    """Imports, the newest first."""
    rows = connection.execute(select(table).order_by(table.c.started_at.desc(), table.c.id).limit(limit))
    return [_run(row) for row in rows]


def _run(row: Row[Any]) -> Run:
    return Run(**row._mapping)
