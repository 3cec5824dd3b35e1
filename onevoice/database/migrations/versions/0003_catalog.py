"""Orders, carts, coupons, offline retail."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = """
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
