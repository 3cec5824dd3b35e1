"""Database tables of ingest: sources with their write keys, the quarantine."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from onevoice.database import metadata

source = Table(
    "source",
    metadata,
    Column("id", SmallInteger, Identity(), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),  # web, app, till, server, import; `internal` is OneVoice itself (id 0)
    Column("write_key", Text, nullable=False, unique=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("platform", Text),  # whose webhooks it takes: shopify, woocommerce; null: none
    Column("secret", Text),  # what that platform signs with
    Column("disabled_at", DateTime(timezone=True)),  # null: it is in use
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("source_id", SmallInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),  # of the inbox
    Column("reason", Text, nullable=False),  # a code, see vocabulary.py
    Column("detail", Text, nullable=False),  # a sentence
    Column("payload", LargeBinary, nullable=False),  # as it came
    Column("request", LargeBinary),  # what its request said for all its calls, as JSON; see tracking.Told
    Column("resolution", Text),  # replayed, discarded; null: open
    Column("resolved_at", DateTime(timezone=True)),
    Index("ix_quarantine_open", "id", postgresql_where=text("resolution IS NULL")),
)

tracking_plan = Table(
    "tracking_plan",  # what an event must look like, see plans.py
    metadata,
    Column("event", Text, primary_key=True),  # the event's name; `*` stands for those without a plan of their own
    Column("version", Integer, nullable=False),
    Column("definition", JSONB, nullable=False),
    Column("saved_at", DateTime(timezone=True), nullable=False),
)

plan_warning = Table(
    "plan_warning",  # what plans object to in events that were taken all the same, counted
    metadata,
    Column("event", Text, nullable=False),
    Column("source_id", SmallInteger, nullable=False),
    Column("problem", Text, nullable=False),
    Column("times", BigInteger, nullable=False),
    Column("first_at", DateTime(timezone=True), nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
    Column("example", Text, nullable=False),  # a message id
    PrimaryKeyConstraint("event", "source_id", "problem"),
)

import_run = Table(
    "import_run",  # how far each import of a file has come, see imports/runs.py
    metadata,
    Column("id", Text, primary_key=True),  # made of what is imported: place, content, kind, source, mapping
    Column("kind", Text, nullable=False),  # customers, orders, ...
    Column("source_id", SmallInteger, nullable=False),
    Column("place", Text, nullable=False),  # path or URL
    Column("size", BigInteger, nullable=False),  # bytes
    Column("mark", Text, nullable=False),  # a hash of the content, or the store's ETag
    Column("mapping", JSONB),  # {our field: column} and how values are written; null: not known yet
    Column("state", Text, nullable=False),  # waiting, reading, writing, done, failed
    Column("rows", BigInteger, nullable=False, server_default=text("0")),
    Column("bad_rows", BigInteger, nullable=False, server_default=text("0")),
    Column("entries", BigInteger, nullable=False, server_default=text("0")),  # made of the parts done
    Column("parts", Integer, nullable=False, server_default=text("0")),
    Column("parts_done", Integer, nullable=False, server_default=text("0")),
    Column("report", Text),  # where the bad rows are named
    Column("error", Text),  # why it failed
    Column("started_at", DateTime(timezone=True), nullable=False),  # the `now` of all its parts
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Index("ix_import_run_started_at", "started_at"),
)

import_job = Table(
    "import_job",  # imports asked for over HTTP, carried out in the background, see imports/jobs.py
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),  # customers, orders, ...
    Column("source", Text, nullable=False),
    Column("source_kind", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("mapping", JSONB),  # null: guessed
    Column("dry_run", Boolean, nullable=False),
    Column("again", Boolean, nullable=False),
    Column("person", Text, nullable=False),  # the API key's name
    Column("state", Text, nullable=False),  # waiting, running, done, failed, cancelled
    Column("phase", Text, nullable=False, server_default=text("''")),  # fetching, reading, checking, writing
    Column("progress", BigInteger, nullable=False, server_default=text("0")),  # of `total`: bytes, then rows
    Column("total", BigInteger, nullable=False, server_default=text("0")),  # 0: not known
    Column("starts", Integer, nullable=False, server_default=text("0")),  # since it last got further
    Column("result", JSONB),  # the report, with the first of the bad rows
    Column("report", Text),  # the file that names all of them
    Column("error", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Index("ix_import_job_created_at", "created_at"),
)

seen_1, seen_2 = (
    Table(name, metadata, Column("key", Uuid, primary_key=True))  # message ids of late, by generation; see door.py
    for name in ("seen_1", "seen_2")
)

seen_generation = Table(
    "seen_generation",
    metadata,
    Column("current", SmallInteger, primary_key=True, autoincrement=False),  # 1 or 2: which takes the new ones
    Column("since", DateTime(timezone=True)),
)
