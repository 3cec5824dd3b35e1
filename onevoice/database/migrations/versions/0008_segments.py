"""Segments."""

from alembic import op

revision = "0008"
down_revision = "0007"

STATEMENTS = """
ALTER TABLE segment ADD COLUMN archived_at TIMESTAMP WITH TIME ZONE;

CREATE TABLE segment_version (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    definition JSONB NOT NULL,
    saved_at TIMESTAMP WITH TIME ZONE NOT NULL,
    saved_by TEXT NOT NULL,
    CONSTRAINT pk_segment_version PRIMARY KEY (name, version)
);
INSERT INTO segment_version SELECT name, version, definition, updated_at, '' FROM segment;
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
