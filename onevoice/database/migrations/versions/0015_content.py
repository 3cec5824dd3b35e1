"""Templates, variants, brand kits."""

from alembic import op

revision = "0015"
down_revision = "0014"

STATEMENTS = """
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
