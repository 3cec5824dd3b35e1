"""Lists of identifiers, from a file or put together by journeys, for the condition `list`. The database keeps them, the
warehouse has a copy.

An import is a snapshot of its own; the newest of a name counts. The one before is kept, so an import or a removal can
be undone. Who an identifier belongs to is not kept here: membership follows identity.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from sqlalchemy import Connection

from onevoice.customers.identifiers import RULES, Identifier, Rules, identifier
from onevoice.database import driver
from onevoice.kernel.errors import InvalidInput, NotFound
from onevoice.segments.facts import LIST_ENTRIES
from onevoice.warehouse import WATERMARKS, Warehouse, set_watermark, watermark

KEPT = 2
"""Snapshots of a name that are kept: what counts, and what counted before."""


@dataclass(frozen=True)
class Imported:
    """What an import took: identifiers, and values that are none of their namespace."""

    name: str
    size: int
    refused: list[str]


def save(
    connection: Connection,
    name: str,
    namespace: str,
    values: Iterable[str],
    now: datetime,
    origin: str = "",
    rules: Rules = RULES,
) -> Imported:
    """Makes the values the list's, in place of those it had. Raises InvalidInput where none of them can be taken."""
    if not name.strip():
        raise InvalidInput("A list needs a name")
    taken: set[Identifier] = set()
    refused: list[str] = []
    for value in values:
        found = identifier(namespace, value, rules)
        if found is None:
            refused.append(value)
        else:
            taken.add(found)
    if not taken:
        raise InvalidInput(f"List {name}: nothing in the file can be a {namespace}; the list stays as it was")
    with driver(connection) as raw:
        snapshot = _snapshot(connection, name, origin, now, is_removed=False)
        with raw.cursor() as cursor, cursor.copy(_COPY) as copy:
            for one in taken:
                copy.write_row((snapshot, one.id, one.namespace, one.value))
    return Imported(name, len(taken), refused)


_COPY = "COPY segment_list_entry (snapshot, identifier_id, namespace, value) FROM STDIN"


def change(
    connection: Connection, name: str, added: Iterable[Identifier], removed: Iterable[Identifier], now: datetime
) -> None:
    """Puts identifiers on a list, which begins with the first, and takes others off it: as much work as there are of
    them, however long the list. Done again, it changes nothing. What is undone of an import takes its changes along."""
    come, gone = list(added), [one.id for one in removed]
    with driver(connection) as raw:
        row = raw.execute(
            "SELECT snapshot, is_removed FROM segment_list WHERE name = %s ORDER BY snapshot DESC LIMIT 1", (name,)
        ).fetchone()
        is_there = row is not None and not row[1]
        if not come and not is_there:
            return
        snapshot = row[0] if row is not None and is_there else _snapshot(connection, name, "journeys", now, False)
        raw.execute(
            "INSERT INTO segment_list_entry (snapshot, identifier_id, namespace, value) "
            "SELECT %s, * FROM unnest(%s::bigint[], %s::text[], %s::text[]) ON CONFLICT DO NOTHING",
            (snapshot, [one.id for one in come], [one.namespace for one in come], [one.value for one in come]),
        )
        if raw.execute(
            "DELETE FROM segment_list_entry WHERE snapshot = %s AND identifier_id = ANY(%s)", (snapshot, gone)
        ).rowcount:
            raw.execute("UPDATE segment_list SET revision = revision + 1 WHERE snapshot = %s", (snapshot,))


def remove(connection: Connection, name: str, now: datetime) -> None:
    """Takes a list away; `undo` brings it back. Raises NotFound."""
    if name not in {row["name"] for row in lists(connection)}:
        raise NotFound(f"There is no list {name!r}")
    _snapshot(connection, name, "", now, is_removed=True)


def undo(connection: Connection, name: str) -> None:
    """Takes the last import or removal of a list back. Raises NotFound where nothing was before it."""
    with driver(connection) as raw:
        held = raw.execute("SELECT snapshot FROM segment_list WHERE name = %s ORDER BY 1 DESC", (name,)).fetchall()
        if len(held) < KEPT:
            raise NotFound(f"There is nothing to go back to for the list {name!r}")
        _forget(connection, [held[0][0]])


