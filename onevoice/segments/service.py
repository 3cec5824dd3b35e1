"""Segments saved and found, every version kept; deleted and restored."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from graphlib import CycleError, TopologicalSorter
from typing import Any

import yaml
from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects.postgresql import insert

from onevoice.kernel.errors import Conflict, InvalidInput, NotFound
from onevoice.segments.models import segment as table
from onevoice.segments.models import segment_version as versions_table
from onevoice.segments.tree import Condition, condition, segments_named

KEYS = {"kind", "name", "title", "description", "where"}
"""What a document may hold."""


@dataclass(frozen=True)
class SavedSegment:
    """A segment and its document."""

    name: str
    version: int
    document: dict[str, Any]

    @property
    def condition(self) -> Condition:
        """The checked tree."""
        return condition(self.document["where"])


@dataclass(frozen=True)
class Version:
    """What a segment was once defined as, since when and by whom."""

    name: str
    version: int
    saved_at: datetime
    saved_by: str
    document: dict[str, Any]


def save(
    connection: Connection, document: dict[str, Any], now: datetime, coming: Collection[str] = (), by: str = ""
) -> tuple[int, bool]:
    """Saves a document; returns (version, changed). Raises InvalidInput naming the place that is wrong.

    `coming` names segments that will be saved in the same transaction; others that the document asks about must exist.
    """
    name = document.get("name")
    if not isinstance(name, str) or not name.strip():
        raise InvalidInput("A segment needs a `name`, a text")
    if unknown := set(document) - KEYS:
        raise InvalidInput(
            f"Segment {name}: unknown {', '.join(sorted(unknown))}; allowed are {', '.join(sorted(KEYS))}"
        )
    tree = condition(document.get("where"), f"Segment {name}, where")
    others = {saved.name: saved.condition for saved in all_segments(connection)}
    if missing := set(segments_named(tree)) - {name, *others, *coming}:
        raise InvalidInput(f"Segment {name}: there is no segment {', '.join(sorted(missing))}; save it first")
    _refuse_cycles({**others, name: tree})
    held = connection.execute(select(table).where(table.c.name == name)).one_or_none()
    if held is not None and held.definition == document and held.archived_at is None:
        return held.version, False
    version = held.version + 1 if held is not None else 1
    row = {"version": version, "definition": document, "updated_at": now, "archived_at": None}
    connection.execute(insert(table).values(name=name, **row).on_conflict_do_update(index_elements=["name"], set_=row))
    kept = {"name": name, "version": version, "definition": document, "saved_at": now, "saved_by": by}
    connection.execute(versions_table.insert().values(kept))
    return version, True


def replace(
    connection: Connection, name: str, document: dict[str, Any], now: datetime, by: str = ""
) -> tuple[int, bool]:
    """Saves a new version of a segment that is there. Raises NotFound, InvalidInput."""
    get(connection, name)
    if document.get("name", name) != name:
        raise InvalidInput(
            f"Segment {name} keeps its name, which other segments, journeys and its events go by; "
            f"save it as {document['name']}, let them ask about that one, and delete {name}"
        )
    return save(connection, {**document, "name": name}, now, by=by)


def delete(connection: Connection, name: str, now: datetime, used: Mapping[str, Collection[str]]) -> None:
    """Puts a segment away; `restore` brings it back. `used` says which journeys stand on which segments.

    Raises NotFound, and Conflict with the path to whatever needs it.
    """
    get(connection, name)
    paths = uses(connection, name, used)
    if paths:
        told = "; ".join(" → ".join(path) for path in paths)
        raise Conflict(f"Segment {name} is in use: {told}. Change or delete those first")
    connection.execute(table.update().where(table.c.name == name).values(archived_at=now))


def uses(connection: Connection, name: str, used: Mapping[str, Collection[str]]) -> list[list[str]]:
    """The paths from a segment to what needs it: segments that ask about it, and journeys, also by way of those."""
    graph = {saved.name: set(segments_named(saved.condition)) for saved in all_segments(connection)}
    open_, paths = [[f"segment {name}"]], []
    reached = {name}
    while open_:
        path = open_.pop(0)
        here = path[-1].removeprefix("segment ")
        ends = [[*path, f"journey {journey}"] for journey in sorted(used.get(here, ()))]
        further = sorted(other for other, asked in graph.items() if here in asked and other not in reached)
        reached |= set(further)
        paths += ends
        if not ends and not further and len(path) > 1:
            paths.append(path)
        open_ += [[*path, f"segment {other}"] for other in further]
    return paths


def restore(
    connection: Connection, name: str, now: datetime, version: int | None = None, by: str = ""
) -> tuple[int, bool]:
    """Brings a deleted segment back, or an earlier version as a new one; returns (version, changed).

    Raises NotFound, and InvalidInput where it asks about a segment that is no more.
    """
    held = connection.execute(select(table).where(table.c.name == name)).one_or_none()
    if held is None:
        raise NotFound(f"There is no segment {name!r}, nor was there")
    if version is None and held.archived_at is None:
        raise InvalidInput(f"Segment {name} is not deleted; say which version to restore")
    return save(
        connection, held.definition if version is None else _version(connection, name, version).document, now, by=by
    )


def versions(connection: Connection, name: str) -> list[Version]:
    """All versions of a segment, also of a deleted one, the newest first. Raises NotFound."""
    rows = connection.execute(
        select(versions_table).where(versions_table.c.name == name).order_by(versions_table.c.version.desc())
    )
    found = [Version(row.name, row.version, row.saved_at, row.saved_by, row.definition) for row in rows]
    if not found:
        raise NotFound(f"There is no segment {name!r}")
    return found


def difference(connection: Connection, name: str, old: int, new: int) -> str:
    """What changed between two versions, line by line of their YAML, as `diff -u` has it. Raises NotFound."""
    sides = [_version(connection, name, number) for number in (old, new)]
    left, right = (yaml.safe_dump(side.document, allow_unicode=True, sort_keys=False).splitlines() for side in sides)
    return "\n".join(difflib.unified_diff(left, right, f"version {old}", f"version {new}", lineterm=""))


def archived(connection: Connection) -> list[SavedSegment]:
    """The deleted ones, by name."""
    rows = connection.execute(select(table).where(table.c.archived_at.is_not(None)).order_by(table.c.name))
    return [_saved(row) for row in rows]


def _version(connection: Connection, name: str, number: int) -> Version:
    for one in versions(connection, name):
        if one.version == number:
            return one
    raise NotFound(f"Segment {name} has no version {number}")


def get(connection: Connection, name: str) -> SavedSegment:
    """One segment. Raises NotFound."""
    row = connection.execute(select(table).where(table.c.name == name)).one_or_none()
    if row is None:
        raise NotFound(f"There is no segment {name!r}")
    if row.archived_at is not None:
        raise NotFound(f"Segment {name} is deleted; restore it first")
    return _saved(row)


def all_segments(connection: Connection) -> list[SavedSegment]:
    """All that are not deleted, by name."""
    rows = connection.execute(select(table).where(table.c.archived_at.is_(None)).order_by(table.c.name))
    return [_saved(row) for row in rows]


def in_order(segments: list[SavedSegment]) -> list[SavedSegment]:
    """So that a segment comes after those it asks about."""
    by_name = {segment.name: segment for segment in segments}
    graph = {segment.name: set(segments_named(segment.condition)) for segment in segments}
    return [by_name[name] for name in TopologicalSorter(graph).static_order() if name in by_name]


def _refuse_cycles(trees: dict[str, Condition]) -> None:
    graph = {name: set(segments_named(tree)) for name, tree in trees.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise InvalidInput(f"Segments ask about each other in a circle: {' → '.join(error.args[1])}") from error


def _saved(row: Row[Any]) -> SavedSegment:
    return SavedSegment(row.name, row.version, row.definition)
