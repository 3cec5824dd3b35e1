"""Warehouse tables of the messages: each with its state merged by rank, and everything that happened to it."""

from onevoice.warehouse import MONEY, Facts

MESSAGES = Facts(
    "messages",
    {
        "message_id": "!string",  # fact_id of enrolment, step, channel; hexadecimal with dashes (a UUID)
        "journey": "!string",
        "journey_version": "!int64",
        "step": "!string",
        "channel": "!string",
        "enrolment_id": "!string",
        "identifier_id": "!int64",
        "customer_id": "!int64",
        "address": "!string",
        "template": "!string",
        "locale": "!string",
        "topic": "!string",
        "planned_at": "!timestamp(6)",
        "tick": "!int64",  # the tick that planned it; the hand-off's position
        "accepted_at": "timestamp(6)",
        "delivered_at": "timestamp(6)",
        "opened_at": "timestamp(6)",  # first human open, click or reply
        "clicked_at": "timestamp(6)",
        "unsubscribed_at": "timestamp(6)",
        "failed_at": "timestamp(6)",
        "status": "!string",  # planned, or the highest-ranked of what happened: see statuses.py
        "error_code": "string",
        "cost": MONEY,
        "content_key": "string",  # names what is said, where a journey's step names it
        "coupon": "string",  # the code it gives
        "replied_at": "timestamp(6)",  # a person's first answer
        "counted": "boolean",  # whether caps and gaps count it; null: yes
    },
    ("journey", "customer_id"),
)

MESSAGE_EVENTS = Facts(
    "message_events",
    {
        "event_id": "!string",
        "message_id": "!string",
        "news": "!string",  # a word of statuses.RANK
        "occurred_at": "!timestamp(6)",
        "received_at": "!timestamp(6)",
        "machine": "!boolean",  # a scanner or a mail proxy did it, not a person
        "error_code": "string",
        "cost": MONEY,
        "detail": "!string",  # JSON: link, user agent, the provider's own words
    },
    ("message_id",),
)

TABLES = (MESSAGES, MESSAGE_EVENTS)
