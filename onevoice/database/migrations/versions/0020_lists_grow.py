"""Lists that journeys put people on and take them off, without writing all of a list anew."""

from alembic import op

revision = "0020"
down_revision = "0019"

STATEMENTS = """
ALTER TABLE segment_list ADD COLUMN revision integer NOT NULL DEFAULT 0;

ALTER TABLE segment_list_entry ADD COLUMN added bigint GENERATED ALWAYS AS IDENTITY;

CREATE INDEX ix_segment_list_entry_added ON segment_list_entry (added)
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
