"""A file's rows as a DuckDB table, whatever its format. Rows that cannot even be read are named, and stop nothing.

Knows CSV, JSON lines and Parquet, and nothing of what the columns mean (that is `importing`).
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from onevoice.kernel.errors import InvalidInput

ROW = '"#row"'
"""The column that numbers the rows of a file; the first after a header is 1."""

DELIMITERS = ",;\t|"

_REASONS = """CASE error_type
    WHEN 'TOO MANY COLUMNS' THEN 'more values than the header has columns'
    WHEN 'MISSING COLUMNS' THEN 'fewer values than the header has columns'
    WHEN 'INVALID ENCODING' THEN 'not UTF-8'
    WHEN 'UNQUOTED VALUE' THEN 'a quotation mark is out of place'
        || CASE lines WHEN 1 THEN '' ELSE '; it swallowed ' || lines - 1 || ' lines after it' END
    ELSE error_message END"""


@dataclass(frozen=True)
class Rows:
    """The rows of a file are in the table `raw`, each column under its header, and `ROW`."""

    headers: list[str]
    unreadable: list[tuple[int, str]]  # row and reason of those that are not in `raw`
    text: Callable[[str], str]  # SQL for a column's value as text


def read(store: duckdb.DuckDBPyConnection, path: Path) -> Rows:
    """Makes the table `raw` of a file. Raises InvalidInput where the file cannot be read at all."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidInput(f"{path.name}: the ending must be one of {', '.join(READERS)}")
    try:
        return reader(store, path)
    except (OSError, duckdb.Error) as error:
        raise InvalidInput(f"{path.name} cannot be read: {error}") from error


def _csv(store: duckdb.DuckDBPyConnection, path: Path) -> Rows:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        line = next((line for line in file if line.strip()), "")
    delimiter = max(DELIMITERS, key=line.count)
    headers = _distinct(next(csv.reader([line], delimiter=delimiter), []))
    if not headers:
        raise InvalidInput(f"{path.name} is empty; its first line must name the columns")
    columns = ", ".join(f"{literal(header)}: 'VARCHAR'" for header in headers)
    # The columns are given: a guess by the first rows would take a header for data where a row is too long.
    _fill(
        store,
        f"read_csv({literal(str(path))}, columns = {{{columns}}}, delim = {literal(delimiter)}, quote = '\"', "
        "escape = '\"', header = true, auto_detect = false, store_rejects = true, rejects_limit = 0)",
    )
    store.execute(
        f"CREATE TABLE unreadable AS SELECT line - 1 AS number, min({_REASONS}) AS reason, "  # noqa: S608  # our SQL
        "row_number() OVER (ORDER BY line) AS nth FROM (SELECT *, len(string_split(trim(csv_line, chr(10)), chr(10))) "
        "AS lines FROM reject_errors) GROUP BY line"
    )
    unreadable = store.execute("SELECT number, reason FROM unreadable ORDER BY number").fetchall()
    if unreadable:  # counted so far without them
        store.execute(
            f"CREATE TABLE numbered AS SELECT raw.* REPLACE (raw.{ROW} + coalesce(u.nth, 0) AS {ROW}) "  # noqa: S608
            "FROM raw ASOF LEFT JOIN (SELECT number - nth AS before, max(nth) AS nth FROM unreadable GROUP BY ALL) u "
            f"ON raw.{ROW} > u.before"
        )
        store.execute("DROP TABLE raw; ALTER TABLE numbered RENAME TO raw")
    return Rows(headers, unreadable, quoted)


def _json_lines(store: duckdb.DuckDBPyConnection, path: Path) -> Rows:
    # Each value stays the JSON it was: a text that looks like a time does not become one.
    store.execute(
        f"CREATE TABLE lines AS SELECT json, row_number() OVER () AS {ROW}, "  # noqa: S608  # our SQL
        f"coalesce(json_type(json), '') = 'OBJECT' AS readable FROM read_json({literal(str(path))}, "
        "format = 'newline_delimited', records = false, ignore_errors = true, columns = {'json': 'JSON'})"
    )
    keys = store.execute(
        f"SELECT key FROM (SELECT unnest(json_keys(json)) AS key, {ROW} FROM lines WHERE readable) "  # noqa: S608
        f"GROUP BY key ORDER BY min({ROW}), key"
    ).fetchall()
    headers = _distinct([key for (key,) in keys])
    columns = "".join(
        f"json -> {literal('/' + key.replace('~', '~0').replace('/', '~1'))} AS {quoted(header)}, "  # RFC 6901
        for (key,), header in zip(keys, headers, strict=True)
    )
    store.execute(f"CREATE TABLE raw AS SELECT {columns} {ROW} FROM lines WHERE readable")  # noqa: S608  # our SQL
    unreadable = store.execute(f"SELECT {ROW}, 'no JSON object' FROM lines WHERE NOT readable ORDER BY 1").fetchall()  # noqa: S608
    store.execute("DROP TABLE lines")
    return Rows(headers, unreadable, lambda header: f"({quoted(header)} ->> '$')")


def _parquet(store: duckdb.DuckDBPyConnection, path: Path) -> Rows:
    source = f"read_parquet({literal(str(path))})"
    found = [row[0] for row in store.execute(f"DESCRIBE FROM {source}").fetchall()]
    headers = _distinct(found)
    columns = ", ".join(f"{quoted(name)} AS {quoted(header)}" for name, header in zip(found, headers, strict=True))
    _fill(store, f"(SELECT {columns} FROM {source})")  # noqa: S608  # our SQL
    return Rows(headers, [], lambda header: f"{quoted(header)}::VARCHAR")


READERS: dict[str, Callable[[duckdb.DuckDBPyConnection, Path], Rows]] = {
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}
"""By the file's ending."""


def _fill(store: duckdb.DuckDBPyConnection, source: str) -> None:
    store.execute(f"CREATE TABLE raw AS SELECT *, row_number() OVER () AS {ROW} FROM {source}")  # noqa: S608  # our SQL


def _distinct(headers: list[str]) -> list[str]:
    """Headers as columns: none empty, none twice (DuckDB does not tell case apart), none with our own names' `#`."""
    made: dict[str, str] = {}
    for number, header in enumerate(headers, 1):
        name = header.strip().lstrip("#").strip() or f"column {number}"
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
