"""Consent: texts kept by their hash, who and whose law, a ledger that refuses to change, policies, topics."""

from alembic import op

revision = "0005"
down_revision = "0004"

STATEMENTS = """
CREATE TABLE consent_text (
    hash BYTEA NOT NULL,
    locale TEXT NOT NULL,
    text TEXT NOT NULL,
    first_used_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_consent_text PRIMARY KEY (hash)
);

ALTER TABLE consent_ledger
    ADD COLUMN text_hash BYTEA CONSTRAINT fk_consent_ledger_text_hash REFERENCES consent_text (hash),
    ADD COLUMN actor TEXT DEFAULT 'customer' NOT NULL,
    ADD COLUMN country TEXT DEFAULT '' NOT NULL;

CREATE TABLE consent_policy (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    definition JSONB NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_consent_policy PRIMARY KEY (name)
);

CREATE TABLE topic (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    definition JSONB NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_topic PRIMARY KEY (name)
);

CREATE TABLE suppression_change (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    channel TEXT NOT NULL,
    address_hash BYTEA NOT NULL,
    added BOOLEAN NOT NULL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_suppression_change PRIMARY KEY (id)
);
CREATE INDEX ix_suppression_change_channel_address_hash ON suppression_change (channel, address_hash);
"""

APPEND_ONLY = (
    # A row of the ledger goes only within an erasure, which says so for its own transaction (consent/ledger.py).
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'consent_ledger'
           AND current_setting('onevoice.erasure', true) = 'on' THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
    END $$
    """,
    *(
        statement
        for table in ("consent_ledger", "consent_text", "suppression_change")
        for statement in (
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW "
            "EXECUTE FUNCTION refuse_change()",
            f"CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON {table} EXECUTE FUNCTION refuse_change()",
        )
    ),
)


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
    for statement in APPEND_ONLY:
        op.execute(statement)
