"""A disk that is truly full: senders are told 503, what was acknowledged stays, and all goes on when there is room.

Database and warehouse share a small disk of memory, which only root may mount; elsewhere the test is skipped, and
tests/events/test_door.py plays the database's answer alone.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from onevoice import database, warehouse
from onevoice.events import sources
from onevoice.events.facts import EVENTS
from onevoice.kernel.ids import fact_id
from onevoice.kernel.settings import Settings
from tests.acceptance.test_demo import free_ports
from tests.acceptance.test_ingest_crash import serve, wait_until_loaded

SIZE_MB = 220
SECONDS = 60


@pytest.fixture
def disk() -> Iterator[Path]:
    """A disk of its own, of a few megabytes."""
    with tempfile.TemporaryDirectory(prefix="onevoice-disk-") as made:
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", made]
        if os.geteuid() or subprocess.run(mounting, check=False, capture_output=True).returncode:
            pytest.skip("only root may mount a disk to fill")
        try:
            yield Path(made)
        finally:
            subprocess.run(["umount", "--lazy", made], check=True)


def fill(disk: Path) -> Path:
    """Takes all the room there is; again, where some was given back meanwhile."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return filler


def test_a_full_disk_is_a_503_and_nothing_acknowledged_is_lost(disk: Path) -> None:
    port, engine_port = free_ports(2)
    settings = Settings(data_dir=disk / "data", port=port, engine_port=engine_port, disk_reserve_mb=0)
    database.migrate(settings)
    pool = database.engine(settings)
    with pool.begin() as connection:
        source = sources.ensure(connection, "web", "web")
    pool.dispose()
    server = serve(settings, {"ONEVOICE_DISK_RESERVE_MB": "0"})
    acknowledged: list[str] = []

    def until(status: int) -> None:
        """Sends batch after batch, each until it is acknowledged, until one is answered so."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            ids = [f"m{len(acknowledged) + n}" for n in range(100)]
            track = {
                "type": "track",
                "event": "Product Viewed",
                "userId": "u",
                "properties": {"text": os.urandom(300).hex()},
            }
            calls = [{**track, "messageId": one} for one in ids]
            try:
                answer = http.post("/v1/batch", json={"batch": calls, "writeKey": source.write_key}).status_code
            except httpx.TransportError:
                time.sleep(0.1)
                continue
            if answer == 200:
                acknowledged.extend(ids)
                if status != 200:
                    fill(disk)
            if answer == status:
                return
            assert answer in (200, 429, 503)
        raise AssertionError(f"never answered {status}")

    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10.0) as http:
            until(200)
            filler = fill(disk)
            until(503)
            before = len(acknowledged)
            filler.unlink()
            until(200)
            assert before >= 100 and len(acknowledged) == before + 100
        wait_until_loaded(settings, len(acknowledged))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    store = warehouse.connect(settings.warehouse)
    held = store.read(store.table(EVENTS).select("event_id"))["event_id"].to_pylist()
    store.close()
    assert sorted(held) == sorted(fact_id("event", source.id, one).hex for one in acknowledged)
