"""Warehouse tables of who is in which segment, when each was computed, and who is on which list."""

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

LIST_ENTRIES = Facts(
    "list_entries",  # of the lists imported from files, as the database has them: see lists.py
    {"list": "!string", "snapshot": "!int64", "identifier_id": "!int64"},
    ("list", "identifier_id"),
)

TABLES = (SEGMENT_MEMBERS, SEGMENT_STATES, LIST_ENTRIES)
