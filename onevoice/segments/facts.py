"""Warehouse tables of who is in which segment, and of when each segment was computed."""

from onevoice.warehouse import Facts

SEGMENT_MEMBERS = Facts(
    "segment_members",
    {"segment": "!string", "customer_id": "!int64", "entered_at": "!timestamp(6)"},
    ("segment", "customer_id"),
)

SEGMENT_STATES = Facts(
    "segment_states",
    {
        "segment": "!string",
        "version": "!int64",  # of the definition whose members are there
        "computed_at": "!timestamp(6)",  # when all customers were last asked
        "took_ms": "!float64",
        "error": "string",  # why it could not be computed; its members are then those of before
    },
    ("segment",),
)

TABLES = (SEGMENT_MEMBERS, SEGMENT_STATES)
