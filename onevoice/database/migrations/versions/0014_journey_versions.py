"""Journeys as code: versions, moves of people in flight, back-tests."""

from alembic import op

revision = "0014"
down_revision = "0013"

STATEMENTS = """
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
