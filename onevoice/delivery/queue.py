"""The queue of messages in PostgreSQL: what may be done to it, each in the transaction of the connection handed in.

A message goes queued → sending → accepted | failed | in_doubt, or queued → skipped, or queued ⇄ paused. `sending` is
written, with the attempt, before any call to a provider; so what a dead worker leaves there may have been sent, and is
in doubt.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from onevoice.database import driver
from onevoice.database.arrays import array
from onevoice.delivery.schemas import QueuedMessage

HANDOFF = "messages"
"""The name of the hand-off's watermark."""


class Leased(NamedTuple):
    """A message a worker has taken; the attempt is written down, and by which provider (`via`)."""

    id: UUID
    number: int
    journey: str
    step: str
    channel: str
    via: str
    sender: str
    identifier_id: int
    address: str
    template: str
    template_version: int
    locale: str
    topic: str
    variables: str  # JSON
    transactional: int
    place: str  # JSON of quiet.Home, or empty
    expires_at: datetime
    attempts: int
    max_attempts: int
    queued_at: datetime


@dataclass(frozen=True)
class Choice:
    """Which messages of a channel a provider gets: those that ask for it, and the rest where it is the `first`.

    `second` gets those at whose last attempt the first was at fault. `usable` are all that may be asked for.
    """

    channel: str
    provider: str
    first: str
    second: str
    usable: tuple[str, ...]


def sole(channel: str) -> Choice:
    """The choice where a channel has one provider."""
    return Choice(channel, channel, channel, "", (channel,))


class Settlement(msgspec.Struct, frozen=True):
    """What became of an attempt, as it is written down.

    `state` queued: try again, not before `not_before`, by another provider than `avoid`. `attempted` False: nothing was
    tried after all, so it does not count. `hold`: the pause that stops it; queued where that is lifted meanwhile.
    """

    id: UUID
    attempts: int
    state: str
    provider_id: str = ""
    error_code: str = ""
    error: str = ""
    cost: Decimal | None = None
    not_before: datetime | None = None
    avoid: str = ""
    attempted: bool = True
    hold: int | None = None


def position(connection: Connection) -> int:
    """The last hand-off that is in the queue; 0 at first."""
    with driver(connection) as raw:
        row = raw.execute("SELECT position FROM handoff WHERE name = %s", (HANDOFF,)).fetchone()
    return int(row[0]) if row else 0


class Queued(NamedTuple):
    """What a hand-off came to: how many messages are new, and which of them were cancelled before they could wait."""

    new: int = 0
    cancelled: Sequence[UUID] = ()


def enqueue(
    connection: Connection,
    lines: Iterable[bytes],
    position: int,
    over: Callable[[], Collection[str]] = tuple,
) -> Queued:
    """Queues messages and moves the watermark to `position`.

    `lines` are messages as `COPY` takes them, in pieces of any size: the values of `COLUMNS` in order, each as
    `escaped` would have it, with tabs between and a line break behind. A hand-off at or below the watermark does
    nothing, and a message that is there already stays as it is. `over` is asked when all have come, before they wait:
    the messages of the journeys that it names are cancelled.
    """
    with driver(connection) as raw, raw.cursor() as cursor:
        moved = cursor.execute(
            """
            INSERT INTO handoff VALUES (%s, %s)
            ON CONFLICT (name) DO UPDATE SET position = excluded.position WHERE handoff.position < excluded.position
            """,
            (HANDOFF, position),
        ).rowcount
        if not moved:
            return Queued()
        cursor.execute(
            f"CREATE TEMP TABLE handed ON COMMIT DROP AS SELECT {_COLUMNS} FROM message WITH NO DATA"  # noqa: S608
        )
        with cursor.copy(f"COPY handed ({_COLUMNS}) FROM STDIN") as copy:
            for piece in lines:
                copy.write(piece)
        stopped = list(over())
        cancelled = []
        if stopped:
            cancelled = cursor.execute(
                f"INSERT INTO message ({_COLUMNS}, state, error_code, settled_at) "  # noqa: S608
                f"SELECT {_COLUMNS}, 'skipped', 'cancelled', now() FROM handed WHERE journey = ANY(%s) "
                "ON CONFLICT DO NOTHING RETURNING id",
                (stopped,),
            ).fetchall()
        new = cursor.execute(
            f"INSERT INTO message ({_COLUMNS}) SELECT {_COLUMNS} FROM handed WHERE NOT journey = ANY(%s) "  # noqa: S608
            "ON CONFLICT DO NOTHING",
            (stopped,),
        ).rowcount
    return Queued(new + len(cancelled), [row[0] for row in cancelled])


def add(connection: Connection, messages: Iterable[QueuedMessage]) -> int:
    """Queues single messages that no tick has planned, in their bringer's transaction; returns how many are new."""
    places = ", ".join(["%s"] * len(COLUMNS))
    statement = f"INSERT INTO message ({_COLUMNS}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608
    with driver(connection) as raw:
        return sum(raw.execute(statement, _row(message)).rowcount for message in messages)


