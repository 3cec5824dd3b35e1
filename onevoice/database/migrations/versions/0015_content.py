"""Templates, variants, brand kits."""

from alembic import op

revision = "0015"
down_revision = "0014"

STATEMENTS = """
ALTER TABLE template
    ADD COLUMN brand jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN options jsonb NOT NULL DEFAULT '{}';

CREATE TABLE content_part (
    kind text NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    document jsonb NOT NULL,
    saved_at timestamptz NOT NULL,
    PRIMARY KEY (kind, name, version)
);

CREATE TABLE test_recipient (
    channel text NOT NULL,
    address text NOT NULL,
    name text NOT NULL,
    added_at timestamptz NOT NULL,
    PRIMARY KEY (channel, address)
)
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
