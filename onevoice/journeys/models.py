"""Database tables of the journeys' documents, one row per version, and of their back-tests."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    desc,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from onevoice.database import metadata

journey = Table(
    "journey",
    metadata,
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("definition", JSONB, nullable=False),  # see document.py
    Column("status", Text, nullable=False),  # draft, live, paused, stopped, archived
    Column("saved_at", DateTime(timezone=True), nullable=False),
    Column("launched_at", DateTime(timezone=True)),  # since when it takes people in
    # By step of an older version, what becomes of who stands there: `finish`, `leave`, or the step to move to.
    Column("moves", JSONB, nullable=False, server_default=text("'{}'")),
    Column("saved_by", Text, nullable=False, server_default=text("''")),
    PrimaryKeyConstraint("name", "version"),
)

backtest = Table(
    "backtest",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("journey", Text, nullable=False),
    Column("definition", JSONB, nullable=False),  # the document as it was tried
    Column("asked", JSONB, nullable=False),  # the window and how it is seen: backtest.Asked, and segments of its own
    Column("state", Text, nullable=False),  # waiting, running, done, failed, cancelling, cancelled
    Column("progress", Double, nullable=False, server_default=text("0")),  # 0 to 1
    Column("result", JSONB),
    Column("error", Text),
    Column("asked_at", DateTime(timezone=True), nullable=False),
    Column("begun_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Index("backtest_journey", "journey", desc("asked_at")),
)

backtest_example = Table(
    "backtest_example",  # who breaks an assertion; apart from the result, so that an erasure finds it
    metadata,
    Column("backtest_id", UUID(as_uuid=True), ForeignKey("backtest.id", ondelete="CASCADE"), nullable=False),
    Column("assertion", Integer, nullable=False),  # its place in the document
    Column("customer_id", BigInteger, nullable=False),
    Column("timeline", JSONB, nullable=False),
    PrimaryKeyConstraint("backtest_id", "assertion"),
    Index("backtest_example_customer", "customer_id"),
)
