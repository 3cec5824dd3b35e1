"""Ingest: the message ids seen of late, the one function that admits new ones, the number of calls in an inbox row."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = """
ALTER TABLE inbox ADD COLUMN calls INTEGER DEFAULT 1 NOT NULL;
ALTER TABLE inbox ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE TABLE seen_1 (key UUID NOT NULL, CONSTRAINT pk_seen_1 PRIMARY KEY (key))
    WITH (autovacuum_vacuum_insert_threshold = -1);
CREATE TABLE seen_2 (key UUID NOT NULL, CONSTRAINT pk_seen_2 PRIMARY KEY (key))
    WITH (autovacuum_vacuum_insert_threshold = -1);
CREATE TABLE seen_generation (
    current SMALLINT NOT NULL,
    since TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_seen_generation PRIMARY KEY (current)
);
INSERT INTO seen_generation VALUES (1, NULL);
"""

ADMIT = """
CREATE FUNCTION admit(keys UUID[]) RETURNS UUID[] LANGUAGE plpgsql AS $$
-- Writes down the keys; returns those that were held already, in no order. Once in a transaction: what waits for a key
-- another transaction has waits for its end, and only keys taken in one order keep two from waiting for each other.
DECLARE
    newer SMALLINT;
    held UUID[];
BEGIN
    -- Against the change of generations (door.forget), which must not fall between the look into one and the other.
    PERFORM pg_advisory_xact_lock_shared(hashtext('onevoice.seen'));
    SELECT current INTO newer FROM seen_generation;
    EXECUTE format('SELECT array(SELECT key FROM seen_%s WHERE key = ANY ($1))', 3 - newer) INTO held USING keys;
    IF cardinality(held) = 0 THEN
        BEGIN  -- Hardly ever is a key held; to insert and see is a third cheaper than ON CONFLICT.
            EXECUTE format('INSERT INTO seen_%s SELECT key FROM unnest($1) AS key ORDER BY key', newer) USING keys;
            RETURN held;
        EXCEPTION WHEN unique_violation THEN
            NULL;
        END;
    END IF;
    EXECUTE format(
        'WITH fresh AS ('
        '    INSERT INTO seen_%s SELECT key FROM unnest($1) AS key WHERE key <> ALL ($2) ORDER BY key'
        '    ON CONFLICT DO NOTHING RETURNING key)'
        'SELECT array(SELECT unnest($1) EXCEPT SELECT key FROM fresh)', newer) INTO held USING keys, held;
    RETURN held;
END $$
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
    op.execute(ADMIT)
