"""Retention: how long what is kept, for which purpose. A document of rules, tried dry, carried out daily by the engine.

    kind: retention
    name: default
    rules:
      - {purpose: web analytics, data: events, types: [page, screen], keep: 400 days}
      - {purpose: proof of delivery, data: messages, keep: 730 days}
      - {purpose: customer care, data: customers, keep: 1095 days}

`customers` means those of whom nothing was heard for so long: they are erased, with a report each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
import msgspec
from sqlalchemy import Connection, Engine, Table, func, select
from sqlalchemy.dialects.postgresql import insert

from onevoice.catalog.facts import ORDERS
from onevoice.customers.facts import PROFILES
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.delivery.models import message
from onevoice.events.facts import EVENTS
from onevoice.events.models import quarantine
from onevoice.journeys.facts import DECISIONS
from onevoice.kernel.clock import naive
from onevoice.kernel.errors import InvalidInput
from onevoice.privacy import erasure
from onevoice.privacy.models import retention as table
from onevoice.privacy.models import retention_run
from onevoice.segments.conditions.windows import days
from onevoice.warehouse import Facts, Warehouse

PATIENCE_SECONDS = 120.0
"""How long to wait for the engine's answer to a dry run."""

DAILY = timedelta(hours=24)

ERASED_AT_ONCE = 500
"""Inactive customers a run erases at the most; the next goes on."""

AGED: dict[str, Sequence[tuple[Facts, str, str]]] = {
    # What a rule's `data` means in the warehouse: table, the column of its age, its key.
    "events": ((EVENTS, "occurred_at", "event_id"),),
    "messages": (
        (MESSAGE_EVENTS, "occurred_at", "event_id"),
        (MESSAGES, "planned_at", "message_id"),
        (DECISIONS, "decided_at", "decision_id"),
    ),
}

STORED: dict[str, tuple[Table, str]] = {
    # And in the database: table, the column of its age; what has none yet stays.
    "messages": (message, "settled_at"),
    "quarantine": (quarantine, "received_at"),
}

