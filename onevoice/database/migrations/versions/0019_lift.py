"""Experiments."""

from alembic import op

revision = "0019"
down_revision = "0018"

STATEMENTS = """
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
