"""What people have paused or cancelled: everything, a channel, a journey, a step of it, or one message.

A worker looks at the holds twice a second and asks them before each send, so what is in flight stops within two
seconds. A paused message waits as `paused`, and is queued again when the pause is lifted; a cancelled one is `skipped`
with the reason `cancelled`, and stays so. A cancellation reaches what was queued before it, not what comes after.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from sqlalchemy import Connection

from onevoice.database import driver
from onevoice.kernel.errors import InvalidInput, NotFound

PAUSE, CANCEL = "pause", "cancel"

CANCEL_DAYS = 7
"""A message lives three days; so long a worker asks for a cancellation before it sends."""


class Held(Protocol):
    """What a hold asks of a message; a leased one has it."""

    @property
    def id(self) -> UUID: ...
    @property
    def journey(self) -> str: ...
    @property
    def step(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def queued_at(self) -> datetime: ...


@dataclass(frozen=True)
class Scope:
    """What a hold covers; nothing given is everything."""

    journey: str = ""
    step: str = ""
    channel: str = ""
    message_id: UUID | None = None

    def checked(self) -> "Scope":
        """Raises InvalidInput for a step without its journey."""
        if self.step and not self.journey:
            raise InvalidInput("A step has its name within its journey; name the journey too")
        return self

    def covers(self, message: Held) -> bool:
        """Whether the message is meant."""
        return (
            self.journey in ("", message.journey)
            and self.step in ("", message.step)
            and self.channel in ("", message.channel)
            and self.message_id in (None, message.id)
        )

    def values(self) -> dict[str, object]:
        """By the names of the table's columns."""
        return asdict(self)


@dataclass(frozen=True)
class Hold:
    """A pause or a cancellation that is in force."""

    id: int
    action: str
    scope: Scope
    placed_at: datetime
    placed_by: str

    def stops(self, message: Held) -> bool:
        """Whether the message must not go."""
        return self.scope.covers(message) and (self.action == PAUSE or message.queued_at <= self.placed_at)


class Holds:
    """Those in force, ready to be asked for each message."""

    def __init__(self, holds: Iterable[Hold] = ()) -> None:
        rows = sorted(holds, key=lambda hold: hold.action)  # cancellations first: they are for good
        self._single = {(hold.action, hold.scope.message_id): hold for hold in rows if hold.scope.message_id}
        self._wide = [hold for hold in rows if not hold.scope.message_id]

    def on(self, message: Held) -> Hold | None:
        """The hold that keeps the message from being sent."""
        if not self._wide and not self._single:
            return None
        for hold in (self._single.get((CANCEL, message.id)), *self._wide, self._single.get((PAUSE, message.id))):
            if hold is not None and hold.stops(message):
                return hold
        return None

    def closes(self, channel: str) -> bool:
        """Whether all of a channel is paused, so that its messages may stay where they are."""
        return any(hold.action == PAUSE and hold.scope in (Scope(), Scope(channel=channel)) for hold in self._wide)


def in_force(connection: Connection) -> list[Hold]:
    """All of them, the newest first."""
    with driver(connection) as raw:
        rows = raw.execute(
            """
            SELECT id, action, journey, step, channel, message_id, placed_at, placed_by FROM hold
            WHERE lifted_at IS NULL AND (action = 'pause' OR placed_at > now() - make_interval(days => %s))
            ORDER BY id DESC
            """,
            (CANCEL_DAYS,),
        ).fetchall()
    return [Hold(row[0], row[1], Scope(*row[2:6]), row[6], row[7]) for row in rows]


def place(connection: Connection, action: str, scope: Scope, by: str) -> Hold:
    """Pauses or cancels, from the commit on. What waits already is skipped by control.cancel, or by who leases it."""
    scope = scope.checked()
    with driver(connection) as raw:
        row = raw.execute(
            """
            INSERT INTO hold (action, journey, step, channel, message_id, placed_at, placed_by)
            VALUES (%(action)s, %(journey)s, %(step)s, %(channel)s, %(message_id)s, clock_timestamp(), %(by)s)
            RETURNING id, placed_at
            """,
            {"action": action, "by": by, **scope.values()},
        ).fetchone()
    assert row is not None
    return Hold(row[0], action, scope, row[1], by)


def lift(connection: Connection, scope: Scope, *, strict: bool = True) -> int:
    """Ends the pauses of exactly this scope; returns how many messages are queued again.

    Raises NotFound where there is none, if `strict`.
    """
    with driver(connection) as raw:
        lifted = raw.execute(
            """
            UPDATE hold SET lifted_at = now() WHERE action = 'pause' AND lifted_at IS NULL AND journey = %(journey)s
              AND step = %(step)s AND channel = %(channel)s AND message_id IS NOT DISTINCT FROM %(message_id)s
            """,
            scope.checked().values(),
        ).rowcount
        if strict and not lifted:
            raise NotFound("Nothing is paused with exactly this scope; `onevoice delivery status` lists the pauses")
        return raw.execute(
            f"""
            UPDATE message SET state = 'queued' WHERE state = 'paused' AND {COVERED} AND NOT EXISTS (
                SELECT FROM hold WHERE action = 'pause' AND lifted_at IS NULL
                  AND hold.journey IN ('', message.journey) AND hold.step IN ('', message.step)
                  AND hold.channel IN ('', message.channel)
                  AND (hold.message_id IS NULL OR hold.message_id = message.id)
            )
            """,  # noqa: S608 - a text of this module
            scope.values(),
        ).rowcount


def still(connection: Connection, ids: Iterable[int]) -> set[int]:
    """Which of these pauses are not lifted; they stay so until this transaction ends."""
    with driver(connection) as raw:
        rows = raw.execute(
            "SELECT id FROM hold WHERE id = ANY(%s) AND lifted_at IS NULL FOR SHARE", (sorted(set(ids)),)
        ).fetchall()
    return {row[0] for row in rows}


COVERED = """
    (%(journey)s = '' OR journey = %(journey)s) AND (%(step)s = '' OR step = %(step)s)
    AND (%(channel)s = '' OR channel = %(channel)s) AND (%(message_id)s::uuid IS NULL OR id = %(message_id)s)
"""
"""The messages of a scope, given its `values`."""
