"""A file's rows as a DuckDB table with the line each began on. Rows that cannot be read are named, and stop nothing.

Knows CSV, JSON lines and Parquet, and nothing of what the columns mean (that is `fields`).

A CSV file that is as regular as it looks (as many rows as lines, each with as many values as the header) is read by
DuckDB. Any other is read by Python's own reader, record by record: DuckDB numbers rows, not lines, and of a file with
both kinds of line ends it drops rows without a word.
"""

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from onevoice.kernel.errors import InvalidInput

LINE = '"#line"'
"""The column that says where a row began: the line in a text file, from 1; the row in Parquet, from 1."""

DELIMITERS = ",;\t|"

BLOCK = 1 << 20  # bytes looked at at once
CHUNK_ROWS = 50_000  # rows handed to DuckDB at once, if they are not more than
CHUNK_BYTES = 32 << 20  # so many bytes
MAX_ROW = 16 << 20  # characters of one value or line; more is no row but a file gone wrong
SHORTENED = 60  # characters of a value that a report repeats

Tell = Callable[[float], None]
"""Called now and then with the part that is done, from 0 to 1."""


@dataclass(frozen=True)
class Rows:
    """The rows of a file are in the table `raw`, each column under its header, and `LINE`; those that cannot be read
    in `unreadable` (line, value, reason)."""

    headers: list[str]
    text: Callable[[str], str]  # SQL for a column's value as text


def text_of(suffix: str) -> Callable[[str], str]:
    """SQL for the text of a column of `raw`, for a file of that ending."""
    if suffix in (".jsonl", ".ndjson"):
        return lambda header: f"({quoted(header)} ->> '$')"
    return (lambda header: f"{quoted(header)}::VARCHAR") if suffix == ".parquet" else quoted


def read(store: duckdb.DuckDBPyConnection, path: Path, tell: Tell = lambda part: None) -> Rows:
    """Makes the tables `raw` and `unreadable` of a file. Raises InvalidInput where it cannot be read at all."""
    suffix = path.suffix.lower()
    reader = READERS.get(suffix)
    if reader is None:
        raise InvalidInput(f"{path.name}: the ending must be one of {', '.join(READERS)}")
    store.execute("CREATE TABLE unreadable (line BIGINT, value VARCHAR, reason VARCHAR)")
    try:
        return Rows(reader(store, path, tell), text_of(suffix))
    except (OSError, duckdb.Error) as error:
        raise InvalidInput(f"{path.name} cannot be read: {error}") from error


