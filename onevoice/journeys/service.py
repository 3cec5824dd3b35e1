"""Journeys saved and found: every change of the document is a new version, none is ever overwritten."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Row, func, select, tuple_

from onevoice.delivery import holds
from onevoice.delivery.holds import Scope
from onevoice.journeys.document import FINISH, LEAVE, Document, Status, all_steps, parse, written
from onevoice.journeys.laid import Laid, laid
from onevoice.journeys.models import journey as table
from onevoice.journeys.steps.cascade import usual_prices
from onevoice.journeys.steps.rewards import require_handler
from onevoice.kernel.errors import Conflict, InvalidInput, NotFound

OVER = ("stopped", "archived")
"""Of what was stopped or put away, everybody is taken out."""


@dataclass(frozen=True)
class SavedJourney:
    """A version of a journey."""

    name: str
    version: int
    status: str
    saved_at: datetime
    definition: dict[str, Any]
    launched_at: datetime | None = None  # since when it takes people in
    moves: Mapping[str, str] = field(default_factory=dict)  # of who stands at a step of an older version

    @property
    def laid_out(self) -> Laid:
        """The version, checked and laid out."""
        return laid(self.name, self.version, self.definition)

    @property
    def document(self) -> Document:
        """The checked document."""
        return self.laid_out.document

    @property
    def plain(self) -> dict[str, Any]:
        """The version as the engine is asked about it."""
        return {"name": self.name, "version": self.version, "definition": self.definition}


def save(
    connection: Connection,
    document: dict[str, Any],
    now: datetime,
    moves: Mapping[str, str] | None = None,
    by: str = "",
) -> tuple[int, bool]:
    """Saves a document as a new version if it differs from the newest; returns (version, changed).

    A document that names no status leaves the journey in the one it has. `moves` says what becomes of the people on
    older versions, by step; before it counts what the document says (`migrate`); who is told nothing goes on where they
    stand, and does a step that is gone as their version has it. Raises InvalidInput naming the place.
    """
    journey = parse(document)
    for place, step in all_steps(journey.steps):
        try:
            require_handler(step.kind, step.asked, f"{place}.{step.kind}")
        except InvalidInput as error:
            raise InvalidInput(f"Journey {journey.name!r}: {error}") from error
    definition = written(journey)
    newest = connection.execute(_newest(journey.name)).one_or_none()
    status = journey.status or (newest.status if newest is not None else "draft")
    if newest is not None and (newest.definition, newest.status) == (definition, status):
        return newest.version, False
    version = newest.version + 1 if newest is not None else 1
    launched_at = newest.launched_at if newest is not None else None
    row = {"name": journey.name, "version": version, "definition": definition, "status": status, "saved_at": now}
    before = newest.status if newest is not None else "draft"
    row |= {
        "launched_at": _launched(before, status, launched_at, now),
        "moves": _moves(connection, journey, moves or {}),
        "saved_by": by,
    }
    connection.execute(table.insert().values(**row))
    _take_messages_along(connection, journey.name, before, status)
    return version, True


def _moves(connection: Connection, journey: Document, told: Mapping[str, str]) -> dict[str, str]:
    """What becomes of the people on older versions, by step."""
    there = {step.id for _, step in all_steps(journey.steps)}
    for old, fate in told.items():
        if fate not in (FINISH, LEAVE) and fate not in there:
            raise InvalidInput(
                f"Journey {journey.name!r}: who stands at {old} may {FINISH}, {LEAVE}, or go to a step of this version "
                f"({', '.join(sorted(there))}); not {fate!r}"
            )
    older = connection.scalars(select(table.c.definition).where(table.c.name == journey.name))
    before = {step.id for definition in older for _, step in all_steps(parse(definition).steps)}
    return {**dict.fromkeys(sorted(before - there), FINISH), **journey.migrate, **told}


def launch(connection: Connection, name: str, now: datetime) -> None:
    """Lets the next tick move the journey; it takes in who comes from now on. Raises NotFound, Conflict."""
    found = get(connection, name)
    if found.status == "paused":
        raise Conflict(f"Journey {name} is paused, with people in it: resume it, or stop it first")
    _set_status(connection, name, "live", now)


def pause(connection: Connection, name: str, now: datetime) -> None:
    """Lets everybody stand where they are until it is resumed. Raises NotFound, Conflict where it is not live."""
    _set_status(connection, name, "paused", now, "live")


def resume(connection: Connection, name: str, now: datetime) -> None:
    """Goes on where it was paused: what fell due meanwhile is done, but messages that are three days late.

    Raises NotFound, Conflict where it is not paused.
    """
    _set_status(connection, name, "live", now, "paused")


def stop(connection: Connection, name: str, now: datetime) -> None:
    """Takes everybody out with the next tick, and lets nobody in. Raises NotFound, Conflict where it does not run."""
    _set_status(connection, name, "stopped", now, "live", "paused")


def archive(connection: Connection, name: str, now: datetime) -> None:
    """Puts it away, with everybody out. Raises NotFound."""
    _set_status(connection, name, "archived", now)


CHANGES = {"launch": launch, "pause": pause, "resume": resume, "stop": stop, "archive": archive}
"""What may be done with a journey, by name."""


def get(connection: Connection, name: str) -> SavedJourney:
    """The newest version. Raises NotFound."""
    row = connection.execute(_newest(name)).one_or_none()
    if row is None:
        raise NotFound(f"There is no journey {name!r}")
    return saved(row)


def cascade(connection: Connection, name: str, step: str) -> dict[str, Any]:
    """What is asked about a cascade of the newest version: its channels, topic, and the prices it says. Raises
    NotFound."""
    document, asked = _asked(connection, name, step, "cascade")
    channels = list(dict.fromkeys(send.channel for send in asked.channels))
    return {"name": name, "step": step, "channels": channels, "topic": document.topic, "prices": usual_prices(asked)}


def split(connection: Connection, name: str, step: str) -> dict[str, Any]:
    """What is asked about a split of the newest version. Raises NotFound."""
    _, asked = _asked(connection, name, step, "split")
    bare = replace(asked, variants=[replace(one, steps=[]) for one in asked.variants])
    return {"name": name, "step": step, "split": msgspec.to_builtins(bare)}


def _asked(connection: Connection, name: str, step: str, kind: str) -> tuple[Document, Any]:
    document = get(connection, name).document
    for _, one in all_steps(document.steps):
        if (one.id, one.kind) == (step, kind):
            return document, one.asked
    raise NotFound(f"Journey {name!r} has no {kind} {step!r}")


def all_journeys(connection: Connection) -> list[SavedJourney]:
    """The newest version of each, by name."""
    newest = select(table.c.name, func.max(table.c.version).label("version")).group_by(table.c.name).subquery()
    rows = connection.execute(
        select(table)
        .join(newest, (table.c.name == newest.c.name) & (table.c.version == newest.c.version))
        .order_by(table.c.name)
    )
    return [saved(row) for row in rows]


def live(connection: Connection, in_flight: Collection[tuple[str, int]] = ()) -> list[SavedJourney]:
    """What a tick moves: the newest version of each live journey, with the older ones on which people are in flight;
    and of those that were stopped or archived what still has people in it."""
    newest = all_journeys(connection)
    found = [journey for journey in newest if journey.status == "live"]
    names = {journey.name for journey in found}
    over = {journey.name: journey for journey in newest if journey.status in OVER}
    older = [
        (name, version)
        for name, version in sorted(in_flight)
        if name in names and (name, version) not in {(one.name, one.version) for one in found}
    ]
    if older:
        rows = connection.execute(select(table).where(tuple_(table.c.name, table.c.version).in_(older)))
        found += [saved(row) for row in rows]
    return found + [over[name] for name in sorted({name for name, _ in in_flight} & set(over))]


def waiting(connection: Connection) -> dict[str, list[str]]:
    """By segment, the journeys that are not archived and wait for who enters it."""
    found: dict[str, list[str]] = {}
    for journey in all_journeys(connection):
        if journey.status != "archived":
            for segment in journey.document.segments:
                found.setdefault(segment, []).append(journey.name)
    return found


def over(connection: Connection) -> set[str]:
    """The journeys that were stopped or put away; to be asked by who hands over what of theirs was planned.

    Waits for who is just stopping one, and nobody waits for who has asked: a stop must not take as long as a hand-off.
    One that comes afterwards cancels what the hand-off queues, since its transaction began before.
    """
    # A session's lock, given back at once; a transaction's would be held to its end.
    connection.execute(select(func.pg_advisory_lock(_STOPPING), func.pg_advisory_unlock(_STOPPING)))
    return {journey.name for journey in all_journeys(connection) if journey.status in OVER}


_STOPPING = 0x6F76_6A73
"""The advisory lock, shared by who stops a journey, by which a hand-off sees every stop that it does not precede."""


def _set_status(connection: Connection, name: str, status: Status, now: datetime, *allowed: str) -> None:
    found = get(connection, name)
    if allowed and found.status not in allowed:
        raise Conflict(f"Journey {name} is {found.status}; that can only be done where it is {' or '.join(allowed)}")
    which = (table.c.name == name) & (table.c.version == found.version)
    launched_at = _launched(found.status, status, found.launched_at, now)
    connection.execute(table.update().where(which).values(status=status, launched_at=launched_at))
    _take_messages_along(connection, name, found.status, status)


def _take_messages_along(connection: Connection, name: str, before: str, after: str) -> None:
    """What the journey has queued stands, goes on or is cancelled with it, within two seconds.

    What it has planned and not queued yet: see `over`.
    """
    scope = Scope(journey=name)
    if after in OVER and before not in OVER:
        # Before the hold is placed: see `over`.
        connection.execute(select(func.pg_advisory_xact_lock_shared(_STOPPING)))
    if before == "paused" != after:
        holds.lift(connection, scope, strict=False)
    if after == "paused" != before:
        holds.place(connection, holds.PAUSE, scope, "journey")
    if after in OVER and before not in OVER:
        holds.place(connection, holds.CANCEL, scope, "journey")


def _launched(before: str, after: str, launched_at: datetime | None, now: datetime) -> datetime | None:
    """Since when a journey takes people in: a pause does not begin it anew, all else does."""
    return now if after == "live" and before not in ("live", "paused") else launched_at


def _newest(name: str) -> Any:
    return select(table).where(table.c.name == name).order_by(table.c.version.desc()).limit(1)


def saved(row: Row[Any]) -> SavedJourney:
    """A row of the table `journey`."""
    return SavedJourney(
        row.name, row.version, row.status, row.saved_at, row.definition, row.launched_at, row.moves or {}
    )
