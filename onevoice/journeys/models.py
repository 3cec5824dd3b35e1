"""Database table of the journeys' documents, one row per version."""

from sqlalchemy import Column, DateTime, Integer, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from onevoice.database import metadata

journey = Table(
    "journey",
    metadata,
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("definition", JSONB, nullable=False),  # see document.py
    Column("status", Text, nullable=False),  # draft, live, paused, archived
    Column("saved_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("name", "version"),
)
