"""Personalisation."""

from alembic import op

revision = "0020"
down_revision = "0019"

STATEMENTS = """
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
