"""Warehouse table of who is in which segment."""

from onevoice.warehouse import Facts

SEGMENT_MEMBERS = Facts(
    "segment_members",
    {"segment": "!string", "customer_id": "!int64", "entered_at": "!timestamp(6)"},
    ("segment", "customer_id"),
)

TABLES = (SEGMENT_MEMBERS,)
