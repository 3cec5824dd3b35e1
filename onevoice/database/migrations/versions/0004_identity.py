"""Identity."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = """
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
