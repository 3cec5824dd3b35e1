"""Import of files (CSV, JSONL or Parquet) into the inbox, in bulk: the kinds are in `imports/fields`.

DuckDB reads (`imports/files`), checks (`imports/checks`) and shapes (`imports/shapes`) the rows, in a file of its own,
so that a bad one is named with its line and column, none is touched in Python one by one, and a file larger than memory
does no harm. The entries go into the inbox part by part; a part and the note that it is done are one transaction, so
an import that was killed goes on where it stopped (`imports/runs`).
"""

import csv
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec
from sqlalchemy import Connection, Engine

from onevoice.customers import consent, suppression
from onevoice.customers.consent import Consent
from onevoice.customers.identifiers import Identifier, identifier
from onevoice.customers.suppression import Suppressed
from onevoice.database import inbox
from onevoice.database.inbox import Entry, Kind
from onevoice.events import door
from onevoice.events.imports import checks, files, mapping, runs
from onevoice.events.imports.files import quoted
from onevoice.events.imports.mapping import Mapping
from onevoice.events.imports.shapes import SHAPES
from onevoice.events.sources import Source
from onevoice.kernel.errors import Conflict, InvalidInput, OneVoiceError

REPORTED = 1_000
"""Bad rows kept in memory; the report file has all."""

SAMPLED = 1_000
"""Values of each column that a guess looks at."""

MEMORY = "1GB"
"""What DuckDB may use; beyond it, it goes to disk."""

Progress = Callable[[str, int, int], None]
"""Called with what is done (reading, checking, writing), how much of it, and of how much: bytes, then rows."""


@dataclass(frozen=True)
class BadRow:
    """A row that was not taken: the line it begins on (of Parquet, the row), the column, the value's beginning, why."""

    line: int
    column: str  # empty where the row as a whole cannot be taken
    value: str
    reason: str


@dataclass
class ImportReport:
    """What an import did, or, dry, would do."""

    kind: str
    place: str = ""
    id: str = ""  # empty: a dry run
    rows: int = 0
    entries: int = 0  # made of the rows
    bad_rows: int = 0
    bad: list[BadRow] = field(default_factory=list)  # the first of them
    mapping: dict[str, Any] = field(default_factory=dict)
    report: str = ""  # the file that names all bad rows
    continued_at: int = 0  # the row at which a broken-off import went on
    already_at: datetime | None = None  # it had been imported then, and nothing was done now
    sample: list[Any] = field(default_factory=list)  # entries a dry run would make


def import_file(
    pool: Engine,
    kind: str,
    source: Source,
    path: Path,
    how: Mapping | None,
    now: datetime,
    progress: Progress = lambda phase, done, total: None,
    *,
    place: str = "",
    mark: str = "",
    work: Path | None = None,
    report_to: Path | None = None,
    again: bool = False,
    secret: bytes | None = None,
) -> ImportReport:
    """Puts a file's rows into the inbox. `how` it is read is guessed from headers and values if None.

    `place` and `mark` say where it came from and what tells its content (by default the path and a hash); the same
    again goes on where it broke off, or does nothing where it is done, unless `again`. What is in work is kept in the
    folder `work`, so that going on need not read anew. A suppression list is hashed with the installation's `secret`.
    Raises InvalidInput where the file cannot be read or a required column is missing. Bad rows are left out and named.
    """
    if kind == "suppression" and secret is None:
        raise InvalidInput("A suppression list is kept as salted hashes: hand the installation's secret in")
    place, mark = place or str(path.resolve()), mark or runs.content_mark(path)
    id = runs.run_id(kind, source.id, place, mark)
    with pool.begin() as connection:
        run = runs.begin(connection, id, kind, source.id, place, path.stat().st_size, mark, now)
        is_read_anew = how is not None and run.mapping is not None and run.mapping != how.document
        if run.state == runs.FAILED or is_read_anew or (again and run.state == runs.DONE):
            run = runs.restart(connection, id, now)
            if work is not None:
                _clear(work, id)
    if run.state == runs.DONE:
        return _report(run, [], already_at=run.finished_at)
    try:
        with _store(work, id) as store:
            how = how or (Mapping(**run.mapping) if run.mapping else None)
            ready = _prepared(store) or _prepare(store, kind, path, how, run.started_at, progress)
            bad = _bad(store, report_to)
            named = str(report_to) if report_to and ready.bad_rows else None
            with pool.begin() as connection:
                runs.prepared(connection, id, ready.how.document, ready.rows, ready.bad_rows, ready.parts, named)
            before = _write(pool, store, run, ready, source, progress, secret)
    except (OneVoiceError, duckdb.Error, OSError) as error:
        if not isinstance(error, Conflict):
            with pool.begin() as connection:
                runs.fail(connection, id, str(error), now)
        raise
    with pool.begin() as connection:
        runs.finish(connection, id, now)
        run = runs.get(connection, id)
    if work is not None:
        _clear(work, id)
    return _report(run, bad, continued_at=before)


