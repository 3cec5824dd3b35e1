"""What steps do outside of the journey, carried out exactly once: the receiver keeps the watermark with what it takes.

Events and traits enter by the inbox like any other, webhooks go through the delivery queue, lists and rewards are
written to the database: all in one transaction with the position.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import ibis.expr.types as ir
import msgspec
from sqlalchemy import Connection

from onevoice.customers.facts import IDENTIFIERS
from onevoice.customers.identifiers import ANONYMOUS, USER, Identifier
from onevoice.database import driver
from onevoice.database.inbox import INTERNAL_SOURCE
from onevoice.delivery import queue
from onevoice.delivery.schemas import QueuedMessage
from onevoice.events import door
from onevoice.events.vocabulary import EventEntry
from onevoice.journeys import service
from onevoice.journeys.begun import begun
from onevoice.journeys.facts import EFFECTS
from onevoice.journeys.steps.rewards import HANDLERS, Reward
from onevoice.kernel.clock import aware
from onevoice.kernel.log import logger
from onevoice.segments import lists
from onevoice.warehouse import Warehouse

WATERMARK = "effects"
"""The name of this hand-off's watermark."""

EXPIRES_AFTER = timedelta(days=3)
"""A webhook that could not be delivered for so long is given up."""

log = logger("journeys")

Row = dict[str, Any]


def carry_out(warehouse: Warehouse, connection: Connection, now: datetime) -> int:
    """Does what was planned since the watermark; returns how much it was."""
    effects = warehouse.table(EFFECTS)
    position = _position(connection)
    last = warehouse.rows(effects.aggregate(tick=effects.tick.max()))[0]["tick"] or 0
    if last <= position or not _moved(connection, last):
        return 0
    planned = effects.filter(effects.tick > position, effects.tick <= last)
    while True:
        stopped = service.over(connection)
        with connection.begin_nested() as attempt:
            done, names = _carried_out(warehouse, connection, planned, stopped, now)
            if not names & service.over(connection):
                return done
            attempt.rollback()  # one was stopped meanwhile: nothing more of it


