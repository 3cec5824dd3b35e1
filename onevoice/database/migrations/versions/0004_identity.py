"""Identity: what people decided about who is who."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = """
CREATE TABLE identity_decision (
    id uuid PRIMARY KEY,
    action text NOT NULL,
    identifier_id bigint NOT NULL,
    other_id bigint NOT NULL,
    namespace text NOT NULL,
    value text NOT NULL,
    other_namespace text NOT NULL,
    other_value text NOT NULL,
    undoes uuid,
    person text NOT NULL,
    note text NOT NULL,
    decided_at timestamptz NOT NULL,
    CONSTRAINT uq_identity_decision_undoes UNIQUE (undoes),
    CONSTRAINT fk_identity_decision_undoes FOREIGN KEY (undoes) REFERENCES identity_decision (id) ON DELETE CASCADE
);
CREATE INDEX ix_identity_decision_identifier_id ON identity_decision (identifier_id);
CREATE INDEX ix_identity_decision_other_id ON identity_decision (other_id);
CREATE INDEX ix_identity_decision_decided_at ON identity_decision (decided_at);
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
