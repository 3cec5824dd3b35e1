"""The quarantine's way back: an entry, maybe corrected, is taken again as if it had come at its own time.

What is still at fault stays, with its reason. Once taken, the entry is marked, never deleted: the past stays readable.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from onevoice.database import inbox
from onevoice.database.inbox import Entry, Kind
from onevoice.events import door, plans, quarantine, tracking
from onevoice.events.plans import Plan
from onevoice.events.quarantine import OPEN, REPLAYED, Held
from onevoice.events.webhooks import FAULTS, platforms, taking
from onevoice.kernel.errors import Conflict, InvalidInput

DEDUPLICATED = "deduplicated"
"""The outcome where another copy of the event was taken in the meantime."""


def replay(
    connection: Connection, number: int, now: datetime, planned: Mapping[str, Plan], corrected: bytes | None = None
) -> str:
    """Takes an entry again, in the connection's transaction (one of its own: see `door`); returns what became of it.

    Raises NotFound, Conflict where it is not open, InvalidInput with the reason where it still cannot be taken.
    """
    held = quarantine.get(connection, number)
    if held.state != OPEN:
        raise Conflict(f"Entry {number} is {held.state}; reopen it first")
    payload = held.refused.payload if corrected is None else corrected
    if held.refused.reason == LOAD:
        outcome = _into_the_inbox(connection, held, payload)
    elif held.refused.reason == taking.REASON:
        outcome = _delivered(connection, held, payload, now, planned)
    else:
        outcome = _called(connection, held, payload, planned)
    quarantine.resolve(connection, number, REPLAYED, now)
    return outcome


LOAD = "load"
"""The reason of entries that the load could not take: they passed the door already."""


def _into_the_inbox(connection: Connection, held: Held, payload: bytes) -> str:
    refused = held.refused
    try:
        msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(f"Still no JSON: {error}") from error
    inbox.append(connection, [Entry(refused.source_id, refused.kind, refused.received_at, door.line(payload))])
    return REPLAYED


def _called(connection: Connection, held: Held, payload: bytes, planned: Mapping[str, Plan]) -> str:
    refused = held.refused
    intake = tracking.again(payload, refused.request, refused.source_id, refused.received_at, planned)
    brought = intake.brought
    if brought.refused:
        raise InvalidInput(f"Still at fault: {brought.refused[0].detail}")
    lines = dict(zip(brought.keys, brought.lines, strict=True))
    new = door.enter_lines(connection, refused.source_id, refused.received_at, lines)
    plans.warn(connection, brought.violations, refused.received_at)
    return REPLAYED if new else DEDUPLICATED


def _delivered(connection: Connection, held: Held, payload: bytes, now: datetime, planned: Mapping[str, Plan]) -> str:
    try:
        kept = msgspec.json.decode(payload, type=taking.Kept)
        said = msgspec.json.decode(kept.body, type=dict)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(f"A delivery needs platform, topic and body: {error}") from error
    platform = platforms().get(kept.platform)
    try:
        if platform is None or platform.translate(kept.topic, said) is None:
            raise InvalidInput(f"There is no {kept.topic} of {kept.platform}")
    except FAULTS as error:
        raise InvalidInput(f"Still of another shape: {error!r}") from error
    taken = taking.take(connection, held.refused.source_id, platform, kept.topic, said, now, planned)
    return REPLAYED if taken.events or taken.products or taken.consents else DEDUPLICATED


def discard(connection: Connection, number: int, now: datetime) -> None:
    """Marks an open entry as not wanted; `reopen` undoes it. Raises NotFound, Conflict."""
    if quarantine.get(connection, number).state != OPEN:
        raise Conflict(f"Entry {number} is not open")
    quarantine.resolve(connection, number, quarantine.DISCARDED, now)


def reopen(connection: Connection, number: int, now: datetime) -> None:
    """Makes a discarded entry open again. Raises NotFound, Conflict where it was taken."""
    held = quarantine.get(connection, number)
    if held.state != quarantine.DISCARDED:
        raise Conflict(f"Entry {number} is {held.state}; only what was discarded can be opened again")
    quarantine.resolve(connection, number, None, now)


def kind_of(held: Held) -> str:
    """What an entry is, for people: a call, a delivery, or the inbox's kind."""
    if held.refused.reason == taking.REASON:
        return "delivery"
    return "call" if held.refused.kind is Kind.EVENT else held.refused.kind.name.lower()
