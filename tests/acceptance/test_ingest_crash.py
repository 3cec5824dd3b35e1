"""Ingest under fire: api, engine and PostgreSQL killed at random moments while clients send, as clients do.

A client keeps a batch until it gets its 200, and sends the same again where it got none. Whatever was acknowledged is
in the warehouse, once. `ONEVOICE_KILLS=100` makes a long run of it.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from onevoice import database, warehouse
from onevoice.engine.client import EngineClient
from onevoice.events import sources
from onevoice.events.facts import EVENTS
from onevoice.kernel.errors import OneVoiceError
from onevoice.kernel.ids import fact_id
from onevoice.kernel.settings import Settings
from tests.acceptance.test_demo import free_ports

KILLS = int(os.environ.get("ONEVOICE_KILLS", "12"))
BATCH, CLIENTS = 20, 4
VICTIMS = ("api", "engine", "postgres")


class Client(threading.Thread):
    """Sends batch after batch until told to stop, each until it is acknowledged."""

    def __init__(self, number: int, url: str, key: str) -> None:
        super().__init__(name=f"client-{number}")
        self.number, self.url, self.key = number, url, key
        self.acknowledged: list[str] = []
        self.repeated = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=5.0) as http:
            count = 0
            while not self.stopping.is_set():
                ids = [f"c{self.number}-{count + n}" for n in range(BATCH)]
                self.send(http, ids)
                count += BATCH
                self.acknowledged += ids

    def send(self, http: httpx.Client, ids: list[str]) -> None:
        calls = [
            {"type": "track", "event": "Product Viewed", "messageId": one, "userId": f"u{self.number}"} for one in ids
        ]
        while True:
            try:
                answer = http.post("/v1/batch", json={"batch": calls, "writeKey": self.key})
            except httpx.TransportError:
                pass
            else:
                if answer.status_code == 200:
                    assert answer.json()["quarantined"] == 0, answer.text
                    return
                assert answer.status_code in (429, 503), answer.text
            self.repeated += 1
            time.sleep(0.05)


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="onevoice-crash-") as made:
        yield Path(made)


def test_no_acknowledged_event_is_lost_or_twice_however_often_api_engine_and_postgres_are_killed(place: Path) -> None:
    port, engine_port = free_ports(2)
    settings = Settings(data_dir=place / "data", port=port, engine_port=engine_port)
    database.migrate(settings)
    pool = database.engine(settings)
    with pool.begin() as connection:
        key = sources.ensure(connection, "web", "web")
    pool.dispose()
    server = serve(settings)
    try:
        clients = [Client(number, f"http://127.0.0.1:{port}", key.write_key) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        kills = shoot(server, random.Random(20261124))
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join(60)
        acknowledged = [one for client in clients for one in client.acknowledged]
        assert not [client.name for client in clients if client.is_alive()]
        wait_until_loaded(settings, len(acknowledged))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)

    store = warehouse.connect(settings.warehouse)
    held = store.read(store.table(EVENTS).select("event_id"))["event_id"].to_pylist()
    store.close()
    assert sum(kills.values()) == KILLS and min(kills.values()) > 0
    assert sum(client.repeated for client in clients) > 0  # the kills hit
    assert len(held) == len(set(held))
    assert set(held) == {fact_id("event", key.id, one).hex for one in acknowledged}


def serve(settings: Settings, further: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """`onevoice serve`, which keeps its parts running."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONEVOICE_")} | {
        "ONEVOICE_DATA_DIR": str(settings.data_dir),
        "ONEVOICE_PORT": str(settings.port),
        "ONEVOICE_ENGINE_PORT": str(settings.engine_port),
        "ONEVOICE_LOG_LEVEL": "critical",
        **(further or {}),
    }
    return subprocess.Popen([sys.executable, "-m", "onevoice", "serve"], env=environment, stdout=subprocess.DEVNULL)


def shoot(server: "subprocess.Popen[bytes]", dice: random.Random) -> Counter[str]:
    """Kills one part after another at random moments; returns how often each was hit."""
    kills: Counter[str] = Counter()
    order = [VICTIMS[number % len(VICTIMS)] for number in range(KILLS)]
    dice.shuffle(order)
    for victim in order:
        time.sleep(dice.uniform(0.3, 1.5))
        deadline = time.monotonic() + 30
        while (process := found(server.pid, victim)) is None:
            assert time.monotonic() < deadline, f"{victim} was not started again"
            time.sleep(0.05)
        process.kill()
        kills[victim] += 1
    return kills


def found(supervisor: int, victim: str) -> psutil.Process | None:
    """The running process of a part."""
    if victim == "postgres":
        for process in psutil.process_iter(["name", "cmdline"]):
            command = process.info["cmdline"] or []
            if process.info["name"] == "postgres" and any(str(_data_of(supervisor)) in word for word in command):
                return process
        return None
    for process in psutil.Process(supervisor).children():
        try:
            if process.cmdline()[-1:] == [victim] and process.status() != psutil.STATUS_ZOMBIE:
                return process
        except psutil.NoSuchProcess:
            continue
    return None


def _data_of(supervisor: int) -> Path:
    return Path(psutil.Process(supervisor).environ()["ONEVOICE_DATA_DIR"]).resolve() / "postgres"


def wait_until_loaded(settings: Settings, number: int) -> None:
    """Until the engine says that it holds so many events, or has nothing left to load."""
    engine = EngineClient(settings)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if engine.ask("health")["events"] >= number and not _waiting(settings):
                return
        except (OneVoiceError, psycopg.OperationalError):
            pass
        time.sleep(0.2)
    raise AssertionError(f"not loaded in time: {json.dumps(engine.ask('health'))}, {_waiting(settings)} waiting")


def _waiting(settings: Settings) -> int:
    with psycopg.connect(database.url(settings)) as connection:
        row = connection.execute("SELECT count(*) FROM inbox").fetchone()
        return int(row[0]) if row else 0