DATA = ("events", "messages", "quarantine", "customers")


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long something is kept, and why."""

    purpose: str
    data: str  # one of DATA
    keep: str  # `400 days`
    types: list[str] | None = None  # of events: track, page, ...
    names: list[str] | None = None  # of events


@dataclass(frozen=True)
class Outcome:
    """What a rule removed, or would remove."""

    purpose: str
    data: str
    before: datetime
    rows: dict[str, int]  # by table; `customers`: how many are erased


def rules(document: dict[str, Any]) -> list[Rule]:
    """The checked rules of a document. Raises InvalidInput naming the place."""
    name = document.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidInput("A retention needs a `name`")
    if unknown := set(document) - {"kind", "name", "rules"}:
        raise InvalidInput(f"Retention {name}: unknown {', '.join(sorted(unknown))}; allowed are name, rules")
    try:
        made = msgspec.convert(document.get("rules"), list[Rule])
    except msgspec.ValidationError as error:
        raise InvalidInput(f"Retention {name}, rules: {error}") from error
    for number, rule in enumerate(made):
        here = f"Retention {name}, rules[{number}]"
        if rule.data not in DATA:
            raise InvalidInput(f"{here}.data: expected one of {', '.join(DATA)}; got {rule.data!r}")
        if days(rule.keep, f"{here}.keep") < timedelta(days=1):
            raise InvalidInput(f"{here}.keep: expected a day at the least")
        if (rule.types or rule.names) and rule.data != "events":
            raise InvalidInput(f"{here}: types and names go with data: events")
    return made


def save(connection: Connection, document: dict[str, Any], now: datetime) -> tuple[int, bool]:
    """Saves a document; returns (version, changed). Raises InvalidInput."""
    rules(document)
    held = connection.execute(select(table).where(table.c.name == document["name"])).one_or_none()
    if held is not None and held.definition == document:
        return held.version, False
    version: int = held.version + 1 if held is not None else 1
    row = {"version": version, "definition": document, "saved_at": now}
    statement = insert(table).values(name=document["name"], **row)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=row))
    return version, True


def documents(connection: Connection) -> list[dict[str, Any]]:
    """All documents, by name."""
    return [row.definition for row in connection.execute(select(table).order_by(table.c.name))]


def aged_rows(warehouse: Warehouse, asked: Sequence[Rule], now: datetime) -> list[dict[str, int]]:
    """Per rule and warehouse table: rows too old at `now`; `customers`: how many are inactive."""
    counted = []
    for rule in asked:
        before = now - days(rule.keep)
        rows = {facts.name: warehouse.count(aged) for facts, aged, _ in _aged(warehouse, rule, before)}
        if rule.data == "customers":
            rows["customers"] = warehouse.count(_inactive(warehouse, before))
        counted.append(rows)
    return counted


def outcomes(
    connection: Connection, asked: Sequence[Rule], aged: Sequence[dict[str, int]], now: datetime
) -> list[Outcome]:
    """What the rules would remove, in both stores; `aged` is what `aged_rows` counted. Nothing is changed."""
    found = []
    for rule, rows in zip(asked, aged, strict=True):
        before = now - days(rule.keep)
        if rule.data in STORED:
            one, age = STORED[rule.data]
            stored = connection.scalar(select(func.count()).select_from(one).where(one.c[age] < before)) or 0
            rows = {**rows, one.name: stored}
        found.append(Outcome(rule.purpose, rule.data, before, rows))
    return found


def carry_out(warehouse: Warehouse, database: Engine, now: datetime) -> bool:
    """Runs the rules where a run was asked for or the last is a day old; returns whether it did."""
    with database.begin() as connection:
        asked = [rule for document in documents(connection) for rule in rules(document)]
        last = connection.scalar(select(func.max(retention_run.c.requested_at)))
        pending = connection.scalars(select(retention_run.c.id).where(retention_run.c.state == "pending")).all()
        if not pending and asked and (last is None or now - last >= DAILY):
            made = retention_run.insert().values(state="pending", requested_at=now).returning(retention_run.c.id)
            pending = connection.scalars(made).all()
    if not pending:
        return False
    with database.begin() as connection:
        removed = outcomes(connection, asked, aged_rows(warehouse, asked, now), now)
        for rule in asked:
            before = now - days(rule.keep)
            with warehouse.transaction():
                for facts, aged, key in _aged(warehouse, rule, before):
                    warehouse.delete(facts, warehouse.stage("aged", aged.select(key)))
            if rule.data in STORED:
                one, age = STORED[rule.data]
                connection.execute(one.delete().where(one.c[age] < before))
            if rule.data == "customers":
                _ask_for_erasure(warehouse, connection, rule, before, now)
        done = retention_run.update().where(retention_run.c.id.in_(pending))
        connection.execute(done.values(state="completed", finished_at=now, report=msgspec.to_builtins(removed)))
    return True


def ask(connection: Connection, now: datetime) -> int:
    """Asks the engine for a run with its next step; returns its number."""
    made = retention_run.insert().values(state="pending", requested_at=now).returning(retention_run.c.id)
    return int(connection.execute(made).scalar_one())


def runs(connection: Connection, limit: int = 20) -> list[dict[str, Any]]:
    """The newest runs first, each with what it removed."""
    found = connection.execute(select(retention_run).order_by(retention_run.c.id.desc()).limit(limit))
    return [dict(row._mapping) for row in found]


def _aged(warehouse: Warehouse, rule: Rule, before: datetime) -> list[tuple[Facts, ir.Table, str]]:
    """Per warehouse table of the rule: its rows that are too old, and their key."""
    found = []
    for facts, age, key in AGED.get(rule.data, ()):
        rows = warehouse.table(facts)
        aged = rows.filter(rows[age] < ibis.timestamp(naive(before)))
        if rule.types:
            aged = aged.filter(aged["type"].isin(rule.types))
        if rule.names:
            aged = aged.filter(aged["name"].isin(rule.names))
        found.append((facts, aged, key))
    return found


def _inactive(warehouse: Warehouse, before: datetime) -> ir.Table:
    """Customers (customer_id) who were there before and did nothing and bought nothing since."""
    limit = ibis.timestamp(naive(before))
    profiles, events, orders = (warehouse.table(facts) for facts in (PROFILES, EVENTS, ORDERS))
    old = profiles.filter(profiles.first_seen_at < limit).select("customer_id")
    busy = events.filter(events.occurred_at >= limit, events.source_id != 0).select("customer_id")
    bought = orders.filter(orders.ordered_at >= limit).select("customer_id")
    return old.anti_join(busy, "customer_id").anti_join(bought, "customer_id")


def _ask_for_erasure(warehouse: Warehouse, connection: Connection, rule: Rule, before: datetime, now: datetime) -> None:
    inactive = warehouse.rows(_inactive(warehouse, before).order_by("customer_id").limit(ERASED_AT_ONCE))
    for row in inactive:
        erasure.request(connection, row["customer_id"], "retention", f"{rule.purpose}: kept for {rule.keep}", now)
