"""What people write to us: an event `Message Received`, and the news `replied` of the message they answer.

A repetition is known by the provider's id for it, at the door that knows every event. Whatever follows happens in the
transaction that lets it in, so it happens once.
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection

from onevoice.channels.adapter import InboundMessage, News
from onevoice.customers import identifiers
from onevoice.customers.identifiers import ANONYMOUS, USER, Identifier
from onevoice.database import driver, inbox
from onevoice.database.inbox import INTERNAL_SOURCE
from onevoice.delivery import opt_outs
from onevoice.delivery.consequences import COLUMNS, About
from onevoice.delivery.schemas import TEST, MessageEntry
from onevoice.delivery.settlement import entry
from onevoice.events import door
from onevoice.events.vocabulary import EventEntry
from onevoice.kernel.ids import fact_id

RECEIVED = "Message Received"
"""The event of an inbound message: properties channel, text, and message_id where it answers one."""

ANSWERS_WITHIN = timedelta(days=30)
"""On a channel that does not say what is answered, it is the newest message to that address, not older than this."""

NAMESPACES = {"email": "email", "sms": "phone", "whatsapp": "phone", "push": "push_token"}
"""The namespace of a channel's addresses; another channel's are named like the channel."""

LONGEST = 10_000
"""Characters of a text that are kept."""


def take(connection: Connection, secret: bytes, told: InboundMessage, now: datetime) -> bool:
    """Takes an inbound message in, one in a transaction (see events.door); False where it is held already."""
    answered = find_answered(connection, told)
    event_id = fact_id("inbound", told.channel, told.provider_event_id).hex
    who = _identifier(connection, told, answered)
    if not door.enter(connection, INTERNAL_SOURCE, now, [(event_id, _event(told, event_id, who, answered))]):
        return False
    if answered is not None:
        news = MessageEntry(str(answered.id), event_id, News.REPLIED, told.occurred_at)
        inbox.append(connection, [entry(news, now)])
    opt_outs.heed(connection, secret, told, event_id, who, answered, now)
    return True


def find_answered(connection: Connection, told: InboundMessage) -> About | None:
    """The message that is answered: the one named, else the newest that went to the sender's address."""
    with driver(connection) as raw:
        if told.message_id:
            return About.find(connection, told.message_id)
        if told.channel == "email":
            return None
        else:
            row = raw.execute(
                f"SELECT {COLUMNS} FROM message WHERE address = %s AND channel = %s AND attempts > 0 AND step <> %s "  # noqa: S608
                "AND channel NOT IN ('email', 'push', 'webpush', 'webhook') AND attempted_at > %s "
                "ORDER BY attempted_at DESC LIMIT 1",
                (told.sender, told.channel, TEST, told.occurred_at - ANSWERS_WITHIN),
            ).fetchone()
    return About(*row) if row else None


def _identifier(connection: Connection, told: InboundMessage, answered: About | None) -> Identifier:
    """Who writes: the customer whom the message went to, else whoever has the address."""
    if answered is not None:
        with driver(connection) as raw:
            row = raw.execute(
                "SELECT namespace, value FROM identifier WHERE identifier_id = %s", (answered.identifier_id,)
            ).fetchone()
        if row is not None:
            return Identifier(*row)
    namespace = NAMESPACES.get(told.channel, told.channel)
    return identifiers.identifier(namespace, told.sender) or Identifier(namespace, told.sender)


def _event(told: InboundMessage, event_id: str, who: Identifier, answered: About | None) -> bytes:
    properties: dict[str, Any] = {"channel": told.channel, "text": told.text[:LONGEST]}
    if answered is not None:
        properties["message_id"] = str(answered.id)
    call: dict[str, Any] = {"event": RECEIVED, "properties": properties}
    if who.namespace == USER:
        call["userId"] = who.value
    elif who.namespace == ANONYMOUS:
        call["anonymousId"] = who.value
    else:
        call["context"] = {"externalIds": [{"id": who.value, "type": who.namespace, "collection": "users"}]}
    raw = msgspec.Raw(msgspec.json.encode(call))
    return msgspec.json.encode(EventEntry("track", event_id, told.occurred_at, raw))