def watched(store: duckdb.DuckDBPyConnection, sql: str, tell: Tell) -> None:
    """Runs a long statement, and says meanwhile how far it is."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(store.execute, sql)
        while not wait_for([running], timeout=0.2).done:
            tell(max(0.0, store.query_progress() / 100))
        running.result()


# -- CSV


def _csv(store: duckdb.DuckDBPyConnection, path: Path, tell: Tell) -> list[str]:
    with _opened(path) as file:
        start = file.read(BLOCK)
    if start.startswith(("\udcff\udcfe", "\udcfe\udcff")):
        raise InvalidInput(f"{path.name} is UTF-16; save it as CSV UTF-8")
    first = next((line for line in io.StringIO(start, newline="") if line.strip()), "")
    delimiter = max(DELIMITERS, key=first.count)
    found = next((row for row in csv.reader(io.StringIO(start, newline=""), delimiter=delimiter) if row), [])
    if not found:
        raise InvalidInput(f"{path.name} is empty; its first line must name the columns")
    headers = _distinct(found)
    plain = len(headers) > 1 and first == start[: len(first)] and not any("\n" in header for header in found)
    lines = _regular_lines(path) if plain else None
    if lines is None or not _regular(store, path, headers, delimiter, lines, tell):
        _exact(store, path, headers, delimiter, tell)
    return headers


def _regular_lines(path: Path) -> int | None:
    """How many lines a file has, if they all end the same way and none is longer than DuckDB likes."""
    newlines = pairs = returns = 0
    last = b"\n"
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            newlines += block.count(b"\n")
            returns += block.count(b"\r")
            pairs += block.count(b"\r\n") + (last == b"\r" and block[:1] == b"\n")
            last = block[-1:]
    if returns != pairs or pairs not in (0, newlines):
        return None
    return newlines + (last != b"\n")


def _regular(
    store: duckdb.DuckDBPyConnection, path: Path, headers: list[str], delimiter: str, lines: int, tell: Tell
) -> bool:
    columns = ", ".join(f"{literal(header)}: 'VARCHAR'" for header in headers)
    # The columns are given: a guess by the first rows would take a header for data where a row is too long.
    source = (
        f"read_csv({literal(str(path))}, columns = {{{columns}}}, delim = {literal(delimiter)}, quote = '\"', "
        "escape = '\"', header = false, skip = 1, auto_detect = false)"
    )
    try:
        watched(store, f"CREATE TABLE raw AS SELECT *, row_number() OVER () + 1 AS {LINE} FROM {source}", tell)
    except duckdb.Error:  # whatever it is, the exact reader finds out and says which row is to blame
        return False
    if _count(store, "raw") == lines - 1:
        return True
    store.execute("DROP TABLE raw")
    return False


def _exact(store: duckdb.DuckDBPyConnection, path: Path, headers: list[str], delimiter: str, tell: Tell) -> None:
    declared = ", ".join(f"{quoted(header)} VARCHAR" for header in headers)
    store.execute(f"CREATE OR REPLACE TABLE raw ({LINE} BIGINT, {declared})")
    csv.field_size_limit(MAX_ROW)
    size = max(path.stat().st_size, 1)
    with _opened(path) as file:
        records = _records(file, delimiter)
        next(records)  # the header
        for chunk in _chunks(records):
            good, bad = [], []
            for line, record in chunk:
                reason = record if isinstance(record, str) else _unreadable(record, len(headers))
                if reason:
                    bad.append((line, "" if isinstance(record, str) else delimiter.join(record), reason))
                else:
                    good.append((line, record))
            _insert(store, "raw", [(line, *(value or None for value in record)) for line, record in good])
            _refuse(store, bad)
            tell(_position(file) / size)


def _records(file: io.TextIOWrapper, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """The line each record begins on, with its values, or the reason why it has none. Empty lines are no records."""
    reader = csv.reader(_limited(file), delimiter=delimiter, strict=True)
    while True:
        before = reader.line_num
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error:
            swallowed = reader.line_num - before - 1
            yield (
                before + 1,
                "a quotation mark is out of place, or a value is over 16 MB"
                + (f"; it swallowed {swallowed} lines after it" if swallowed > 0 else ""),
            )
            continue
        if record:
            yield before + 1, record


def _limited(file: io.TextIOWrapper) -> Iterator[str]:
    """The lines, a monstrous one in pieces that the reader refuses."""
    while line := file.readline(MAX_ROW + 2):
        yield line


def _unreadable(record: Sequence[str], width: int) -> str:
    if len(record) != width:
        return f"{'more' if len(record) > width else 'fewer'} values than the header has columns"
    return "" if all(map(_is_text, record)) else "not UTF-8"


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


# -- JSON lines


def _json_lines(store: duckdb.DuckDBPyConnection, path: Path, tell: Tell) -> list[str]:
    # Each value stays the JSON it was: a text that looks like a time does not become one.
    store.execute(f"CREATE TABLE texts ({LINE} BIGINT, json VARCHAR)")
    size = max(path.stat().st_size, 1)
    with _opened(path) as file:
        numbered = ((number, line) for number, line in enumerate(_limited(file), 1) if line.strip())
        for chunk in _chunks(numbered):
            bad = [(number, line, "not UTF-8") for number, line in chunk if not _is_text(line)]
            bad += [(number, line, "over 16 MB") for number, line in chunk if len(line) > MAX_ROW]
            wrong = {number for number, *_ in bad}
            _insert(store, "texts", [(number, line) for number, line in chunk if number not in wrong])
            _refuse(store, bad)
            tell(_position(file) / size)
    store.execute(
        f"CREATE TABLE lines AS SELECT CASE WHEN json_valid(json) THEN json::JSON END AS json, {LINE}, "
        f"rtrim(left(json, {SHORTENED}), chr(13) || chr(10) || ' ') AS shown FROM texts"
    )
    store.execute("DROP TABLE texts")
    store.execute(
        "INSERT INTO unreadable SELECT \"#line\", shown, 'no JSON object' FROM lines "
        "WHERE coalesce(json_type(json), '') <> 'OBJECT'"
    )
    keys = store.execute(
        f"SELECT key FROM (SELECT unnest(json_keys(json)) AS key, {LINE} FROM lines "
        f"WHERE json_type(json) = 'OBJECT') GROUP BY key ORDER BY min({LINE}), key"
    ).fetchall()
    headers = _distinct([key for (key,) in keys])
    columns = "".join(
        f"json -> {literal('/' + key.replace('~', '~0').replace('/', '~1'))} AS {quoted(header)}, "  # RFC 6901
        for (key,), header in zip(keys, headers, strict=True)
    )
    store.execute(f"CREATE TABLE raw AS SELECT {columns} {LINE} FROM lines WHERE json_type(json) = 'OBJECT'")
    store.execute("DROP TABLE lines")
    return headers


# -- Parquet


def _parquet(store: duckdb.DuckDBPyConnection, path: Path, tell: Tell) -> list[str]:
    source = f"read_parquet({literal(str(path))}, file_row_number = true)"
    found = [row[0] for row in store.execute(f"DESCRIBE FROM read_parquet({literal(str(path))})").fetchall()]
    headers = _distinct(found)
    columns = "".join(f"{quoted(name)} AS {quoted(header)}, " for name, header in zip(found, headers, strict=True))
    watched(store, f"CREATE TABLE raw AS SELECT {columns} file_row_number + 1 AS {LINE} FROM {source}", tell)
    return headers


READERS: dict[str, Callable[[duckdb.DuckDBPyConnection, Path, Tell], list[str]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}
"""By the file's ending."""


