"""News of messages on their way into the warehouse: kept once each, and the messages they touch written anew."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import ibis.expr.types as ir
import msgspec

from onevoice.database.inbox import Entry
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.delivery.schemas import MessageEntry
from onevoice.delivery.statuses import project
from onevoice.delivery.unmasked import REVEALING, unmasked
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse, remembered

_project = remembered(project)
_entry = msgspec.json.Decoder(MessageEntry)


def load(warehouse: Warehouse, entries: Sequence[Entry]) -> None:
    """Takes news in; a repetition changes nothing."""
    rows = {row["event_id"]: row for entry in entries for row in _rows(entry)}
    if not rows:
        return
    columns = {name: [row[name] for row in rows.values()] for name in MESSAGE_EVENTS.columns}
    fresh = warehouse.stage("fresh_news", MESSAGE_EVENTS.arrow(columns))
    held = warehouse.table(MESSAGE_EVENTS)
    warehouse.append(MESSAGE_EVENTS, fresh.anti_join(held, "event_id"))
    touched = warehouse.stage("touched_messages", fresh.select("message_id").distinct())
    messages = warehouse.table(MESSAGES).semi_join(touched, "message_id")
    news = held.semi_join(touched, "message_id")
    if not REVEALING.isdisjoint(columns["news"]):
        warehouse.replace(MESSAGE_EVENTS, ["event_id"], _unmasked(warehouse, news))
    warehouse.replace(MESSAGES, ["message_id"], _project(messages, news))
    warehouse.drop("touched_messages")
    warehouse.drop("fresh_news")


def _unmasked(warehouse: Warehouse, news: ir.Table) -> ir.Table:
    return unmasked(news.mutate(link=warehouse.json_value(news.detail, "link"))).drop("link")


def _rows(entry: Entry) -> Iterator[dict[str, Any]]:
    for told in map(_entry.decode, entry.payload.split(b"\n")):
        yield from _events(told, entry.received_at)


def _events(told: MessageEntry, received_at: datetime) -> Iterator[dict[str, Any]]:
    row = {
        "event_id": told.event_id,
        "message_id": told.message_id,
        "news": told.news,
        "occurred_at": naive(told.occurred_at),
        "received_at": naive(received_at),
        "machine": told.machine,
        "error_code": told.error_code or None,
        "cost": Decimal(told.cost) if told.cost else None,
        "detail": msgspec.json.encode(told.detail).decode(),
    }
    yield row
    if told.delivered:
        yield {**row, "event_id": f"{told.event_id}+delivered", "news": "delivered", "error_code": None, "cost": None}
