"""Journeys as code: versions, moves of people in flight, back-tests."""

from alembic import op

revision = "0014"
down_revision = "0013"

STATEMENTS = """
-- What becomes of the people in flight when this version takes over, by step of the older one: see versions.py.
ALTER TABLE journey ADD COLUMN moves jsonb NOT NULL DEFAULT '{}';
ALTER TABLE journey ADD COLUMN saved_by text NOT NULL DEFAULT '';

CREATE TABLE backtest (
    id uuid PRIMARY KEY,
    journey text NOT NULL,
    definition jsonb NOT NULL,
    asked jsonb NOT NULL,
    state text NOT NULL,
    progress double precision NOT NULL DEFAULT 0,
    result jsonb,
    error text,
    asked_at timestamptz NOT NULL,
    begun_at timestamptz,
    ended_at timestamptz
);
CREATE INDEX backtest_journey ON backtest (journey, asked_at DESC);

CREATE TABLE backtest_example (
    backtest_id uuid NOT NULL REFERENCES backtest ON DELETE CASCADE,
    assertion integer NOT NULL,
    customer_id bigint NOT NULL,
    timeline jsonb NOT NULL,
    PRIMARY KEY (backtest_id, assertion)
);
CREATE INDEX backtest_example_customer ON backtest_example (customer_id)
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
