"""Real parts for the tests: one PostgreSQL server for the run, an empty migrated database for each test."""

import atexit
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from onevoice import database, warehouse
from onevoice.catalog.facts import TABLES as CATALOG
from onevoice.customers.facts import TABLES as CUSTOMERS
from onevoice.database import inbox
from onevoice.database.backlog import Backlog
from onevoice.database.inbox import Entry
from onevoice.delivery.facts import TABLES as DELIVERY
from onevoice.events.facts import TABLES as EVENTS
from onevoice.journeys.facts import TABLES as JOURNEYS
from onevoice.kernel.settings import Settings
from onevoice.segments.facts import TABLES as SEGMENTS
from onevoice.warehouse import WATERMARKS, Warehouse

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
"""The instant at which most tests play."""

ALL_FACTS = (*CUSTOMERS, *CATALOG, *EVENTS, *SEGMENTS, *JOURNEYS, *DELIVERY, WATERMARKS)


PLACE = "TEST_SERVER_PLACE"
"""Where the run's PostgreSQL is. Not in pytest's own folder, which each start of pytest closes to other users."""


def pytest_configure(config: pytest.Config) -> None:
    """Makes the server's place, once, before the workers start; it goes when the last process is done with it."""
    if PLACE not in os.environ:
        os.environ[PLACE] = tempfile.mkdtemp(prefix="onevoice-test-")
        atexit.register(shutil.rmtree, os.environ[PLACE], ignore_errors=True)


@pytest.fixture(scope="session")
def server() -> str:
    """The URL of a PostgreSQL server with a migrated database `template_onevoice`; shared by all pytest workers."""
    url = database.url(Settings(data_dir=Path(os.environ[PLACE])))
    with psycopg.connect(url, autocommit=True) as connection:
        # One pytest worker migrates, the others wait for it.
        connection.execute("SELECT pg_advisory_lock(1)")
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'template_onevoice'").fetchone()
        if not found:
            connection.execute("CREATE DATABASE template_onevoice")
            database.migrate(Settings(database_url=_named(url, "template_onevoice")))
        connection.execute("SELECT pg_advisory_unlock(1)")
    return url


@pytest.fixture
def settings(server: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings with an empty migrated database of their own and `tmp_path/data` as data directory."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        # Two copies of one template at once are refused; the lock puts them in a row.
        connection.execute("SELECT pg_advisory_lock(2)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template_onevoice STRATEGY file_copy".encode())
        connection.execute("SELECT pg_advisory_unlock(2)")
    yield Settings(data_dir=tmp_path / "data", database_url=_named(server, name))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def db(settings: Settings) -> Iterator[Engine]:
    """An SQLAlchemy engine on the test's database."""
    engine = database.engine(settings)
    yield engine
    engine.dispose()


def entries_in(db: Engine) -> list[Entry]:
    """All the inbox holds, an entry for each fact, once no other test's transaction on the server holds it back."""
    with db.connect() as connection:
        deadline = time.monotonic() + 10
        while True:
            found = [
                replace(entry, payload=line, calls=1)
                for *_, entry in inbox.read(connection, (0, 0), 100_000)
                for line in entry.payload.split(b"\n")
            ]
            held, _ = Backlog().look(connection)
            connection.rollback()
            if len(found) == held or time.monotonic() > deadline:
                return found
            time.sleep(0.02)


@pytest.fixture
def duck() -> Iterator[Warehouse]:
    """A DuckDB warehouse in memory with all tables."""
    made = warehouse.connect("duckdb://")
    made.create(ALL_FACTS)
    yield made
    made.close()


def chdb(path: Path) -> Warehouse:
    """A chDB warehouse with all tables, empty. chDB allows one path per process, so its tables are emptied instead."""
    made = warehouse.connect("chdb://")
    made.create(ALL_FACTS)
    for facts in ALL_FACTS:
        made.execute(f"TRUNCATE TABLE {facts.name}")
    return made


@pytest.fixture(params=["duckdb", "chdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """Both warehouses in turn, each with all tables, empty; for parity tests."""
    if request.param == "chdb":
        yield chdb(tmp_path)
        return
    made = warehouse.connect("duckdb://")
    made.create(ALL_FACTS)
    yield made
    made.close()


def _named(url: str, name: str) -> str:
    return url.replace("/postgres?", f"/{name}?")
