"""Database table of the segments' definitions."""

from sqlalchemy import Column, DateTime, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from onevoice.database import metadata

segment = Table(
    "segment",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),  # counts up with each change
    Column("definition", JSONB, nullable=False),  # see tree.py
    Column("updated_at", DateTime(timezone=True), nullable=False),
)
