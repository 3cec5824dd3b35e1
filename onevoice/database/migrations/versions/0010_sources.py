"""Quarantine, tracking plans, webhook sources."""

from alembic import op

revision = "0010"
down_revision = "0009"

STATEMENTS = """
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
