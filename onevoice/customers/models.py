"""Database tables of the customers: the published identifiers, the consent ledger, the suppression list."""

from sqlalchemy import BigInteger, Column, DateTime, Index, LargeBinary, PrimaryKeyConstraint, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from onevoice.database import metadata

identifier = Table(
    "identifier",  # a projection the engine publishes from the warehouse; for look-ups and the worker's last check
    metadata,
    Column("identifier_id", BigInteger, primary_key=True, autoincrement=False),
    Column("namespace", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("customer_id", BigInteger, nullable=False, index=True),
)

consent_ledger = Table(
    "consent_ledger",  # append-only
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("identifier_id", BigInteger, nullable=False),
    Column("channel", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("state", Text, nullable=False),  # granted, denied, withdrawn
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("origin", Text, nullable=False),  # import, form, one_click, link, webhook, agent
    Column("evidence", JSONB, nullable=False),  # the text shown, its locale, address, user agent, ...
    Index(None, "identifier_id", "channel", "topic"),
)

suppression = Table(
    "suppression",
    metadata,
    Column("channel", Text, nullable=False),
    Column("address_hash", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),  # bounced, complained, unsubscribed, manual
    Column("suppressed_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("channel", "address_hash"),
)

published = Table(
    "published",  # watermark: up to which batch the engine has published a projection to the database
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
