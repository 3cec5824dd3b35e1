"""Database tables of the customers: the published identifiers, the consent ledger, the suppression list."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
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

identity_decision = Table(
    "identity_decision",  # append-only; what an undo undoes stays, with the undo beside it
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("action", Text, nullable=False),  # merge, part, block, undo
    Column("identifier_id", BigInteger, nullable=False, index=True),
    Column("other_id", BigInteger, nullable=False, index=True),  # 0 for block
    Column("namespace", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("other_namespace", Text, nullable=False),
    Column("other_value", Text, nullable=False),
    Column("undoes", Uuid, ForeignKey("identity_decision.id", ondelete="CASCADE"), unique=True),
    Column("person", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False, index=True),
)

consent_ledger = Table(
    "consent_ledger",  # append-only
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("identifier_id", BigInteger, nullable=False),
    Column("channel", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("state", Text, nullable=False),  # granted, denied, withdrawn, soft_opt_in, pending
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("origin", Text, nullable=False),  # form, till, import, preference_page, one_click, ...
    Column("evidence", JSONB, nullable=False),  # ip, user agent, page, message, order, double opt-in, ...
    Column("text_hash", LargeBinary, ForeignKey("consent_text.hash")),  # the very words that were shown
    Column("actor", Text, nullable=False, server_default=text("'customer'")),  # customer, system, agent:NAME
    Column("country", Text, nullable=False, server_default=text("''")),  # whose law counts; empty: not known
    Index(None, "identifier_id", "channel", "topic"),
)

consent_text = Table(
    "consent_text",  # every wording a consent was given to, in its language; append-only, nothing personal in it
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("locale", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("first_used_at", DateTime(timezone=True), nullable=False),
)

consent_policy = Table(
    "consent_policy",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("definition", JSONB, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

contact_policy = Table(
    "contact_policy",  # how often and when anybody is contacted: every version (contact/store.py)
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("definition", JSONB, nullable=False),
    Column("saved_at", DateTime(timezone=True), nullable=False),
    Column("saved_by", Text, nullable=False, server_default=text("''")),
)

topic = Table(
    "topic",  # what customers can choose to hear about
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("definition", JSONB, nullable=False),  # titles and descriptions per locale, place in the list
    Column("updated_at", DateTime(timezone=True), nullable=False),
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

suppression_change = Table(
    "suppression_change",  # who put an address on the list or took it off, when and why; append-only
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("channel", Text, nullable=False),
    Column("address_hash", LargeBinary, nullable=False),
    Column("added", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index(None, "channel", "address_hash"),
)

published = Table(
    "published",  # watermark: up to which batch the engine has published a projection to the database
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

match_suggestion = Table(
    "match_suggestion",  # pairs that may be one customer, and what a person said to it (suggestions.py)
    metadata,
    # A customer's id is that of one of its identifiers, so the pair can be found again when either has another id.
    Column("left_customer_id", BigInteger, nullable=False),  # the lower one
    Column("right_customer_id", BigInteger, nullable=False, index=True),
    Column("weight", Double, nullable=False),  # log2 of the odds
    Column("probability", Double, nullable=False),
    Column("prior", Double, nullable=False),
    Column("evidence", JSONB, nullable=False),  # per field: left, right, weight
    Column("found_at", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False, server_default=text("'open'")),  # open, accepted, refused
    Column("decided_at", DateTime(timezone=True)),
    Column("decided_by", Text),
    Column("note", Text),
    Column("decision_id", Uuid),  # of the merge, while it is accepted; see decisions.py
    PrimaryKeyConstraint("left_customer_id", "right_customer_id"),
)
