"""Journey steps, entries, work lists of the tick."""

from alembic import op

revision = "0012"
down_revision = "0011"

STATEMENTS = """
ALTER TABLE journey ADD COLUMN launched_at timestamptz;
UPDATE journey SET launched_at = saved_at WHERE status IN ('live', 'paused');
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
