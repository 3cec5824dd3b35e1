"""Freshness: 200 segments computed whole, a preview, and how long an event takes from its commit to its segments.

The first are measured on a warehouse alone, the last on a running engine with its PostgreSQL and 50 segments.
"""

import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from benchmarks.result import Result
from benchmarks.segments import fill
from onevoice import database, warehouse
from onevoice.engine.engine import Engine
from onevoice.engine.role import SLICE, wait_for_entries
from onevoice.events import door, sources
from onevoice.kernel.settings import Settings
from onevoice.segments import service
from onevoice.segments.preview import preview
from onevoice.segments.refresh import Refresher
from onevoice.segments.service import SavedSegment
from onevoice.segments.tree import condition
from onevoice.warehouse import Warehouse, watermark

SIZE = 10_000_000
"""Events; a tenth of it customers, a fifth orders, half order lines, a twentieth messages."""

SEGMENTS = 200
NOW = datetime(2026, 3, 1, tzinfo=UTC)
WAITED = 50
EVENTS = 40
PATIENCE_SECONDS = 90.0


def conditions() -> Iterator[dict[str, Any]]:
    """Conditions as a retailer's two hundred segments have them: each kind, other windows, thresholds and names."""
    names = ["Product Viewed", "Product Added", "Page", "Search", "Login"]
    number = 0
    while True:
        days = 7 + 11 * (number // 10) % 360
        name = names[number % 5]
        yield from (
            {"event": {"name": name, "at_least": 1 + number % 4, "within": f"{days} days"}},
            {"not": {"event": {"name": name, "within": f"{days} days"}}},
            {"orders": {"measure": "revenue", "at_least": 50 + number, "within": f"{days} days"}},
            {"last_order": {"before": f"{days} days"}},
            {"category": {"name": f"Category {number % 50}", "within": f"{days} days"}},
            {"all": [{"trait": {"name": "city", "equals": "Roma"}}, {"last_order": {"within": f"{days} days"}}]},
            {"prefers": {"channel": ["email", "push", "sms"][number % 3], "within": f"{days} days"}},
            {
                "all": [
                    {"consent": {"channel": "email", "topic": "offers"}},
                    {"reachable": {"channel": "email"}},
                    {"orders": {"at_least": 1 + number % 3, "within": f"{days} days"}},
                ]
            },
            {"event": {"name": name, "within": f"{days} days", "where": {"colour": "red"}}},
            {"any": [{"orders": {"at_least": 4}}, {"event": {"name": name, "at_least": 3, "within": f"{days} days"}}]},
        )
        number += 10


def saved(count: int) -> list[SavedSegment]:
    """So many segments."""
    kinds = conditions()
    return [SavedSegment(f"segment {number:03}", 1, {"where": next(kinds)}) for number in range(count)]


def run(size: int) -> list[Result]:
    """Figures in the units they name; lower is better."""
    words = f"{SEGMENTS} segments, {size:,} events, {size // 10:,} customers"
    with tempfile.TemporaryDirectory() as place:
        url = f"duckdb://{place}/warehouse.duckdb"
        store = warehouse.connect(url, Settings().warehouse_memory_mb)
        fill(store, size)
        store.execute("DELETE FROM segment_members")
        store.execute("CHECKPOINT")
        results = [*_whole(store, words), *_few(store, words)]
        store.execute("DELETE FROM segment_members")
        store.execute("DELETE FROM segment_states")
        store.execute("UPDATE messages SET tick = 0")  # they were handed off long ago
        store.close()
        results += _live(Path(place), url, f"{WAITED} segments, {size:,} events")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
    return [*results, Result("freshness/memory", f"{words}; peak of this process", peak, "MB", "the floor", 1_000.0)]


def _whole(store: Warehouse, words: str) -> Iterator[Result]:
    refresher, ours = Refresher(store), saved(SEGMENTS)
    refresher.all(ours, NOW)
    later = NOW + timedelta(minutes=1)
    refresher.start_anew()
    refresher.prepare(ours, later)
    took = _timed(lambda: refresher.others(later))
    queries = [one.query(store, later) for one in refresher.plans.values()]

    def counted() -> None:
        for query in queries:
            store.backend.con.execute(f"SELECT count(*) FROM ({query})").fetchall()

    yield Result("freshness/whole", words, took, "s", "the same queries, only counted", _timed(counted))
    at = later + timedelta(seconds=30)

    def swept() -> None:
        refresher.prepare(ours, at)
        refresher.others(at)

    yield Result("freshness/windows", f"{words}; 30 s of time pass", _timed(swept), "s", "computed whole", took)


def _few(store: Warehouse, words: str) -> Iterator[Result]:
    refresher, ours = store_refresher(store)
    for count in (1, 1_000):
        customers = pa.table({"customer_id": pa.array(range(count), pa.int64()), "name": ["Product Viewed"] * count})
        figures = []
        for turn in range(5):
            at = NOW + timedelta(minutes=5, milliseconds=turn)
            refresher.journal.note("events", customers)
            refresher.prepare(ours, at)
            figures.append(1_000 * _timed(lambda at=at: refresher.others(at)))  # type: ignore[misc]
        yield Result(
            f"freshness/loaded_{count}",
            f"{words}; {count:,} customers' views loaded",
            statistics.median(figures),
            "ms",
            "the floor of a second",
            1_000.0,
        )
    tried = condition({"all": [{"orders": {"at_least": 3}}, {"event": {"name": "Search", "within": "90 days"}}]})
    figure = statistics.median(
        1_000 * _timed(lambda: preview(store.reader(), tried, NOW, overlap=True)) for _ in range(3)
    )
    yield Result("freshness/preview", f"{words}; size, sample, overlap", figure, "ms", "the floor of a second", 1_000.0)


def store_refresher(store: Warehouse) -> tuple[Refresher, list[SavedSegment]]:
    """A refresher that holds all computed."""
    refresher, ours = Refresher(store), saved(SEGMENTS)
    refresher.all(ours, NOW + timedelta(minutes=5))
    return refresher, ours


def _live(place: Path, url: str, words: str) -> Iterator[Result]:
    settings = Settings(data_dir=place / "data", warehouse_url=url)
    database.migrate(settings)
    engine = Engine(settings)
    bought = {"name": "bench", "where": {"event": {"name": "Bench"}}}
    recent = {"name": "recent", "where": {"event": {"name": "Recent", "within": "60 minutes"}}}
    with engine.database.begin() as connection:
        source = sources.ensure(connection, "bench", "server").id
        for one in saved(WAITED):
            service.save(connection, {"name": one.name, **one.document}, NOW)
        for document in (bought, recent):
            service.save(connection, document, NOW)
    engine.step(datetime.now(UTC))
    stop = threading.Event()

    def stepping() -> None:
        with engine.database.connect() as looking:
            while not stop.is_set():
                engine.step(datetime.now(UTC), SLICE)
                wait_for_entries(looking, watermark(engine.warehouse, "inbox"), stop, settings.engine_interval_seconds)

    thread = threading.Thread(target=stepping, daemon=True)
    thread.start()
    reader = engine.warehouse.reader()

    def enter(name: str, number: int, at: datetime) -> None:
        call = {"userId": f"bench-{number}", "event": name}
        body: dict[str, Any] = {
            "type": "track",
            "message_id": f"{name}{number}",
            "occurred_at": at.isoformat(),
            "call": call,
        }
        with engine.database.begin() as connection:
            door.enter(connection, source, datetime.now(UTC), [(body["message_id"], msgspec.json.encode(body))])

    def waited(name: str, wanted: int) -> float:
        began = time.perf_counter()
        query = f"SELECT count(*) FROM segment_members WHERE segment = '{name}'"
        while reader.backend.con.execute(query).fetchall()[0][0] != wanted:
            if time.perf_counter() - began > PATIENCE_SECONDS:
                raise TimeoutError(f"{name} has not {wanted} members after {PATIENCE_SECONDS} s")
            time.sleep(0.005)
        return time.perf_counter() - began

    figures = []
    for number in range(EVENTS):
        enter("Bench", number, datetime.now(UTC))
        figures.append(waited("bench", number + 1))
        time.sleep(0.037 * (number % 7))
    ends = datetime.now(UTC) + timedelta(seconds=8)
    enter("Recent", 0, ends - timedelta(minutes=60))
    waited("recent", 1)
    waited("recent", 0)
    late = (datetime.now(UTC) - ends).total_seconds()
    stop.set()
    thread.join()
    reader.close()
    engine.close()
    p95 = sorted(figures)[int(len(figures) * 0.95)]
    yield Result("freshness/event_p95", f"{words}; commit to membership", p95, "s", "the floor", 1.0)
    yield Result("freshness/window_ends", f"{words}; after its end", late, "s", "the floor", 60.0)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
