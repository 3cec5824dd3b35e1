"""Imports over HTTP and other jobs."""

from alembic import op

revision = "0018"
down_revision = "0017"

STATEMENTS = """
CREATE TABLE import_job (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    source text NOT NULL,
    source_kind text NOT NULL,
    url text NOT NULL,
    mapping jsonb,
    dry_run boolean NOT NULL,
    again boolean NOT NULL,
    person text NOT NULL,
    state text NOT NULL,
    phase text NOT NULL DEFAULT '',
    progress bigint NOT NULL DEFAULT 0,
    total bigint NOT NULL DEFAULT 0,
    starts integer NOT NULL DEFAULT 0,
    result jsonb,
    report text,
    error text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz
);

CREATE INDEX ix_import_job_created_at ON import_job (created_at)
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
