"""Warehouse table of the events: all a customer did or had done to them, with the identifier it came with."""

from onevoice.warehouse import Facts

EVENTS = Facts(
    "events",
    {
        "event_id": "!string",  # fact_id of source and messageId, hexadecimal
        "source_id": "!int64",
        "type": "!string",  # track, identify, page, screen, group, alias
        "name": "!string",  # the event's name; for page and screen the page's
        "channel": "!string",  # web, app, offline, server: the source's kind, see models.py
        "identifier_id": "!int64",
        "customer_id": "!int64",
        "occurred_at": "!timestamp(6)",  # clock-corrected
        "received_at": "!timestamp(6)",
        "properties": "!string",  # JSON object: properties, traits for identify and group
        "arrival": "int64",  # the revision of the warehouse with which it came; null: before there was the column
    },
    ("customer_id", "occurred_at"),
)

TABLES = (EVENTS,)
