"""Ingest."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = """
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
