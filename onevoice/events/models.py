"""Database tables of ingest: sources with their write keys, the quarantine."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)

from onevoice.database import metadata

source = Table(
    "source",
    metadata,
    Column("id", SmallInteger, Identity(), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),  # web, app, till, server, import; `internal` is OneVoice itself (id 0)
    Column("write_key", Text, nullable=False, unique=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("source_id", SmallInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),  # of the inbox
    Column("reason", Text, nullable=False),  # a code, see vocabulary.py
    Column("detail", Text, nullable=False),  # a sentence
    Column("payload", LargeBinary, nullable=False),  # as it came
)
