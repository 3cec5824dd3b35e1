"""Database table of the templates; a version is never changed, so a message can be shown again as it was."""

from sqlalchemy import Column, DateTime, Integer, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from onevoice.database import metadata

template = Table(
    "template",
    metadata,
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("channel", Text, nullable=False),
    Column("locale", Text, nullable=False),
    Column("source", JSONB, nullable=False),  # as written: subject, preheader, mjml / title, body, link / text
    Column("compiled", JSONB, nullable=False),  # ready for Liquid: subject, html, text / ...
    Column("saved_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("name", "version", "channel", "locale"),
)
