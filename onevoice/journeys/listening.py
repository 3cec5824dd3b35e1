"""What people in a journey wait for, and what ends it for them: which of it has happened, for all of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.catalog.facts import ORDERS
from onevoice.catalog.orders import made
from onevoice.delivery.facts import MESSAGES
from onevoice.events.facts import EVENTS
from onevoice.journeys import moment
from onevoice.journeys.asking import Question, asked
from onevoice.journeys.facts import ENROLMENTS
from onevoice.journeys.laid import Laid
from onevoice.journeys.leaving import Standing, end
from onevoice.journeys.matching import REPLIED, matching
from onevoice.journeys.news import News
from onevoice.segments.conditions.values import Where
from onevoice.warehouse import Warehouse

ORDERED = "Order Completed"
"""Orders come from many sources and may be cancelled: where nothing is asked of the event, the orders are looked at."""

GOAL, EXIT, WAIT = "goal", "exit", "wait"

HEARD = ibis.table({"listener": "int64", "enrolment_id": "string", "happened_at": "timestamp(6)"}, name="tick_heard")


@dataclass(frozen=True)
class Listener:
    """A place in a journey that something ends: the whole of it (goal, exit), or a wait."""

    journey: str
    version: int
    purpose: str
    node: str  # empty: wherever they stand
    event: str
    where: Where
    key: str | None
    question: Question | None

    @property
    def is_plain(self) -> bool:
        """Whether the event's name is all it asks."""
        return not self.where and self.key is None


def listeners(journey: Laid) -> list[Listener]:
    """A version's."""
    found: list[Listener] = journey.remembered("listeners", lambda: list(_listeners(journey)))
    return found


def _listeners(journey: Laid) -> Sequence[Listener]:
    def listener(purpose: str, node: str, asked: Any, event: str | None, where: Where) -> Listener:
        question = Question(asked.when) if asked.when is not None else None
        return Listener(journey.name, journey.version, purpose, node, event or "", where, asked.key, question)

    found = []
    for purpose in (GOAL, EXIT):
        happening = getattr(journey.document, purpose)
        if happening is not None:
            found.append(listener(purpose, "", happening, happening.event, happening.where))
    for node in journey.graph.nodes.values():
        if node.kind == "wait" and "met" in node.ways:
            until = node.asked
            if until.reply:
                where: Where = {"channel": until.reply} if isinstance(until.reply, str) else {}
                found.append(listener(WAIT, node.key, until, REPLIED, where))
            else:
                found.append(listener(WAIT, node.key, until, until.event, until.where))
    return found


def hear(
    warehouse: Warehouse, journeys: Sequence[Laid], news: News, where: Standing, now: datetime, again: bool = False
) -> bool:
    """Ends the journey for whoever has reached its goal or exit, and puts into WOKEN whose wait is over in time; tells
    whether somebody may be in it.

    `again`: somebody has come to a place since the last call; then what happened before they came is looked at too.
    """
    inside = {(name, version) for name, version, _ in where}
    found = [
        one
        for journey in journeys
        for one in listeners(journey)
        if ((one.journey, one.version, one.node) in where if one.node else (one.journey, one.version) in inside)
        and (one.question is not None or again or _is_told(one, news))
    ]
    if not found:
        _empty(warehouse)
        return False
    people = _people(warehouse, found)
    parts = [*_by_event(warehouse, found, people, journeys), *_by_condition(warehouse, found, people, now)]
    if not parts:
        _empty(warehouse)
        return False
    rows = ibis.union(*parts) if len(parts) > 1 else parts[0]
    warehouse.stage(
        "tick_heard",
        rows.group_by("listener", "enrolment_id").aggregate(
            happened_at=ibis.least(rows.happened_at.min(), moment.at())
        ),
    )
    enrolments = warehouse.table(ENROLMENTS)
    counts = {row["listener"] for row in warehouse.rows(HEARD.select("listener").distinct())}
    for purpose in (GOAL, EXIT):
        numbers = [number for number in counts if found[number].purpose == purpose]
        if numbers:
            rows = enrolments.semi_join(HEARD.filter(HEARD.listener.isin(numbers)), "enrolment_id")
            end(warehouse, rows.filter(rows.state == "active"), purpose)
    waits = [number for number in counts if found[number].purpose == WAIT]
    met = people.filter(people.listener.isin(waits) if waits else ibis.literal(False)).join(
        HEARD, ["listener", "enrolment_id"]
    )
    in_time = met.filter(met.happened_at <= met.due_at)
    warehouse.stage("tick_woken", in_time.select("enrolment_id", happened_at=in_time.happened_at.cast("timestamp(6)")))
    return True


def _is_told(one: Listener, news: News) -> bool:
    if one.event == ORDERED and one.is_plain:
        return True
    return one.event in news.names or news.links


def _empty(warehouse: Warehouse) -> None:
    columns = {"enrolment_id": pa.array([], pa.string()), "happened_at": pa.array([], pa.timestamp("us"))}
    warehouse.stage("tick_woken", pa.table(columns))


