"""Load: events from the inbox into the warehouse, by the second and core, and how soon an acknowledged one is there.

The visitors of `load/speed` come back: ten events each on average, half of them known by name, with the pages,
products, carts, orders and identify calls of a shop. `load/visible` runs the api and the engine as processes. Calls are
sent in an open loop; meanwhile the engine is asked again and again how many events it holds. The n-th acknowledged
event counts as visible once it holds n, so a look's pause is in the figure.
"""

import asyncio
import atexit
import base64
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import duckdb
import msgspec

from benchmarks.ingest import PORT, _peak_memory, _ready
from benchmarks.result import Result
from onevoice import database, warehouse
from onevoice.cli.kinds import Role
from onevoice.cli.serve import prepared, spawn
from onevoice.database.inbox import Entry, Kind
from onevoice.engine.client import EngineClient
from onevoice.engine.load import BATCH, TABLES, take
from onevoice.events import sources
from onevoice.kernel.errors import Unavailable
from onevoice.kernel.settings import Settings
from onevoice.warehouse.journal import Journal

SIZE = 100_000
"""Events that are loaded; each visible run sends for `SECONDS`."""

CALLS = 100
"""Calls in a request, and so in a row of the inbox."""

SECONDS = 15.0
RATES = (100.0, 2_000.0)
"""Events a second of the visible runs: a small shop at noon, and a large one."""

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def run(size: int) -> list[Result]:
    """The load in this process, then both roles as processes at each rate."""
    return [_speed(size), _one_customer(size // 5), *(_visible(rate) for rate in RATES)]


# -- speed


def _speed(size: int) -> Result:
    """CPU time of all threads, since the machine may have other things to do."""
    folder = Path(tempfile.mkdtemp(prefix="onevoice-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    lines = [_line(call) for call in calls(size, 1)]
    seconds, passed = _load(folder, lines)
    return Result(
        "load/speed",
        f"{size:,} events of {sum(map(len, lines)) // size} bytes by {max(1, size // 10):,} visitors, {BATCH:,} in a "
        f"transaction; {size / passed:,.0f} a second of wall time",
        size / seconds,
        "events per second of CPU",
        "DuckDB reading the same lines of JSON into one table",
        size / _read_json(folder, lines),
        ("duckdb", "pyarrow", "msgspec", "ibis-framework"),
    )


def _one_customer(size: int) -> Result:
    """What a till's guest, a bot or a test account brings: everything of one customer."""
    folder = Path(tempfile.mkdtemp(prefix="onevoice-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    scattered = list(calls(size, 1))
    one = [{**call, "anonymousId": "d", "userId": "u"} for call in scattered]
    seconds, _ = _load(folder / "one", [_line(call) for call in one])
    usual, _ = _load(folder / "many", [_line(call) for call in scattered])
    return Result(
        "load/one customer",
        f"{size:,} events of one customer",
        size / seconds,
        "events per second of CPU",
        f"the same events of {max(1, size // 10):,} customers",
        size / usual,
        ("duckdb", "ibis-framework"),
    )


def _load(folder: Path, lines: list[bytes]) -> tuple[float, float]:
    """CPU seconds and seconds of the clock."""
    folder.mkdir(exist_ok=True)
    rows = [
        Entry(1, Kind.EVENT, NOW, b"\n".join(lines[start : start + CALLS]), CALLS)
        for start in range(0, len(lines), CALLS)
    ]
    store = warehouse.connect(f"duckdb://{folder / 'warehouse.duckdb'}")
    store.create(TABLES)
    store.journal = Journal()
    began, wall = time.process_time(), time.perf_counter()
    for number, start in enumerate(range(0, len(rows), BATCH // CALLS)):
        with store.transaction():
            take(store, rows[start : start + BATCH // CALLS], {1: "web"}, b"secret", number + 1)
    seconds, passed = time.process_time() - began, time.perf_counter() - wall
    store.close()
    return seconds, passed


def _read_json(folder: Path, lines: list[bytes]) -> float:
    """CPU seconds of the plainest way into a table."""
    file = folder / "events.json"
    file.write_bytes(b"\n".join(lines))
    with duckdb.connect(str(folder / "plain.duckdb")) as connection:
        began = time.process_time()
        connection.execute(
            "CREATE TABLE plain AS SELECT * FROM read_json(?, format = 'newline_delimited')", [str(file)]
        )
        return time.process_time() - began


def calls(size: int, seed: int) -> Iterator[dict[str, object]]:
    """Tracking calls as shops send them."""
    random, visitors = Random(seed), max(1, size // 10)
    for number in range(size):
        visitor = int(random.random() ** 2 * visitors)  # some come often
        product = int(random.random() ** 2 * 100_000)
        page = {"path": f"/products/g-{product}", "title": f"Game {product}"}
        shown = {
            "product_id": f"{product:024x}",
            "sku": f"G-{product}",
            "category": "Games",
            "name": f"Game {product}",
            "brand": f"Brand {product % 97}",
            "price": 5 + product % 80,
            "currency": "EUR",
            "url": f"https://shop.example/products/g-{product}",
        }
        call: dict[str, object] = {
            "messageId": f"{seed}-{number}-{random.getrandbits(96):024x}",
            "anonymousId": f"{Random(visitor).getrandbits(128):032x}",
            "timestamp": (NOW - timedelta(seconds=random.uniform(0, 60))).isoformat(),
            "context": {
                "library": {"name": "analytics.js", "version": "2.11.1"},
                "locale": "it-IT",
                "page": {**page, "url": f"https://shop.example/products/g-{product}"},
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64)",
            },
        }
        if visitor % 2:
            call["userId"] = f"user-{visitor}"
        dice = random.random()
        if dice < 0.02:
            traits = {"email": f"user-{visitor}@shop.example", "firstName": f"Name {visitor % 997}", "country": "IT"}
            call |= {"type": "identify", "userId": f"user-{visitor}", "traits": traits}
        elif dice < 0.04:
            order = {"order_id": f"{seed}-{number}", "revenue": shown["price"], "currency": "EUR", "products": [shown]}
            call |= {"type": "track", "event": "Order Completed", "properties": order}
        elif dice < 0.09:
            call |= {"type": "track", "event": "Product Added", "properties": {**shown, "quantity": 1}}
        elif dice < 0.35:
            call |= {"type": "page", "name": "Product", "properties": page}
        else:
            call |= {"type": "track", "event": "Product Viewed", "properties": shown}
        yield call


def _line(call: dict[str, object]) -> bytes:
    """A call as the door writes it."""
    entry = {"type": call["type"], "message_id": call["messageId"], "occurred_at": call["timestamp"], "call": call}
    return msgspec.json.encode(entry)


# -- visible


def _visible(rate: float) -> Result:
    folder = tempfile.mkdtemp(prefix="onevoice-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings = prepared(Settings(data_dir=Path(folder), port=PORT, engine_port=PORT + 1))
    pool = database.engine(settings)
    with pool.begin() as connection:
        key = sources.ensure(connection, "bench", "web").write_key
    pool.dispose()
    per_request = min(CALLS, max(1, round(rate / 50)))
    size = round(rate * SECONDS / per_request) * per_request
    told = list(calls(size, 2))
    bodies = [
        msgspec.json.encode({"batch": told[start : start + per_request]}) for start in range(0, size, per_request)
    ]
    roles = [spawn(role, settings) for role in (Role.API, Role.ENGINE)]
    try:
        asyncio.run(_ready())
        looks = _Looks(settings)
        acknowledged = asyncio.run(_send(bodies, rate / per_request, key))
        looks.until(size)
        memory = [_peak_memory(role.pid) for role in roles]
    finally:
        for role in roles:
            role.terminate()
            role.wait(30)
    waits = sorted(looks.first(per_request * (n + 1)) - at for n, at in enumerate(sorted(acknowledged)))
    middle, late = waits[len(waits) // 2], waits[int(len(waits) * 0.95)]
    return Result(
        "load/visible",
        f"{size:,} events at {rate:,.0f} a second, {per_request} in a request; p50 {middle:.2f} s; "
        f"peaks: api {memory[0]:,.0f} MB, engine {memory[1]:,.0f} MB",
        late,
        "s from acknowledgement to the warehouse (p95)",
        "what we promise",
        1.0,
        ("duckdb", "psycopg"),
    )


async def _send(bodies: list[bytes], rate: float, key: str) -> list[float]:
    """Sends each at its time, whether the one before was answered or not; returns when each was acknowledged."""
    authorization = base64.b64encode(f"{key}:".encode()).decode()
    head = f"POST /v1/batch HTTP/1.1\r\nHost: shop\r\nAuthorization: Basic {authorization}\r\nConnection: close\r\n"
    times: list[float] = []

    async def send(body: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readline()
        assert b" 200 " in answer, answer
        times.append(time.monotonic())
        writer.close()

    start = time.monotonic()
    async with asyncio.TaskGroup() as sending:
        for number, body in enumerate(bodies):
            await asyncio.sleep(start + number / rate - time.monotonic())
            sending.create_task(send(body))
    return times


class _Looks:
    """Asks the engine all the time how many events it holds, in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._client = EngineClient(settings)
        self._seen: list[tuple[int, float]] = []
        self._until: int | None = None
        deadline = time.monotonic() + 30
        while True:
            try:
                self._client.ask("health")
                break
            except Unavailable:  # not there yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while self._until is None or not self._seen or self._seen[-1][0] < self._until:
            held = int(self._client.ask("health")["events"])
            self._seen.append((held, time.monotonic()))
            time.sleep(0.02)

    def until(self, size: int) -> None:
        """Waits until all are there."""
        self._until = size
        self._thread.join(300)
        assert self._seen[-1][0] == size, (self._seen[-1], size)

    def first(self, count: int) -> float:
        """When so many were first seen."""
        return next(at for held, at in self._seen if held >= count)
