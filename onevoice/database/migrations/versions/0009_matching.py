"""Suggested merges."""

from alembic import op

revision = "0009"
down_revision = "0008"

STATEMENTS = """
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
