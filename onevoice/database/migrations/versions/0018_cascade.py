"""Best channel and hour."""

from alembic import op

revision = "0018"
down_revision = "0017"

STATEMENTS = """
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
