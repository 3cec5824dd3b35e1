"""Imports over HTTP and other jobs."""

from alembic import op

revision = "0021"
down_revision = "0020"

STATEMENTS = """
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
