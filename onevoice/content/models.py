"""Database tables of the content; a version is never changed, so a message can be shown again as it was."""

from sqlalchemy import Column, DateTime, Integer, PrimaryKeyConstraint, Table, Text, text
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
    Column("brand", JSONB, nullable=False, server_default=text("'{}'")),  # what {{ brand }} holds in this variant
    Column("options", JSONB, nullable=False, server_default=text("'{}'")),  # of the whole version: brand, transactional
    Column("saved_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("name", "version", "channel", "locale"),
)

content_part = Table(
    "content_part",  # what templates are made with: brands and blocks
    metadata,
    Column("kind", Text, nullable=False),  # brand, block
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("saved_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("kind", "name", "version"),
)

test_recipient = Table(
    "test_recipient",  # colleagues and devices that tests may be sent to
    metadata,
    Column("channel", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("channel", "address"),
)
