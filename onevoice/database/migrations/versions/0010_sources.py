"""Quarantine, tracking plans, webhook sources."""

from alembic import op

revision = "0010"
down_revision = "0009"

STATEMENTS = """
ALTER TABLE source ADD COLUMN platform TEXT;
ALTER TABLE source ADD COLUMN secret TEXT;
ALTER TABLE source ADD COLUMN disabled_at TIMESTAMP WITH TIME ZONE;

ALTER TABLE quarantine ADD COLUMN request BYTEA;
ALTER TABLE quarantine ADD COLUMN resolution TEXT;
ALTER TABLE quarantine ADD COLUMN resolved_at TIMESTAMP WITH TIME ZONE;
CREATE INDEX ix_quarantine_open ON quarantine (id) WHERE resolution IS NULL;

CREATE TABLE tracking_plan (
    event TEXT NOT NULL,
    version INTEGER NOT NULL,
    definition JSONB NOT NULL,
    saved_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_tracking_plan PRIMARY KEY (event)
);

CREATE TABLE plan_warning (
    event TEXT NOT NULL,
    source_id SMALLINT NOT NULL,
    problem TEXT NOT NULL,
    times BIGINT NOT NULL,
    first_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_at TIMESTAMP WITH TIME ZONE NOT NULL,
    example TEXT NOT NULL,
    CONSTRAINT pk_plan_warning PRIMARY KEY (event, source_id, problem)
);
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