_FIELDS = tuple(name for name in QueuedMessage.__struct_fields__ if name not in ("message_id", "transactional"))
COLUMNS = ("id", *_FIELDS, "transactional")
"""The columns that a message comes with."""

DEFAULTS = dict(
    zip(QueuedMessage.__struct_fields__[::-1], QueuedMessage.__struct_defaults__[::-1], strict=False)  # the last ones
)
"""What may be left out, and what it then is."""

_COLUMNS = ", ".join(COLUMNS)


def line(message: QueuedMessage) -> bytes:
    """A message as `enqueue` takes it."""
    return ("\t".join(escaped(str(value)) for value in _row(message)) + "\n").encode()


def escaped(value: str) -> str:
    """A value in the text format of COPY."""
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _row(message: QueuedMessage) -> tuple[object, ...]:
    values = {name: getattr(message, name) for name in _FIELDS}
    if not isinstance(message.variables, str):
        values["variables"] = msgspec.json.encode(message.variables).decode()
    return (message.message_id, *values.values(), int(message.transactional))


def waiting(connection: Connection, channels: Sequence[str], now: datetime) -> list[str]:
    """The channels on which something is due, the most urgent first."""
    with driver(connection) as raw:
        rows = raw.execute(
            """
            SELECT asked.channel FROM unnest(%(channels)s::text[]) AS asked (channel) CROSS JOIN LATERAL (
                SELECT transactional, priority, not_before FROM message
                WHERE state = 'queued' AND channel = asked.channel AND not_before <= %(now)s
                ORDER BY transactional DESC, priority DESC, not_before LIMIT 1
            ) AS head ORDER BY head.transactional DESC, head.priority DESC, head.not_before
            """,
            {"channels": list(channels), "now": now},
            binary=True,
        ).fetchall()
    return [row[0] for row in rows]


def lease(connection: Connection, worker: str, choice: Choice, limit: int, now: datetime) -> list[Leased]:
    """Takes up to `limit` messages that are due for a provider, and writes their attempt down.

    Transactional ones first, then the higher priority, then who has waited longest. Nothing may be sent before the
    connection's commit.
    """
    chosen = "" if choice.usable == (choice.provider,) else _CHOSEN
    with driver(connection) as raw:
        rows = raw.execute(
            f"""
            WITH due AS MATERIALIZED (
                SELECT id FROM message
                WHERE state = 'queued' AND channel = %(channel)s AND not_before <= %(now)s {chosen}
                ORDER BY transactional DESC, priority DESC, not_before LIMIT %(limit)s FOR UPDATE SKIP LOCKED
            )
            UPDATE message SET state = 'sending', worker = %(worker)s, attempts = attempts + 1, attempted_at = %(now)s,
                via = %(provider)s
            FROM due WHERE message.id = due.id
            RETURNING {LEASED}
            """,  # noqa: S608 - texts of this module
            {
                "channel": choice.channel,
                "provider": choice.provider,
                "first": choice.first,
                "second": choice.second,
                "usable": list(choice.usable),
                "now": now,
                "limit": limit,
                "worker": worker,
            },
            binary=True,
        ).fetchall()
    return [Leased._make(row) for row in rows]


_CHOSEN = """
AND CASE WHEN provider = ANY(%(usable)s) AND provider IS DISTINCT FROM avoid THEN provider
         WHEN avoid = %(first)s AND %(second)s <> '' THEN %(second)s
         ELSE %(first)s END = %(provider)s
"""

LEASED = ", ".join("message.id" if name == "id" else name for name in Leased._fields)
"""The columns of a Leased, as RETURNING names them."""


