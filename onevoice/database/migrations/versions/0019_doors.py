"""Where a message's customer lives, for quiet hours asked again when it is sent."""

from alembic import op

revision = "0019"
down_revision = "0018"

STATEMENTS = """
ALTER TABLE message ADD COLUMN place text NOT NULL DEFAULT ''
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
