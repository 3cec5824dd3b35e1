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
    ADD COLUMN avoid TEXT;
DROP INDEX ix_message_queue;
CREATE INDEX ix_message_queue ON message (channel, transactional DESC, priority DESC, not_before)
    WHERE state = 'queued';
CREATE INDEX ix_message_paused ON message (journey, step) WHERE state = 'paused';
CREATE INDEX ix_message_in_doubt ON message (attempted_at) WHERE state = 'in_doubt';
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
