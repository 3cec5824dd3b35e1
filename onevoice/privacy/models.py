"""Database tables of privacy: requests with their reports, tombstones of what was erased, retention and its runs."""

from sqlalchemy import ARRAY, BigInteger, Column, DateTime, Identity, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from onevoice.database import metadata

privacy_request = Table(
    "privacy_request",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),  # access, erasure
    Column("state", Text, nullable=False),  # pending, running, completed
    Column("customer_id", BigInteger),  # null once they are erased
    Column("identifier_ids", ARRAY(BigInteger)),  # while an erasure runs; null before and after
    Column("requested_by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Column("report", JSONB),  # per store and table: rows found, rows left
)

erased_identifier = Table(
    "erased_identifier",  # salted, so that nobody can be found in it who is not known already; see tombstones.py
    metadata,
    Column("identifier_hash", LargeBinary, primary_key=True),
    Column("erased_at", DateTime(timezone=True), nullable=False),
)

retention = Table(
    "retention",  # what is kept how long, see retention.py
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("definition", JSONB, nullable=False),
    Column("saved_at", DateTime(timezone=True), nullable=False),
)

retention_run = Table(
    "retention_run",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("state", Text, nullable=False),  # pending, completed
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Column("report", JSONB),  # per rule: rows removed
)