def _carried_out(
    warehouse: Warehouse, connection: Connection, planned: ir.Table, stopped: Collection[str], now: datetime
) -> tuple[int, set[str]]:
    """Does what was planned but by the journeys that were stopped; how much it was, and of which journeys."""
    if stopped:
        planned = planned.filter(planned.journey.notin(sorted(stopped)))
    names = warehouse.table(IDENTIFIERS).select("identifier_id", "namespace", "value")
    rows = warehouse.rows(planned.left_join(names, "identifier_id").drop("identifier_id_right"))
    calls = planned.filter(planned.kind == "webhook")
    began = _began(warehouse, connection, calls) if any(row["kind"] == "webhook" for row in rows) else {}
    by_kind: dict[str, list[Row]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append({**row, "asked": msgspec.json.decode(row["asked"])})
    _tell(connection, [*by_kind.pop("update", []), *by_kind.pop("event", [])], now)
    queue.add(connection, _webhooks(by_kind.pop("webhook", []), began, now))
    _list(connection, by_kind.pop("audience", []), now)
    for kind, some in by_kind.items():
        if kind in HANDLERS:
            HANDLERS[kind].give(connection, [_reward(row) for row in some])
        else:
            log.error("nothing here can give it any more", kind=kind, planned=len(some))
    return len(rows), {row["journey"] for row in rows}


def _position(connection: Connection) -> int:
    with driver(connection) as raw:
        row = raw.execute("SELECT position FROM handoff WHERE name = %s", (WATERMARK,)).fetchone()
    return int(row[0]) if row else 0


def _moved(connection: Connection, position: int) -> bool:
    """Moves the watermark; whether it was behind."""
    with driver(connection) as raw:
        return bool(
            raw.execute(
                """
                INSERT INTO handoff VALUES (%s, %s)
                ON CONFLICT (name) DO UPDATE SET position = excluded.position
                WHERE handoff.position < excluded.position
                """,
                (WATERMARK, position),
            ).rowcount
        )


def _tell(connection: Connection, rows: Sequence[Row], now: datetime) -> None:
    """Events and traits into the inbox, from ourselves, each known by the effect's id."""
    entries = []
    for row in rows:
        if row["namespace"] is None:
            continue  # erased meanwhile
        call = named(row["namespace"], row["value"])
        if row["kind"] == "update":
            call["traits"] = row["asked"]
        else:
            properties = {**row["asked"].get("properties", {}), "journey": row["journey"], "step": row["step"]}
            call |= {"event": row["asked"]["name"], "properties": properties}
        kind = "identify" if row["kind"] == "update" else "track"
        entries.append((row["effect_id"], entry(kind, row["effect_id"], aware(row["planned_at"]), call)))
    door.enter(connection, INTERNAL_SOURCE, now, entries)


def named(namespace: str, value: str) -> dict[str, Any]:
    """A tracking call's part that says whose it is."""
    if namespace == USER:
        return {"userId": value}
    if namespace == ANONYMOUS:
        return {"anonymousId": value}
    return {"context": {"externalIds": [{"id": value, "type": namespace, "collection": "users"}]}}


def entry(kind: str, message_id: str, at: datetime, call: dict[str, Any]) -> bytes:
    """A call as the inbox has it."""
    return msgspec.json.encode(EventEntry(kind, message_id, at, msgspec.Raw(msgspec.json.encode(call))))


def _began(warehouse: Warehouse, connection: Connection, calls: ir.Table) -> dict[str, Any]:
    """By enrolment, the event by which one came into the journey."""
    found = begun(warehouse, calls, [one.laid_out for one in service.all_journeys(connection)])
    return {row["enrolment_id"]: msgspec.json.decode(row["event"]) for row in warehouse.rows(found)}


def _webhooks(rows: Iterable[Row], began: Mapping[str, Any], now: datetime) -> Iterable[QueuedMessage]:
    """Calls for the queue. They are no marketing: no consent is asked, and one in doubt is tried again, for the
    receiver knows a repetition by its id."""
    for row in rows:
        body = {
            "type": "journey.webhook",
            "timestamp": aware(row["planned_at"]).isoformat(),
            "data": {
                "journey": row["journey"],
                "step": row["step"],
                "customer_id": str(row["customer_id"]),
                "identifier": {"namespace": row["namespace"], "value": row["value"]},
                "event": began.get(row["enrolment_id"]),
                **row["asked"].get("data", {}),
            },
        }
        yield QueuedMessage(
            message_id=row["effect_id"],
            journey=row["journey"],
            step=row["step"],
            channel="webhook",
            identifier_id=row["identifier_id"],
            address=row["asked"]["url"],
            template="",  # none: the variables are the body
            template_version=0,
            locale="en",
            topic="",
            variables=body,
            not_before=now,
            expires_at=now + EXPIRES_AFTER,
            transactional=True,
        )


def _list(connection: Connection, rows: Iterable[Row], now: datetime) -> None:
    """Customers onto lists and off them, each list changed once."""
    changes: dict[str, tuple[list[Identifier], list[Identifier]]] = {}
    for row in sorted(rows, key=lambda row: row["planned_at"]):
        if row["namespace"] is None:
            continue
        adds = "add" in row["asked"]
        added, removed = changes.setdefault(row["asked"]["add" if adds else "remove"], ([], []))
        one = Identifier(row["namespace"], row["value"])
        (added if adds else removed).append(one)
        other = removed if adds else added
        if one in other:
            other.remove(one)
    for name, (added, removed) in changes.items():
        lists.change(connection, name, added, removed, now)


def _reward(row: Row) -> Reward:
    return Reward(
        row["effect_id"], row["journey"], row["step"], row["identifier_id"], row["asked"], aware(row["planned_at"])
    )
