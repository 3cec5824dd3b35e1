"""The contact policy."""

from alembic import op

revision = "0013"
down_revision = "0012"

STATEMENTS = """
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
