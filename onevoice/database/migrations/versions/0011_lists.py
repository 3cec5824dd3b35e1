"""Lists of identifiers imported from files."""

from alembic import op

revision = "0011"
down_revision = "0010"

STATEMENTS = """
CREATE TABLE segment_list (
    snapshot BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    origin TEXT NOT NULL,
    is_removed BOOLEAN NOT NULL,
    saved_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_segment_list PRIMARY KEY (snapshot)
);
CREATE INDEX ix_segment_list_name ON segment_list (name);

CREATE TABLE segment_list_entry (
    snapshot BIGINT NOT NULL,
    identifier_id BIGINT NOT NULL,
    namespace TEXT NOT NULL,
    value TEXT NOT NULL,
    CONSTRAINT pk_segment_list_entry PRIMARY KEY (snapshot, identifier_id)
);
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
