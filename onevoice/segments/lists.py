"""Lists of identifiers from a file, for the condition `list`. The database keeps them, the warehouse has a copy.

An import is a snapshot of its own; the newest of a name counts. The one before is kept, so an import or a removal can
be undone. Who an identifier belongs to is not kept here: membership follows identity.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from sqlalchemy import Connection

from onevoice.customers.identifiers import RULES, Identifier, Rules, identifier
from onevoice.database import driver
from onevoice.kernel.errors import InvalidInput, NotFound
from onevoice.segments.facts import LIST_ENTRIES
from onevoice.warehouse import Warehouse

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
        with raw.cursor() as cursor, cursor.copy("COPY segment_list_entry FROM STDIN") as copy:
            for one in taken:
                copy.write_row((snapshot, one.id, one.namespace, one.value))
    return Imported(name, len(taken), refused)


def change(
    connection: Connection, name: str, added: Iterable[Identifier], removed: Iterable[Identifier], now: datetime
) -> None:
    """Puts identifiers on a list, which begins with the first, and takes others off it, as one new snapshot."""
    with driver(connection) as raw:
        row = raw.execute(
            "SELECT snapshot FROM segment_list WHERE name = %s ORDER BY snapshot DESC LIMIT 1", (name,)
        ).fetchone()
        snapshot = _snapshot(connection, name, "journeys", now, is_removed=False, keep=KEPT + 1)
        if row is not None:
            raw.execute(
                "INSERT INTO segment_list_entry SELECT %s, identifier_id, namespace, value FROM segment_list_entry "
                "WHERE snapshot = %s AND identifier_id <> ALL(%s) AND NOT (SELECT is_removed FROM segment_list "
                "WHERE snapshot = %s)",
                (snapshot, row[0], [one.id for one in removed], row[0]),
            )
        for one in added:
            raw.execute(
                "INSERT INTO segment_list_entry VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (snapshot, one.id, one.namespace, one.value),
            )
        held = raw.execute("SELECT snapshot FROM segment_list WHERE name = %s ORDER BY 1 DESC", (name,)).fetchall()
    _forget(connection, [one for (one,) in held[KEPT:]])


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
    """Brings the warehouse's copy up to date; returns the lists that changed. Cheap where nothing did."""
    with driver(connection) as raw:
        current = dict(
            raw.execute(
                """
                SELECT name, snapshot
                FROM (SELECT DISTINCT ON (name) * FROM segment_list ORDER BY name, snapshot DESC) newest
                WHERE NOT is_removed
                """
            ).fetchall()
        )
        entries = warehouse.table(LIST_ENTRIES)
        held = {row["list"]: row["snapshot"] for row in warehouse.rows(entries.select("list", "snapshot").distinct())}
        changed = sorted(name for name in held | current if held.get(name) != current.get(name))
        if not changed:
            return []
        with warehouse.transaction():
            warehouse.delete(LIST_ENTRIES, warehouse.stage("changed_lists", pa.table({"list": changed})))
            for name in changed:
                if name in current:
                    ids = raw.execute(
                        "SELECT identifier_id FROM segment_list_entry WHERE snapshot = %s", (current[name],)
                    ).fetchall()
                    warehouse.append(
                        LIST_ENTRIES,
                        LIST_ENTRIES.arrow(
                            {
                                "list": [name] * len(ids),
                                "snapshot": [current[name]] * len(ids),
                                "identifier_id": [one for (one,) in ids],
                            }
                        ),
                    )
    return changed


def _snapshot(connection: Connection, name: str, origin: str, now: datetime, is_removed: bool, keep: int = KEPT) -> int:
    """A new snapshot of a name; all but the last before it are forgotten."""
    with driver(connection) as raw:
        (snapshot,) = raw.execute(
            "INSERT INTO segment_list (name, origin, is_removed, saved_at) VALUES (%s, %s, %s, %s) RETURNING snapshot",
            (name, origin, is_removed, now),
        ).fetchone() or (0,)
        held = raw.execute("SELECT snapshot FROM segment_list WHERE name = %s ORDER BY 1 DESC", (name,)).fetchall()
    _forget(connection, [one for (one,) in held[keep:]])
    return int(snapshot)


def _forget(connection: Connection, snapshots: list[int]) -> None:
    with driver(connection) as raw:
        for table in ("segment_list_entry", "segment_list"):
            raw.execute(f"DELETE FROM {table} WHERE snapshot = ANY(%s)".encode(), (snapshots,))  # noqa: S608