def settle(connection: Connection, worker: str, settlements: Sequence[Settlement], now: datetime) -> set[UUID]:
    """Writes what became of the worker's attempts; returns the messages of which its word is to be told.

    A message that was given up as in doubt meanwhile is put right; one that was queued again is not touched, but where
    that was by a callback about this very attempt, which overtook the worker's word, the word is still to be told.
    """
    with driver(connection) as raw:
        done = raw.execute(
            """
            UPDATE message SET
                state = settled.state,
                worker = CASE WHEN settled.state IN ('queued', 'paused') THEN NULL ELSE message.worker END,
                settled_at = CASE WHEN settled.state IN ('queued', 'paused') THEN NULL ELSE %(now)s::timestamptz END,
                attempts = message.attempts - settled.unattempted,
                not_before = coalesce(nullif(settled.not_before, '')::timestamptz, message.not_before),
                provider_id = coalesce(nullif(settled.provider_id, ''),
                                       CASE WHEN settled.state <> 'accepted' THEN message.provider_id END),
                avoid = coalesce(nullif(settled.avoid, ''), CASE settled.unattempted WHEN 1 THEN message.avoid END),
                error_code = coalesce(nullif(settled.error_code, ''),
                                      CASE settled.unattempted WHEN 1 THEN message.error_code END),
                error = coalesce(nullif(settled.error, ''), CASE settled.unattempted WHEN 1 THEN message.error END),
                cost = nullif(settled.cost, '')::numeric
            FROM unnest(%(ids)s::uuid[], %(attempts)s::smallint[], %(states)s::text[], %(provider_ids)s::text[],
                        %(codes)s::text[], %(errors)s::text[], %(costs)s::text[], %(not_before)s::text[],
                        %(avoid)s::text[], %(unattempted)s::smallint[])
                AS settled (id, attempts, state, provider_id, error_code, error, cost, not_before, avoid, unattempted)
            WHERE message.id = settled.id AND message.worker = %(worker)s AND message.attempts = settled.attempts
              AND message.state IN ('sending', 'in_doubt')
            RETURNING message.id
            """,
            {
                "now": now,
                "worker": worker,
                "ids": array([str(row.id) for row in settlements]),
                "attempts": array([str(row.attempts) for row in settlements]),
                "states": array([row.state for row in settlements]),
                "provider_ids": array([row.provider_id for row in settlements]),
                "codes": array([row.error_code for row in settlements]),
                "errors": array([row.error for row in settlements]),
                "costs": array(["" if row.cost is None else str(row.cost) for row in settlements]),
                "not_before": array([row.not_before.isoformat() if row.not_before else "" for row in settlements]),
                "avoid": array([row.avoid for row in settlements]),
                "unattempted": array(["0" if row.attempted else "1" for row in settlements]),
            },
            binary=True,
        )
        if done.rowcount == len(settlements):
            return {row.id for row in settlements}
        own = {row[0] for row in done.fetchall()}
        others = [row for row in settlements if row.provider_id and row.id not in own]
        overtaken = raw.execute(
            """
            SELECT message.id FROM message
            JOIN unnest(%s::uuid[], %s::text[]) AS told (id, provider_id) USING (id, provider_id)
            WHERE message.state = 'queued'
            """,
            ([row.id for row in others], [row.provider_id for row in others]),
        )
        return own | {row[0] for row in overtaken.fetchall()}


def beat(connection: Connection, worker: str) -> None:
    """Says that the worker lives."""
    with driver(connection) as raw:
        raw.execute(
            "INSERT INTO worker VALUES (%s, now()) ON CONFLICT (name) DO UPDATE SET heartbeat_at = now()", (worker,)
        )


def retire(connection: Connection, worker: str) -> None:
    """Says that the worker has settled all it took and ends."""
    with driver(connection) as raw:
        raw.execute("DELETE FROM worker WHERE name = %s", (worker,))


def give_back(connection: Connection, worker: str, known: Iterable[UUID]) -> int:
    """Queues what is leased to the worker without its knowing, because the answer to a lease was lost on the way."""
    with driver(connection) as raw:
        return raw.execute(
            "UPDATE message SET state = 'queued', worker = NULL, attempts = attempts - 1 "
            "WHERE state = 'sending' AND worker = %s AND NOT id = ANY(%s)",
            (worker, list(known)),
        ).rowcount


def reap(connection: Connection, lease_seconds: float, now: datetime) -> list[tuple[UUID, int]]:
    """Settles what workers unheard of for `lease_seconds` of the database's time were sending.

    Returns the messages now in doubt, each with its attempts; transactional ones are queued again instead.
    """
    with driver(connection) as raw:
        raw.execute("DELETE FROM worker WHERE heartbeat_at < now() - make_interval(secs => %s)", (lease_seconds,))
        rows = raw.execute(
            """
            UPDATE message SET
                state = CASE WHEN transactional = 1 AND attempts < max_attempts THEN 'queued' ELSE 'in_doubt' END,
                settled_at = CASE WHEN transactional = 1 AND attempts < max_attempts THEN NULL ELSE %(now)s END,
                error_code = 'worker_lost'
            WHERE state = 'sending' AND NOT EXISTS (SELECT FROM worker WHERE worker.name = message.worker)
            RETURNING id, attempts, state
            """,
            {"now": now},
        ).fetchall()
        return [(row[0], row[1]) for row in rows if row[2] == "in_doubt"]


def store_links(connection: Connection, links: Mapping[int, str]) -> None:
    """Keeps the targets of tracked links; must be committed before a message that carries them is sent."""
    with driver(connection) as raw:
        raw.execute(
            "INSERT INTO link SELECT * FROM unnest(%s::bigint[], %s::text[]) ON CONFLICT DO NOTHING",
            (list(links), list(links.values())),
        )


def states(connection: Connection) -> dict[str, int]:
    """How many messages are in each state."""
    with driver(connection) as raw:
        rows: list[Any] = raw.execute("SELECT state, count(*) FROM message GROUP BY state").fetchall()
    return dict(rows)
