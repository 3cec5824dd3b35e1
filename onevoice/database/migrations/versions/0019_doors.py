"""Where a message's customer lives, for quiet hours asked again when it is sent; what providers refused;
limits that people change while everything runs.
"""

from alembic import op

revision = "0019"
down_revision = "0018"

STATEMENTS = """
ALTER TABLE message ADD COLUMN place text NOT NULL DEFAULT '';

CREATE TABLE delivery_limit (
    key text PRIMARY KEY,
    value text NOT NULL,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL
);

CREATE TABLE content_refusal (
    message_id uuid PRIMARY KEY,
    journey text NOT NULL,
    step text NOT NULL,
    channel text NOT NULL,
    refused_at timestamptz NOT NULL
);

CREATE INDEX ix_content_refusal_step ON content_refusal (journey, step, channel, refused_at)
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
