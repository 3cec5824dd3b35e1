"""Import and export: how far each import has come."""

from alembic import op

revision = "0007"
down_revision = "0006"

STATEMENTS = """
CREATE TABLE import_run (
    id text PRIMARY KEY,
    kind text NOT NULL,
    source_id smallint NOT NULL,
    place text NOT NULL,
    size bigint NOT NULL,
    mark text NOT NULL,
    mapping jsonb,
    state text NOT NULL,
    rows bigint NOT NULL DEFAULT 0,
    bad_rows bigint NOT NULL DEFAULT 0,
    entries bigint NOT NULL DEFAULT 0,
    parts integer NOT NULL DEFAULT 0,
    parts_done integer NOT NULL DEFAULT 0,
    report text,
    error text,
    started_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz
);
CREATE INDEX ix_import_run_started_at ON import_run (started_at)
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
