"""Channels, inbound messages, opt-outs, calls."""

from alembic import op

revision = "0017"
down_revision = "0016"

STATEMENTS = """
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
