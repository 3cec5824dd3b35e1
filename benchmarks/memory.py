"""Memory of the whole server: `onevoice serve` with its PostgreSQL, on a warehouse of 10 million events, 200 segments.

All its processes from their start until every segment is computed, and then at rest. Summed is their proportional share
(`Pss` of the kernel), so what they share counts once.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.freshness import NOW, SEGMENTS, saved
from benchmarks.result import Result
from benchmarks.segments import fill
from onevoice import database, warehouse
from onevoice.cli.serve import prepared
from onevoice.engine.client import EngineClient
from onevoice.kernel.errors import Unavailable
from onevoice.kernel.settings import Settings, as_environment
from onevoice.segments import service

SIZE = 10_000_000
"""Events; a tenth of it customers, a fifth orders, half order lines, a twentieth messages."""

PORT = 18_180
PATIENCE_SECONDS = 600.0
REST_SECONDS = 20.0
FLOOR_MB = 1_000.0


def run(size: int) -> list[Result]:
    """In megabytes; lower is better."""
    folder = Path(tempfile.mkdtemp(prefix="onevoice-bench-"))
    settings = prepared(Settings(data_dir=folder, port=PORT, engine_port=PORT + 1))
    try:
        _fill(settings, size)
        server = subprocess.Popen(
            [sys.executable, "-m", "onevoice", "serve"], env={**os.environ, **as_environment(settings)}
        )
        try:
            peak, rest = _watched(settings, server.pid)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    words = f"{SEGMENTS} segments, {size:,} events, {size // 10:,} customers"
    return [
        Result(f"memory/{name}", f"{words}; {_said(parts)}", parts.total(), "MB", "the floor", FLOOR_MB, ("duckdb",))
        for name, parts in (("peak", peak), ("rest", rest))
    ]


def _fill(settings: Settings, size: int) -> None:
    """In a process of its own: what it holds is none of the server's."""
    child = os.fork()
    if child == 0:
        store = warehouse.connect(settings.warehouse, 2_000)
        fill(store, size)
        store.execute("DELETE FROM segment_members")
        store.execute("UPDATE messages SET tick = 0")  # they were handed off long ago
        store.execute("CHECKPOINT")
        store.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    pool = database.engine(settings)
    with pool.begin() as connection:
        for one in saved(SEGMENTS):
            service.save(connection, {"name": one.name, **one.document}, NOW)
    pool.dispose()


def _watched(settings: Settings, server: int) -> tuple[Counter[str], Counter[str]]:
    """Megabytes by part of the server: when together they were most, and at rest."""
    client, began = EngineClient(settings), time.monotonic()
    most: Counter[str] = Counter()
    computed_at: float | None = None
    while computed_at is None or time.monotonic() - computed_at < REST_SECONDS:
        now = _memory(settings, server)
        most = max(most, now, key=Counter.total)
        if computed_at is None and _computed(client) == SEGMENTS:
            computed_at = time.monotonic()
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise TimeoutError(f"{_computed(client)} of {SEGMENTS} segments after {PATIENCE_SECONDS} s")
        time.sleep(0.25)
    return most, _memory(settings, server)


def _computed(client: EngineClient) -> int:
    try:
        states = client.ask("segment_states")
    except Unavailable:
        return 0  # it is starting
    return sum(state["error"] is None for state in states.values())


def _memory(settings: Settings, server: int) -> Counter[str]:
    found: Counter[str] = Counter()
    postmaster = int(next(settings.data_dir.rglob("postmaster.pid")).read_text().split()[0])
    for root, part in ((server, ""), (postmaster, "PostgreSQL")):
        for pid, arguments in _tree(root):
            role = arguments[arguments.index("--role") + 1] if "--role" in arguments else "supervisor"
            found[part or role] += _share(pid)
    return found


def _tree(root: int) -> Iterator[tuple[int, list[str]]]:
    """A process and all below it, with their command lines; those that end meanwhile are left out."""
    try:
        arguments = Path(f"/proc/{root}/cmdline").read_bytes().decode().split("\0")
        below = Path(f"/proc/{root}/task/{root}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return
    yield root, arguments
    for child in below:
        yield from _tree(int(child))


def _share(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1_000 for line in lines if line.startswith("Pss:")), 0.0)


def _said(parts: Counter[str]) -> str:
    return ", ".join(f"{name} {megabytes:,.0f}" for name, megabytes in sorted(parts.items()))
