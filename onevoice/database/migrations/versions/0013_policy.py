"""The contact policy."""

from alembic import op

revision = "0013"
down_revision = "0012"

STATEMENTS = """
CREATE TABLE contact_policy (
    version integer PRIMARY KEY,
    definition jsonb NOT NULL,
    saved_at timestamptz NOT NULL,
    saved_by text NOT NULL DEFAULT ''
)
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
