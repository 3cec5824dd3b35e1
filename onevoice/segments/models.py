"""Database tables of the segments' definitions, of every version there ever was, and of lists imported from files."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from onevoice.database import metadata

segment = Table(
    "segment",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),  # counts up with each change
    Column("definition", JSONB, nullable=False),  # see tree.py
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("archived_at", DateTime(timezone=True)),  # when it was deleted; it can be restored
)

segment_version = Table(
    "segment_version",
    metadata,
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("definition", JSONB, nullable=False),
    Column("saved_at", DateTime(timezone=True), nullable=False),
    Column("saved_by", Text, nullable=False),  # the API key's name, or `command line`
    PrimaryKeyConstraint("name", "version"),
)

segment_list = Table(
    "segment_list",  # what was imported, each time anew: the newest of a name counts, the one before can come back
    metadata,
    Column("snapshot", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("origin", Text, nullable=False),  # the file's name
    Column("is_removed", Boolean, nullable=False),
    Column("saved_at", DateTime(timezone=True), nullable=False),
    # How often somebody was taken off since it was imported; who was put on is known by `added`.
    Column("revision", Integer, nullable=False, server_default=text("0")),
    Index("ix_segment_list_name", "name"),
)

segment_list_entry = Table(
    "segment_list_entry",
    metadata,
    Column("snapshot", BigInteger, nullable=False),
    Column("identifier_id", BigInteger, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("added", BigInteger, Identity(always=True), nullable=False),
    PrimaryKeyConstraint("snapshot", "identifier_id"),
    Index("ix_segment_list_entry_added", "added"),
)