def _people(warehouse: Warehouse, found: Sequence[Listener]) -> ir.Table:
    """Who listens: listener, enrolment_id, customer_id, since when, until when, and their key."""
    places = warehouse.stage(
        "listeners",
        pa.table(
            {
                "listener": pa.array(range(len(found)), pa.int64()),
                "journey": [one.journey for one in found],
                "journey_version": pa.array([one.version for one in found], pa.int64()),
                "node": [one.node for one in found],
            }
        ),
    )
    held = warehouse.table(ENROLMENTS)
    active = held.filter(held.state == "active")
    rows = active.join(places, ["journey", "journey_version"])
    rows = rows.filter((rows.node == "") | (rows.node == rows.step))
    since = ibis.ifelse(rows.node == "", rows.entered_at, ibis.coalesce(rows.reached_at, rows.entered_at))
    return warehouse.stage(
        "listening_people",
        rows.select("listener", "enrolment_id", "customer_id", "due_at", since=since, key=rows.key.fill_null("")),
    )


def _by_event(
    warehouse: Warehouse, found: Sequence[Listener], people: ir.Table, journeys: Sequence[Laid]
) -> list[ir.Table]:
    """What they did: listener, enrolment_id, happened_at."""
    parts = []
    ordered = [number for number, one in enumerate(found) if one.event == ORDERED and one.is_plain]
    if ordered:
        mine = people.filter(people.listener.isin(ordered))
        orders = made(warehouse.table(ORDERS)).select("customer_id", happened_at="ordered_at")
        did = orders.join(mine, "customer_id")
        parts.append(did.filter(did.happened_at > did.since).select("listener", "enrolment_id", "happened_at"))
    others = {number: one for number, one in enumerate(found) if one.event and number not in ordered}
    if others:
        events = warehouse.table(EVENTS)
        mine = people.filter(people.listener.isin(list(others)))
        first = mine.aggregate(at=mine.since.min()).at.as_scalar()
        named = events.filter(events.name.isin(sorted({one.event for one in others.values()})))
        told = warehouse.stage("told_events", named.filter(named.occurred_at > first).semi_join(mine, "customer_id"))
        if warehouse.count(told):
            by_number = {(journey.name, journey.version): journey for journey in journeys}
            parts += [
                _did(warehouse, told, people, number, one, by_number[one.journey, one.version])
                for number, one in others.items()
            ]
    return parts


def _did(warehouse: Warehouse, told: ir.Table, people: ir.Table, number: int, one: Listener, journey: Laid) -> ir.Table:
    rows = matching(warehouse, told, one.event, one.where)
    key = warehouse.json_text(rows.properties, one.key).fill_null("") if one.key else ibis.literal("")
    did = rows.select("customer_id", happened_at=rows.occurred_at, event_key=key)
    met = did.join(people.filter(people.listener == number), "customer_id")
    met = met.filter(met.happened_at > met.since)
    if one.key:
        met = met.filter(met.event_key == met.key)
    return met.select("listener", "enrolment_id", "happened_at")


def _by_condition(warehouse: Warehouse, found: Sequence[Listener], people: ir.Table, now: datetime) -> list[ir.Table]:
    """What they have come to be, now."""
    questions = {str(number): one.question for number, one in enumerate(found) if one.question is not None}
    if not questions:
        return []
    mine = people.filter(people.listener.isin([int(number) for number in questions]))
    answers = asked(warehouse, questions, mine, now, "listener_answers")
    answers = answers.select("customer_id", listener=answers.way.cast("int64"))
    met = mine.join(answers, ["listener", "customer_id"])
    return [met.select("listener", "enrolment_id", happened_at=moment.at())]


def fall_back(warehouse: Warehouse, journeys: Sequence[Laid], where: Standing) -> None:
    """Lets those go on at once in a cascade whose last message was not delivered: nobody is reading it."""
    rows = [
        (name, version, key, f"{node.step}/{int(node.part) - 1}")
        for journey in journeys
        for name, version, key in where
        if (name, version) == (journey.name, journey.version)
        and (node := journey.node(key)) is not None
        and node.kind == "cascade"
        and node.part not in ("0", "rest")
        and node.asked.on_failure == "next"
    ]
    if not rows:
        return
    names, versions, keys, befores = zip(*rows, strict=True)
    places = warehouse.stage(
        "fall_backs",
        pa.table(
            {
                "journey": list(names),
                "journey_version": pa.array(list(versions), pa.int64()),
                "step": list(keys),
                "before": list(befores),
            }
        ),
    )
    held, messages = warehouse.table(ENROLMENTS), warehouse.table(MESSAGES)
    failed = messages.filter(messages.failed_at.notnull() | (messages.status == "skipped"))
    failed = failed.select("enrolment_id", before="step", failed_planned_at="planned_at")
    waiting = held.filter(held.state == "active", held.due_at > moment.at())
    waiting = waiting.join(places, ["journey", "journey_version", "step"]).join(failed, ["enrolment_id", "before"])
    waiting = waiting.filter(waiting.failed_planned_at >= ibis.coalesce(waiting.reached_at, waiting.entered_at))
    rows_back = waiting.mutate(due_at=moment.at(), updated_at=moment.at()).select(*ENROLMENTS.columns)
    staged = warehouse.stage("fallen_back", rows_back.distinct())
    if warehouse.count(staged):
        warehouse.replace(ENROLMENTS, ["enrolment_id"], staged)
