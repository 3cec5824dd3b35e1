"""Tracking plans: what an event must look like, as a JSON Schema per event name, and what happens if it does not.

A plan either warns (the event is taken, the problem counted) or quarantines. `*` is the plan of events without one of
their own: its schema `false` says that only planned events are expected. `$identify` and `$group` plan traits.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jsonschema_rs
import msgspec
from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from onevoice.database import driver
from onevoice.events.models import plan_warning, tracking_plan
from onevoice.kernel.errors import InvalidInput, NotFound
from onevoice.kernel.log import logger

REST = "*"
"""The plan of events that have none."""

TRAITS = {"identify": "$identify", "group": "$group"}
"""The plan's name of the calls that bring traits."""

KEYS = {"kind", "name", "description", "on_violation", "schema"}
QUARANTINE = "quarantine"
ACTIONS = ("warn", QUARANTINE)

REFRESH_SECONDS = 2.0
"""How old the plans in memory may be."""

PROBLEM_LENGTH = 300  # characters kept of a problem

log = logger("plans")


@dataclass(frozen=True)
class Plan:
    """A plan that is ready to be asked."""

    event: str
    on_violation: str  # one of ACTIONS
    validator: Any  # jsonschema_rs.Validator, which is untyped

    def problem(self, properties: bytes) -> str:
        """What is wrong with an event's properties (JSON), the first of it; empty if nothing is."""
        value = msgspec.json.decode(properties)
        if self.validator.is_valid(value):
            return ""
        first = next(iter(self.validator.iter_errors(value)))
        place = ".".join(map(str, first.instance_path))
        return (f"{place}: {first.message}" if place else str(first.message))[:PROBLEM_LENGTH]


@dataclass(frozen=True)
class Violation:
    """An event taken though its plan objects."""

    event: str
    source_id: int
    problem: str
    message_id: str


def plan(document: Mapping[str, Any]) -> Plan:
    """The plan of a document. Raises InvalidInput saying what a document must hold."""
    name = document.get("name")
    if not isinstance(name, str) or not name.strip():
        raise InvalidInput("A tracking plan needs a `name`: the event's, or * for all that have no plan")
    if unknown := set(document) - KEYS:
        raise InvalidInput(
            f"Tracking plan {name}: unknown {', '.join(sorted(unknown))}; allowed are {', '.join(sorted(KEYS))}"
        )
    action = document.get("on_violation", "warn")
    if action not in ACTIONS:
        raise InvalidInput(f"Tracking plan {name}, on_violation: expected one of {', '.join(ACTIONS)}; got {action!r}")
    schema = document.get("schema")
    if not isinstance(schema, dict | bool):
        raise InvalidInput(f"Tracking plan {name}, schema: expected a JSON Schema, a mapping, or `false` for no event")
    try:
        # A schema must not make this server fetch addresses.
        validator = jsonschema_rs.validator_for(schema, retriever=_refuse, validate_formats=True)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise InvalidInput(f"Tracking plan {name}, schema: {str(error).splitlines()[0]}") from error
    return Plan(name, action, validator)


def _refuse(address: str) -> Any:
    raise ValueError(f"refers to {address}; only references within the schema (#/$defs/...) are followed")


def save(connection: Connection, document: dict[str, Any], now: datetime) -> tuple[int, bool]:
    """Saves a document; returns (version, changed). Raises InvalidInput naming the place that is wrong."""
    made = plan(document)
    held = connection.execute(select(tracking_plan).where(tracking_plan.c.event == made.event)).one_or_none()
    if held is not None and held.definition == document:
        return held.version, False
    version = held.version + 1 if held is not None else 1
    row = {"version": version, "definition": document, "saved_at": now}
    statement = insert(tracking_plan).values(event=made.event, **row)
    connection.execute(statement.on_conflict_do_update(index_elements=["event"], set_=row))
    return version, True


def all_plans(connection: Connection) -> list[dict[str, Any]]:
    """Every plan's document with its version, by name."""
    rows = connection.execute(select(tracking_plan).order_by(tracking_plan.c.event))
    return [{"name": row.event, "version": row.version, "definition": row.definition} for row in rows]


def ready(connection: Connection) -> dict[str, Plan]:
    """Every plan, ready to be asked, by name."""
    return {one["name"]: plan(one["definition"]) for one in all_plans(connection)}


def delete(connection: Connection, event: str) -> dict[str, Any]:
    """Takes a plan away and returns its document, with which it can be saved again. Raises NotFound."""
    gone = tracking_plan.delete().where(tracking_plan.c.event == event).returning(tracking_plan.c.definition)
    document: dict[str, Any] | None = connection.scalar(gone)
    if document is None:
        raise NotFound(f"There is no tracking plan {event!r}")
    return document


COUNT = """
    INSERT INTO plan_warning (event, source_id, problem, times, first_at, last_at, example)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (event, source_id, problem) DO UPDATE
    SET times = plan_warning.times + excluded.times, last_at = excluded.last_at, example = excluded.example
"""


def warn(connection: Connection, violations: Iterable[Violation], now: datetime) -> None:
    """Counts what plans object to."""
    rows = counted(violations, now)
    if rows:
        with driver(connection) as raw, raw.cursor() as cursor:
            cursor.executemany(COUNT, rows)


def counted(violations: Iterable[Violation], now: datetime) -> list[tuple[Any, ...]]:
    """What `COUNT` takes: a row for each problem, in one order, so that two who count do not wait for each other."""
    times: dict[tuple[str, int, str], tuple[int, str]] = {}
    for one in violations:
        key = (one.event, one.source_id, one.problem)
        times[key] = (times.get(key, (0, ""))[0] + 1, one.message_id)
    return [(*key, number, now, now, example) for key, (number, example) in sorted(times.items())]


def warnings(connection: Connection, limit: int = 100) -> list[dict[str, Any]]:
    """What plans objected to, the newest first."""
    found = connection.execute(select(plan_warning).order_by(plan_warning.c.last_at.desc()).limit(limit))
    return [dict(row._mapping) for row in found]


class Plans:
    """All plans, held in memory for the path that asks for each event; read anew every other second."""

    def __init__(self, pool: Engine) -> None:
        self._pool = pool
        self._by_event: dict[str, Plan] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def current(self) -> Mapping[str, Plan]:
        """The plans by event name; empty where there are none. It waits for them first, and after a silence."""
        age = time.monotonic() - self._read_at
        if age > REFRESH_SECONDS and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._read())
        if age > 2 * REFRESH_SECONDS and self._reading is not None:
            await asyncio.shield(self._reading)  # others wait for it too
        return self._by_event

    async def _read(self) -> None:
        try:
            self._by_event = await asyncio.to_thread(self._load)
        except (OperationalError, PoolTimeoutError) as error:  # what cannot be written either is told there
            log.warning("plans not read", error=repr(error))
        self._read_at = time.monotonic()

    def _load(self) -> dict[str, Plan]:
        with self._pool.connect() as connection:
            return ready(connection)


def plan_for(plans: Mapping[str, Plan], call_type: str, event: str) -> Plan | None:
    """The plan that a call must meet, if there is one."""
    if call_type == "track":
        return plans.get(event) or plans.get(REST)
    return plans.get(TRAITS.get(call_type, ""))
