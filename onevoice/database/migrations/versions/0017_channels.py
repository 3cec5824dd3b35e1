"""Channels, inbound messages, opt-outs, calls."""

from alembic import op

revision = "0017"
down_revision = "0016"

STATEMENTS = """
CREATE INDEX ix_message_address ON message (address)
    WHERE attempts > 0 AND channel NOT IN ('email', 'push', 'webpush', 'webhook');
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
