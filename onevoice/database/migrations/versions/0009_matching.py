"""Suggested merges."""

from alembic import op

revision = "0009"
down_revision = "0008"

STATEMENTS = """
CREATE TABLE match_suggestion (
    left_customer_id BIGINT NOT NULL,
    right_customer_id BIGINT NOT NULL,
    weight DOUBLE PRECISION NOT NULL,
    probability DOUBLE PRECISION NOT NULL,
    prior DOUBLE PRECISION NOT NULL,
    evidence JSONB NOT NULL,
    found_at TIMESTAMP WITH TIME ZONE NOT NULL,
    state TEXT DEFAULT 'open' NOT NULL,
    decided_at TIMESTAMP WITH TIME ZONE,
    decided_by TEXT,
    note TEXT,
    decision_id UUID,
    CONSTRAINT pk_match_suggestion PRIMARY KEY (left_customer_id, right_customer_id)
);
CREATE INDEX ix_match_suggestion_right_customer_id ON match_suggestion (right_customer_id);
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
