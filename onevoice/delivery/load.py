"""News of messages on their way into the warehouse: kept once each, and the messages they touch written anew."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from onevoice.database.inbox import Entry
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.delivery.schemas import MessageEntry
from onevoice.delivery.statuses import project
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse

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
    warehouse.replace(MESSAGES, ["message_id"], project(messages, news))
    warehouse.drop("touched_messages")
    warehouse.drop("fresh_news")


def _rows(entry: Entry) -> Iterator[dict[str, Any]]:
    told = _entry.decode(entry.payload)
    row = {
        "event_id": told.event_id,
        "message_id": told.message_id,
        "news": told.news,
        "occurred_at": naive(told.occurred_at),
        "received_at": naive(entry.received_at),
        "machine": told.machine,
        "error_code": told.error_code or None,
        "cost": Decimal(told.cost) if told.cost else None,
        "detail": msgspec.json.encode(told.detail).decode(),
    }
    yield row
    if told.delivered:
        yield {**row, "event_id": f"{told.event_id}+delivered", "news": "delivered", "error_code": None, "cost": None}