def dry_run(
    kind: str,
    path: Path,
    how: Mapping | None,
    now: datetime,
    progress: Progress = lambda phase, done, total: None,
    *,
    report_to: Path | None = None,
    sample: int = 3,
) -> ImportReport:
    """All that `import_file` does but for the writing; with some of the entries that would be made."""
    with _store(None, "dry") as store:
        ready = _prepare(store, kind, path, how, now, progress)
        bad = _bad(store, report_to)
        entries = 0
        shown: list[Any] = []
        for part in range(ready.parts):
            found = _entries(store, kind, ready, part, now)
            while some := found.fetchmany(files.CHUNK_ROWS):
                shown += [json.loads(payload) for payload, *_ in some[: sample - len(shown)]]
                entries += len(some)
            progress("checking", min(ready.rows * (part + 1) // ready.parts, ready.rows), ready.rows)
        named = str(report_to) if report_to and bad else ""
        return ImportReport(
            kind, str(path), "", ready.rows, entries, ready.bad_rows, bad, ready.how.document, named, sample=shown
        )


@dataclass(frozen=True)
class _Ready:
    """A file read and checked: the tables are in the store."""

    how: Mapping
    headers: list[str]
    rows: int
    bad_rows: int
    parts: int


def _prepare(
    store: duckdb.DuckDBPyConnection, kind: str, path: Path, how: Mapping | None, now: datetime, progress: Progress
) -> _Ready:
    size = path.stat().st_size
    progress("reading", 0, size)
    rows = files.read(store, path, lambda part: progress("reading", int(part * size), size))
    progress("reading", size, size)
    how = how or mapping.guess(kind, _samples(store, rows))
    mapping.check(how, kind, rows.headers, path.name)
    total = checks.count(store)
    progress("checking", 0, total)
    checked = checks.check(store, kind, how, rows, now, lambda part: progress("checking", int(part * total), total))
    progress("checking", total, total)
    ready = _Ready(how, rows.headers, checked.rows, checked.bad_rows, checked.parts)
    store.execute("CREATE TABLE ready AS SELECT ? AS told", [json.dumps(asdict(ready))])
    store.execute("CHECKPOINT")
    return ready


def _prepared(store: duckdb.DuckDBPyConnection) -> _Ready | None:
    """What an import that broke off had read and checked."""
    if not store.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'ready'").fetchone():
        for name, kind in store.execute("SELECT table_name, table_type FROM information_schema.tables").fetchall():
            store.execute(f"DROP {'VIEW' if kind == 'VIEW' else 'TABLE'} IF EXISTS {quoted(name)}")
        return None
    row = store.execute("SELECT told FROM ready").fetchone()
    assert row is not None
    told = json.loads(row[0])
    return _Ready(**{**told, "how": Mapping(**told["how"])})


def _samples(store: duckdb.DuckDBPyConnection, rows: files.Rows) -> dict[str, list[str]]:
    """Some values of each column."""
    wanted = ", ".join(rows.text(header) for header in rows.headers)
    found = store.execute(f"SELECT {wanted} FROM raw LIMIT {SAMPLED}").fetchall() if rows.headers else []
    return {
        header: [str(row[number]) for row in found if row[number] is not None]
        for number, header in enumerate(rows.headers)
    }


def _entries(
    store: duckdb.DuckDBPyConnection, kind: str, ready: _Ready, part: int, now: datetime
) -> duckdb.DuckDBPyConnection:
    """A part's entries: payload, message id, line, rows."""
    columns = ready.how.columns
    further = [name for name in ready.headers if name not in columns.values()]
    store.execute(f"CREATE OR REPLACE TEMP VIEW part AS SELECT * FROM rows WHERE {checks.PART} = {part}")
    return store.execute(f"SELECT payload, message_id, n FROM ({SHAPES[kind](columns, further, now)}) ORDER BY line")


def _write(
    pool: Engine,
    store: duckdb.DuckDBPyConnection,
    run: runs.Run,
    ready: _Ready,
    source: Source,
    progress: Progress,
    secret: bytes | None,
) -> int:
    """Writes the parts that are not written yet; returns at which row it went on."""
    counts = store.execute(f"SELECT {checks.PART}, count(*) FROM rows GROUP BY 1").fetchall()
    rows_in = dict(counts)
    done = before = sum(count for part, count in counts if part < run.parts_done)
    total = ready.rows - ready.bad_rows
    progress("writing", done, total)
    for part in range(run.parts_done, ready.parts):
        entries = _entries(store, run.kind, ready, part, run.started_at).fetchall()
        with pool.begin() as connection:
            runs.advance(connection, run.id, part, len(entries), run.started_at)
            _put(connection, run.kind, source, run.started_at, entries, secret)
        done += rows_in.get(part, 0)
        progress("writing", done, total)
    return before if run.parts_done else 0


def _put(
    connection: Connection,
    kind: str,
    source: Source,
    now: datetime,
    entries: list[tuple[str, str, int]],
    secret: bytes | None,
) -> None:
    if kind == "products":
        inbox.append(connection, (Entry(source.id, Kind.PRODUCT, now, payload.encode()) for payload, *_ in entries))
    elif kind == "consents":
        words = (_word(msgspec.json.decode(payload, type=_Word)) for payload, *_ in entries)
        consent.record(connection, words, now, source.id)
    elif kind == "suppression":
        assert secret is not None
        listed = (msgspec.json.decode(payload, type=Suppressed) for payload, *_ in entries)
        suppression.suppress(connection, secret, listed, now, actor="import")
    else:
        door.enter(connection, source.id, now, [(message_id, payload.encode()) for payload, message_id, _ in entries])


class _Word(msgspec.Struct):
    """A row of a file of consents, as `shapes` writes it."""

    namespace: str
    value: str
    channel: str
    topic: str
    state: str
    occurred_at: datetime
    text: str
    locale: str
    country: str
    ip: str
    proof: str


def _word(row: _Word) -> Consent:
    who = identifier(row.namespace, row.value) or Identifier(row.namespace, row.value)
    return Consent(
        identifier_id=who.id,
        channel=row.channel,
        topic=row.topic,
        state=row.state,
        occurred_at=row.occurred_at,
        origin="import",
        evidence={name: said for name, said in (("ip", row.ip), ("proof", row.proof)) if said},
        namespace=who.namespace,
        value=who.value,
        text=row.text,
        locale=row.locale,
        country=row.country,
    )


def _bad(store: duckdb.DuckDBPyConnection, report_to: Path | None) -> list[BadRow]:
    """The first bad rows; all of them into the report: JSON lines where it ends in .jsonl, else CSV."""
    found = store.execute('SELECT line, "column", value, reason FROM bad ORDER BY line, reason')
    first = [BadRow(*row) for row in found.fetchmany(REPORTED)]
    if report_to is None or not first:
        return first
    report_to.parent.mkdir(parents=True, exist_ok=True)
    with report_to.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        names = ("line", "column", "value", "reason")
        as_json = report_to.suffix.lower() in (".jsonl", ".ndjson")
        if not as_json:
            writer.writerow(names)
        for row in _all(first, found):
            if as_json:
                file.write(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n")
            else:
                writer.writerow(row)
    return first


def _all(first: list[BadRow], rest: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    for bad in first:
        yield bad.line, bad.column, bad.value, bad.reason
    while some := rest.fetchmany(REPORTED):
        yield from some


def _report(run: runs.Run, bad: list[BadRow], **further: Any) -> ImportReport:
    return ImportReport(
        run.kind, run.place, run.id, run.rows, run.entries, run.bad_rows, bad, run.mapping or {}, run.report or "",
        **further,
    )  # fmt: skip


@contextmanager
def _store(work: Path | None, id: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """The DuckDB file in which an import is worked on; without a folder, one that goes with it."""
    with tempfile.TemporaryDirectory(prefix="onevoice-import-") as passing:
        folder = work or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        settings = {"memory_limit": MEMORY, "temp_directory": str(folder / f"{id}.tmp")}
        try:
            store = duckdb.connect(str(folder / f"{id}.duckdb"), config=settings)
        except duckdb.IOException as error:
            if "lock" not in str(error):
                raise InvalidInput(f"{folder} cannot be worked in: {error}") from error
            raise Conflict("Another process runs this import; wait for it, or look at `onevoice imports`") from error
        try:
            # Only with the bar on does it count how far it is; printed it is not.
            store.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
            yield store
        finally:
            store.close()


def _clear(work: Path, id: str) -> None:
    for left in work.glob(f"{id}.duckdb*"):
        left.unlink(missing_ok=True)
