"""Queue: throttles, breakers, cancelling, reconciliation."""

from alembic import op

revision = "0016"
down_revision = "0015"

STATEMENTS = """
ALTER TABLE message
    ALTER COLUMN variables TYPE TEXT,
    ADD COLUMN priority SMALLINT NOT NULL DEFAULT 0,
    ADD COLUMN provider TEXT NOT NULL DEFAULT '',
    ADD COLUMN sender TEXT NOT NULL DEFAULT '',
    ADD COLUMN content_key TEXT NOT NULL DEFAULT '',
    ADD COLUMN max_attempts SMALLINT NOT NULL DEFAULT 10,
    ADD COLUMN queued_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    ADD COLUMN via TEXT,
    ADD COLUMN avoid TEXT,
    ADD COLUMN reconcile_at TIMESTAMP WITH TIME ZONE;
DROP INDEX ix_message_queue;
CREATE INDEX ix_message_queue ON message (channel, transactional DESC, priority DESC, not_before)
    WHERE state = 'queued';
CREATE INDEX ix_message_paused ON message (journey, step) WHERE state = 'paused';
CREATE INDEX ix_message_in_doubt ON message (attempted_at) WHERE state = 'in_doubt';
CREATE TABLE throttle (
    key TEXT NOT NULL,
    tokens DOUBLE PRECISION NOT NULL,
    filled_at TIMESTAMP WITH TIME ZONE NOT NULL,
    line_until TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_throttle PRIMARY KEY (key)
);
CREATE TABLE breaker (
    provider TEXT NOT NULL,
    state TEXT NOT NULL,
    until TIMESTAMP WITH TIME ZONE,
    pause_seconds DOUBLE PRECISION NOT NULL,
    well INTEGER NOT NULL,
    ill INTEGER NOT NULL,
    counted_since TIMESTAMP WITH TIME ZONE NOT NULL,
    reason TEXT NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_breaker PRIMARY KEY (provider)
);
CREATE TABLE hold (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    action TEXT NOT NULL,
    journey TEXT NOT NULL DEFAULT '',
    step TEXT NOT NULL DEFAULT '',
    channel TEXT NOT NULL DEFAULT '',
    message_id UUID,
    placed_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    placed_by TEXT NOT NULL,
    lifted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_hold PRIMARY KEY (id)
);
CREATE INDEX ix_hold_placed_at ON hold (placed_at) WHERE lifted_at IS NULL;
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