def lists(connection: Connection) -> list[dict[str, object]]:
    """name, size, origin and saved_at of the lists there are, by name."""
    with driver(connection) as raw:
        rows = raw.execute(
            """
            SELECT name, (SELECT count(*) FROM segment_list_entry entry WHERE entry.snapshot = newest.snapshot),
                   origin, saved_at
            FROM (SELECT DISTINCT ON (name) * FROM segment_list ORDER BY name, snapshot DESC) newest
            WHERE NOT is_removed ORDER BY name
            """
        ).fetchall()
    return [dict(zip(("name", "size", "origin", "saved_at"), row, strict=True)) for row in rows]


def sync(warehouse: Warehouse, connection: Connection) -> list[str]:
    """Brings the warehouse's copy up to date; returns the lists that changed. Cheap where nothing did.

    A list that was imported, or that somebody was taken off, is read anew; of others only who came is. Nobody but the
    engine puts people on a list that is there (`change`), between two calls of this, so what came is what has a higher
    number.
    """
    with driver(connection) as raw:
        current = {
            name: (snapshot, revision)
            for name, snapshot, revision in raw.execute(
                """
                SELECT name, snapshot, revision
                FROM (SELECT DISTINCT ON (name) * FROM segment_list ORDER BY name, snapshot DESC) newest
                WHERE NOT is_removed
                """
            ).fetchall()
        }
        held = _held(warehouse)
        anew = sorted(name for name in held | current if held.get(name, GONE) != current.get(name, GONE))
        (last,) = raw.execute("SELECT coalesce(max(added), 0) FROM segment_list_entry").fetchone() or (0,)
        read = watermark(warehouse, READ)[0]
        if not anew and last <= read:
            return []
        kept = [snapshot for name, (snapshot, _) in current.items() if name not in anew]
        come = raw.execute(
            "SELECT name, snapshot, identifier_id FROM segment_list_entry JOIN segment_list USING (snapshot) "
            "WHERE added > %s AND added <= %s AND snapshot = ANY(%s)",
            (read, last, kept),
        ).fetchall()
        with warehouse.transaction():
            if anew:
                warehouse.delete(LIST_ENTRIES, warehouse.stage("changed_lists", pa.table({"list": anew})))
            for name in anew:
                snapshot, revision = current.get(name, GONE)
                ids = raw.execute(
                    "SELECT identifier_id FROM segment_list_entry WHERE snapshot = %s", (snapshot,)
                ).fetchall()
                warehouse.append(LIST_ENTRIES, _entries([(name, snapshot, one) for (one,) in ids]))
                set_watermark(warehouse, PREFIX + name, snapshot, revision)
            if come:
                warehouse.replace(LIST_ENTRIES, ["list", "identifier_id"], _entries(come))
            set_watermark(warehouse, READ, last, 0)
    return sorted({*anew, *(name for name, _, _ in come)})


READ, PREFIX = "lists", "list:"
"""Watermarks: up to which number entries were read, and each list's snapshot and revision."""

GONE = (0, 0)
"""Of a list that is not there."""


def _held(warehouse: Warehouse) -> dict[str, tuple[int, int]]:
    table = warehouse.table(WATERMARKS)
    rows = warehouse.rows(table.filter(table.name.startswith(PREFIX)))
    return {row["name"].removeprefix(PREFIX): (row["transaction"], row["sequence"]) for row in rows}


def _entries(rows: Sequence[tuple[str, int, int]]) -> pa.Table:
    columns = ("list", "snapshot", "identifier_id")
    return LIST_ENTRIES.arrow({name: [row[place] for row in rows] for place, name in enumerate(columns)})


def _snapshot(connection: Connection, name: str, origin: str, now: datetime, is_removed: bool) -> int:
    """A new snapshot of a name; all but the last before it are forgotten."""
    with driver(connection) as raw:
        (snapshot,) = raw.execute(
            "INSERT INTO segment_list (name, origin, is_removed, saved_at) VALUES (%s, %s, %s, %s) RETURNING snapshot",
            (name, origin, is_removed, now),
        ).fetchone() or (0,)
        held = raw.execute("SELECT snapshot FROM segment_list WHERE name = %s ORDER BY 1 DESC", (name,)).fetchall()
    _forget(connection, [one for (one,) in held[KEPT:]])
    return int(snapshot)


def _forget(connection: Connection, snapshots: list[int]) -> None:
    with driver(connection) as raw:
        for table in ("segment_list_entry", "segment_list"):
            raw.execute(f"DELETE FROM {table} WHERE snapshot = ANY(%s)".encode(), (snapshots,))  # noqa: S608
