"""Queue: throttles, breakers, cancelling, reconciliation."""

from alembic import op

revision = "0016"
down_revision = "0015"

STATEMENTS = """
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
