"""Database tables of delivery: the queue of messages and what steers it, the links, the hand-off's watermark."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Float,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)

from onevoice.database import metadata

message = Table(
    "message",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", BigInteger, Identity(always=True, cache=100), nullable=False, unique=True),  # in links, short
    Column("journey", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("identifier_id", BigInteger, nullable=False),  # the customer, as known when planned
    Column("address", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("template_version", Integer, nullable=False),
    Column("locale", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("variables", Text, nullable=False),  # JSON, frozen when planned; never asked about, so kept as it came
    Column("transactional", SmallInteger, nullable=False, server_default=text("0")),  # 1: before all others
    Column("priority", SmallInteger, nullable=False, server_default=text("0")),  # the higher first
    Column("provider", Text, nullable=False, server_default=text("''")),  # which should send it
    Column("sender", Text, nullable=False, server_default=text("''")),
    Column("content_key", Text, nullable=False, server_default=text("''")),
    Column("place", Text, nullable=False, server_default=text("''")),  # where it must be day; see quiet.py
    Column("max_attempts", SmallInteger, nullable=False, server_default=text("10")),
    Column("queued_at", DateTime(timezone=True), nullable=False, server_default=func.now()),  # by the database's clock
    Column("not_before", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    # queued → sending → accepted | failed | in_doubt; queued → skipped (with the reason in error_code); queued ⇄ paused
    Column("state", Text, nullable=False, server_default=text("'queued'")),
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
    Column("worker", Text),  # who has it, while sending
    Column("via", Text),  # the provider of the last attempt
    Column("avoid", Text),  # the provider that was at fault in the last attempt; another is tried first
    Column("reconcile_at", DateTime(timezone=True)),  # in doubt: when the provider is asked next
    Column("attempted_at", DateTime(timezone=True)),  # written before the call
    Column("settled_at", DateTime(timezone=True)),
    Column("provider_id", Text),
    Column("error_code", Text),
    Column("error", Text),
    Column("cost", Numeric(18, 4)),
    Index(
        "ix_message_queue",
        "channel",
        text("transactional DESC"),
        text("priority DESC"),
        "not_before",
        postgresql_where=text("state = 'queued'"),
    ),
    Index(
        "ix_message_address",  # whose answers are found by the address they come from
        "address",
        postgresql_where=text("attempts > 0 AND channel NOT IN ('email', 'push', 'webpush', 'webhook')"),
    ),
    Index("ix_message_calls", "settled_at", postgresql_where=text("channel = 'call' AND state = 'accepted'")),
    Index("ix_message_sending", "worker", postgresql_where=text("state = 'sending'")),
    Index("ix_message_paused", "journey", "step", postgresql_where=text("state = 'paused'")),
    Index("ix_message_in_doubt", "attempted_at", postgresql_where=text("state = 'in_doubt'")),
)

worker = Table(
    "worker",
    metadata,
    Column("name", Text, primary_key=True),
    Column("heartbeat_at", DateTime(timezone=True), nullable=False),
)

throttle = Table(
    "throttle",  # a token bucket for each thing whose pace is bounded; see throttles.py
    metadata,
    Column("key", Text, primary_key=True),
    Column("tokens", Float(53), nullable=False),
    Column("filled_at", DateTime(timezone=True), nullable=False),
    Column("line_until", DateTime(timezone=True), nullable=False),
)

delivery_limit = Table(
    "delivery_limit",  # throttles and breakers' bounds that people have changed; see limits.py
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_at", DateTime(timezone=True), nullable=False),
)

breaker = Table(
    "breaker",  # how each provider does; see breakers.py
    metadata,
    Column("provider", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("until", DateTime(timezone=True)),
    Column("pause_seconds", Float(53), nullable=False),
    Column("well", Integer, nullable=False),
    Column("ill", Integer, nullable=False),
    Column("counted_since", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

hold = Table(
    "hold",  # what people have paused and cancelled; see holds.py
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("action", Text, nullable=False),  # pause, cancel
    Column("journey", Text, nullable=False, server_default=text("''")),
    Column("step", Text, nullable=False, server_default=text("''")),
    Column("channel", Text, nullable=False, server_default=text("''")),
    Column("message_id", Uuid),
    Column("placed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("placed_by", Text, nullable=False),
    Column("lifted_at", DateTime(timezone=True)),
    Index("ix_hold_placed_at", "placed_at", postgresql_where=text("lifted_at IS NULL")),
)

call_task = Table(
    "call_task",  # who has taken a call and what came of it; the call itself is a message on the channel `call`
    metadata,
    Column("message_id", Uuid, primary_key=True),
    Column("identifier_id", BigInteger, nullable=False),
    Column("taken_by", Text, nullable=False),  # empty: given back
    Column("taken_at", DateTime(timezone=True), nullable=False),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("result", Text),  # a word of calls.RESULTS that ends it
    Column("note", Text, nullable=False, server_default=text("''")),
    Column("ended_at", DateTime(timezone=True)),
)

soft_bounce = Table(
    "soft_bounce",  # what came back from addresses that may be good
    metadata,
    Column("channel", Text, primary_key=True),
    Column("address_hash", LargeBinary, primary_key=True),
    Column("message_id", Uuid, primary_key=True),
    Column("bounced_at", DateTime(timezone=True), nullable=False),
)

content_refusal = Table(
    "content_refusal",  # messages that providers refused for what they say; many of a step pause it
    metadata,
    Column("message_id", Uuid, primary_key=True),
    Column("journey", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("refused_at", DateTime(timezone=True), nullable=False),
    Index("ix_content_refusal_step", "journey", "step", "channel", "refused_at"),
)

opt_out_review = Table(
    "opt_out_review",  # what people wrote that looks as if they wanted no more; a person decides
    metadata,
    Column("id", Uuid, primary_key=True),  # the inbound event's
    Column("identifier_id", BigInteger, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("message_id", Uuid),
    Column("text", Text, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("decision", Text),  # stopped, dismissed
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
    Index("ix_opt_out_review_waiting", "received_at", postgresql_where=text("decision IS NULL")),
)

link = Table(
    "link",  # a link's target; a tracking token carries the id, so a token can lead nowhere else
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("url", Text, nullable=False),
)

handoff = Table(
    "handoff",  # watermark: the last tick whose messages have been queued
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
