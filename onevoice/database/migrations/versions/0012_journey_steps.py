"""Journey steps, entries, work lists of the tick."""

from alembic import op

revision = "0012"
down_revision = "0011"

STATEMENTS = """
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
