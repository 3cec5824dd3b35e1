"""Segments saved and found."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from graphlib import CycleError, TopologicalSorter
from typing import Any

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects.postgresql import insert

from onevoice.kernel.errors import InvalidInput, NotFound
from onevoice.segments.models import segment as table
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


def save(
    connection: Connection, document: dict[str, Any], now: datetime, coming: Collection[str] = ()
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
    if held is not None and held.definition == document:
        return held.version, False
    version = held.version + 1 if held is not None else 1
    row = {"version": version, "definition": document, "updated_at": now}
    connection.execute(insert(table).values(name=name, **row).on_conflict_do_update(index_elements=["name"], set_=row))
    return version, True


def get(connection: Connection, name: str) -> SavedSegment:
    """One segment. Raises NotFound."""
    row = connection.execute(select(table).where(table.c.name == name)).one_or_none()
    if row is None:
        raise NotFound(f"There is no segment {name!r}")
    return _saved(row)


def all_segments(connection: Connection) -> list[SavedSegment]:
    """All of them, by name."""
    return [_saved(row) for row in connection.execute(select(table).order_by(table.c.name))]


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
