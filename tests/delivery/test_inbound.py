"""What people write: an event and a reply, once; without an account of ours too."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, text

from onevoice.channels.adapter import InboundMessage
from onevoice.customers.identifiers import Identifier
from onevoice.database.inbox import Kind
from onevoice.delivery import inbound, queue
from onevoice.delivery.schemas import MessageEntry
from onevoice.events.facts import EVENTS
from onevoice.events.load import load
from onevoice.warehouse import Warehouse
from tests.conftest import NOW, entries_in
from tests.delivery.builders import message_id, queued

SECRET = b"s" * 32
PHONE = "+39333000111"


def sent(db: Engine, number: int = 1, **changes: Any) -> None:
    """A text message that went out."""
    with db.begin() as connection:
        queue.enqueue(connection, [queue.line(queued(number, channel="sms", address=PHONE, **changes))], number)
        connection.execute(
            text("UPDATE message SET attempts = 1, attempted_at = :at WHERE id = :id"),
            {"at": NOW, "id": message_id(number)},
        )


def written(text: str = "Thank you", number: int = 1, **changes: Any) -> InboundMessage:
    return InboundMessage("sms", PHONE, text, NOW, f"SM{number}", **changes)


def take(db: Engine, told: InboundMessage) -> bool:
    with db.begin() as connection:
        return inbound.take(connection, SECRET, told, NOW)


def events(db: Engine) -> list[dict[str, Any]]:
    return [msgspec.json.decode(one.payload)["call"] for one in entries_in(db) if one.kind is Kind.EVENT]


def replies(db: Engine) -> list[str]:
    told = [msgspec.json.decode(e.payload, type=MessageEntry) for e in entries_in(db) if e.kind is Kind.MESSAGE]
    return [one.message_id for one in told if one.news == "replied"]


def test_an_answer_is_an_event_and_a_reply_to_the_newest_message_once(db: Engine) -> None:
    sent(db)
    assert take(db, written())
    assert not take(db, written())
    (event,) = events(db)
    assert event["properties"] == {"channel": "sms", "text": "Thank you", "message_id": str(message_id(1))}
    assert replies(db) == [str(message_id(1))]


def test_who_was_never_written_to_is_known_by_the_address(db: Engine) -> None:
    assert take(db, written())
    (event,) = events(db)
    assert event["context"]["externalIds"] == [{"id": PHONE, "type": "phone", "collection": "users"}]
    assert replies(db) == []


@pytest.mark.parametrize("namespace", ["user_id", "anonymous_id", "loyalty_card"])
def test_the_event_names_the_customer_as_the_message_does(db: Engine, namespace: str) -> None:
    sent(db)
    with db.begin() as connection:
        connection.execute(text("INSERT INTO identifier VALUES (1, :n, 'x', 1)"), {"n": namespace})
    take(db, written())
    (event,) = events(db)
    named = {"user_id": "userId", "anonymous_id": "anonymousId"}.get(namespace)
    assert event[named] == "x" if named else event["context"]["externalIds"][0]["type"] == namespace


def test_the_event_is_loaded_as_any_other(db: Engine, duck: Warehouse) -> None:
    take(db, written("Grazie"))
    told = [one for one in entries_in(db) if one.kind is Kind.EVENT]
    with duck.transaction():
        load(duck, told, {}, SECRET, 1, [])
    (row,) = duck.rows(duck.table(EVENTS))
    assert (row["name"], row["identifier_id"]) == ("Message Received", Identifier("phone", PHONE).id)
