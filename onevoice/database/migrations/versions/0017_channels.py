"""Channels, inbound messages, opt-outs, calls."""

from alembic import op

revision = "0017"
down_revision = "0016"

STATEMENTS = """
CREATE TABLE call_task (
    message_id UUID NOT NULL,
    identifier_id BIGINT NOT NULL,
    taken_by TEXT NOT NULL,
    taken_at TIMESTAMP WITH TIME ZONE NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    result TEXT,
    note TEXT NOT NULL DEFAULT '',
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_call_task PRIMARY KEY (message_id)
);
CREATE INDEX ix_message_calls ON message (settled_at) WHERE channel = 'call' AND state = 'accepted';
CREATE TABLE soft_bounce (
    channel TEXT NOT NULL,
    address_hash BYTEA NOT NULL,
    message_id UUID NOT NULL,
    bounced_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_soft_bounce PRIMARY KEY (channel, address_hash, message_id)
);
CREATE TABLE opt_out_review (
    id UUID NOT NULL,
    identifier_id BIGINT NOT NULL,
    namespace TEXT NOT NULL,
    value TEXT NOT NULL,
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    message_id UUID,
    text TEXT NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    decision TEXT,
    decided_by TEXT,
    decided_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_opt_out_review PRIMARY KEY (id)
);
CREATE INDEX ix_opt_out_review_waiting ON opt_out_review (received_at) WHERE decision IS NULL;
CREATE INDEX ix_message_address ON message (address)
    WHERE attempts > 0 AND channel NOT IN ('email', 'push', 'webpush', 'webhook');
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
