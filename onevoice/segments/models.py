"""Database tables of the segments' definitions, and of every version there ever was."""

from sqlalchemy import Column, DateTime, Integer, PrimaryKeyConstraint, Table, Text
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
