"""Journeys saved and found: every change of the document is a new version, none is ever overwritten."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from onevoice.journeys.document import Document, Status, parse, written
from onevoice.journeys.models import journey as table
from onevoice.kernel.errors import NotFound


@dataclass(frozen=True)
class SavedJourney:
    """A version of a journey."""

    name: str
    version: int
    status: str
    saved_at: datetime
    definition: dict[str, Any]

    @property
    def document(self) -> Document:
        """The checked document."""
        return parse(self.definition)


def save(connection: Connection, document: dict[str, Any], now: datetime) -> tuple[int, bool]:
    """Saves a document as a new version if it differs from the newest; returns (version, changed).

    A document that names no status leaves the journey in the one it has. Raises InvalidInput naming the place.
    """
    journey = parse(document)
    definition = written(journey)
    newest = connection.execute(_newest(journey.name)).one_or_none()
    status = journey.status or (newest.status if newest is not None else "draft")
    if newest is not None and (newest.definition, newest.status) == (definition, status):
        return newest.version, False
    version = newest.version + 1 if newest is not None else 1
    connection.execute(
        table.insert().values(name=journey.name, version=version, definition=definition, status=status, saved_at=now)
    )
    return version, True


def launch(connection: Connection, name: str) -> None:
    """Lets the next tick move the journey. Raises NotFound."""
    _set_status(connection, name, "live")


def pause(connection: Connection, name: str) -> None:
    """Lets everybody stand where they are until it is launched again. Raises NotFound."""
    _set_status(connection, name, "paused")


def get(connection: Connection, name: str) -> SavedJourney:
    """The newest version. Raises NotFound."""
    row = connection.execute(_newest(name)).one_or_none()
    if row is None:
        raise NotFound(f"There is no journey {name!r}")
    return _saved(row)


def all_journeys(connection: Connection) -> list[SavedJourney]:
    """The newest version of each, by name."""
    newest = select(table.c.name, func.max(table.c.version).label("version")).group_by(table.c.name).subquery()
    rows = connection.execute(
        select(table)
        .join(newest, (table.c.name == newest.c.name) & (table.c.version == newest.c.version))
        .order_by(table.c.name)
    )
    return [_saved(row) for row in rows]


def live(connection: Connection) -> list[SavedJourney]:
    """Those whose newest version is live: what a tick moves."""
    return [journey for journey in all_journeys(connection) if journey.status == "live"]


def waiting(connection: Connection) -> dict[str, list[str]]:
    """By segment, the journeys that are not archived and wait for who enters it."""
    found: dict[str, list[str]] = {}
    for journey in all_journeys(connection):
        if journey.status != "archived":
            for segment in journey.document.segments:
                found.setdefault(segment, []).append(journey.name)
    return found


def _set_status(connection: Connection, name: str, status: Status) -> None:
    found = get(connection, name)
    which = (table.c.name == name) & (table.c.version == found.version)
    connection.execute(table.update().where(which).values(status=status))


def _newest(name: str) -> Any:
    return select(table).where(table.c.name == name).order_by(table.c.version.desc()).limit(1)


def _saved(row: Row[Any]) -> SavedJourney:
    return SavedJourney(row.name, row.version, row.status, row.saved_at, row.definition)
