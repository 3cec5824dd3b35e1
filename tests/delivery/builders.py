"""The smallest message, plan and news that show a point."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from onevoice.database.inbox import Entry, Kind
from onevoice.delivery.facts import MESSAGES
from onevoice.delivery.schemas import MessageEntry, QueuedMessage
from onevoice.kernel.clock import naive
from onevoice.kernel.ids import fact_id
from onevoice.warehouse import Warehouse
from tests.conftest import NOW


def message_id(number: int) -> UUID:
    """The id of the test's message with this number."""
    return fact_id("test message", number)


def queued(number: int, **changes: Any) -> QueuedMessage:
    """A message as the tick hands it off: an e-mail due now."""
    values: dict[str, Any] = {
        "message_id": str(message_id(number)),
        "journey": "welcome",
        "step": "reach",
        "channel": "email",
        "identifier_id": number,
        "address": f"customer{number}@example.com",
        "template": "hello",
        "template_version": 1,
        "locale": "en",
        "topic": "offers",
        "variables": {"customer": {"first_name": f"Name{number}"}},
        "not_before": NOW - timedelta(minutes=1),
        "expires_at": NOW + timedelta(days=2),
    }
    return QueuedMessage(**{**values, **changes})


def planned(warehouse: Warehouse, *numbers: int) -> None:
    """Puts planned messages into the warehouse, as the tick does."""
    count = len(numbers)
    columns: dict[str, Any] = {name: [None] * count for name in MESSAGES.columns}
    columns |= {
        "message_id": [str(message_id(number)) for number in numbers],
        "journey_version": [1] * count,
        "identifier_id": list(numbers),
        "customer_id": list(numbers),
        "planned_at": [naive(NOW)] * count,
        "tick": [1] * count,
        "status": ["planned"] * count,
    }
    for name in ("journey", "step", "channel", "enrolment_id", "address", "template", "locale", "topic"):
        columns[name] = [name] * count
    warehouse.append(MESSAGES, MESSAGES.arrow(columns))


def news(number: int, word: str, at: datetime = NOW, **changes: Any) -> Entry:
    """News of a message as they lie in the inbox."""
    event_id = fact_id(number, word, at, changes.get("machine")).hex
    told = MessageEntry(str(message_id(number)), event_id, word, at, **changes)
    return Entry(0, Kind.MESSAGE, NOW, msgspec.json.encode(told))