def _opened(path: Path) -> io.TextIOWrapper:
    return io.TextIOWrapper(path.open("rb"), encoding="utf-8-sig", errors="surrogateescape", newline="")


def _position(file: io.TextIOWrapper) -> int:
    """How far the file has been read, in bytes; a text file itself refuses to say while it is iterated."""
    return os.lseek(file.fileno(), 0, os.SEEK_CUR)


def _chunks(rows: Iterator[tuple[int, Any]]) -> Iterator[list[tuple[int, Any]]]:
    """Rows in lists that are small, also where single rows are big."""
    chunk: list[tuple[int, Any]] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += len(row[1]) if isinstance(row[1], str) else sum(map(len, row[1]))
        if len(chunk) == CHUNK_ROWS or size > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _insert(store: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Adds rows of a line and texts."""
    if not rows:
        return
    line, *texts = zip(*rows, strict=True)
    columns = [pa.array(line, pa.int64()), *(pa.array(column, pa.string()) for column in texts)]
    store.register("incoming", pa.table(columns, names=[f"c{number}" for number in range(len(columns))]))
    store.execute(f"INSERT INTO {table} SELECT * FROM incoming")
    store.unregister("incoming")


def _refuse(store: duckdb.DuckDBPyConnection, bad: list[tuple[int, str, str]]) -> None:
    _insert(store, "unreadable", [(line, _shown(value), reason) for line, value, reason in bad])


def _shown(value: str) -> str:
    """The beginning of a text, as text."""
    return value[:SHORTENED].rstrip("\r\n").encode(errors="surrogateescape").decode(errors="replace")


def _count(store: duckdb.DuckDBPyConnection, table: str) -> int:
    found = store.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(found[0]) if found else 0


def _distinct(headers: list[str]) -> list[str]:
    """Headers as columns: none empty, none twice (DuckDB does not tell case apart), none with our own names' `#`."""
    made: dict[str, str] = {}
    for number, header in enumerate(headers, 1):
        name = header.strip().lstrip("#").strip().replace("\x00", "") or f"column {number}"
        name = name.encode(errors="surrogateescape").decode(errors="replace")
        while name.lower() in made:
            name += "_"
        made[name.lower()] = name
    return list(made.values())


def quoted(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A text as SQL."""
    return "'" + value.replace("'", "''") + "'"
