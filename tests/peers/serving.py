"""The real api in a process of its own, an engine that loads, and a proxy that writes down and can spoil what passes.

Missing clients are an error with the command that installs them: a test that is skipped is soon forgotten.
"""

import http.client
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import httpx

from onevoice.api import app
from onevoice.engine.engine import Engine
from onevoice.engine.load import TABLES
from onevoice.events import sources
from onevoice.kernel.clock import SystemClock
from onevoice.kernel.settings import Settings
from tests.acceptance.killing import forked
from tests.acceptance.test_demo import free_ports

PEERS = Path(__file__).parent
CLIENTS = PEERS / "clients"
SCENE: dict[str, Any] = json.loads((CLIENTS / "scene.json").read_text())
ROOT = PEERS.parent.parent

Fault = Literal["refuse", "forget"]
"""`refuse`: a 503 without asking the api. `forget`: the api takes the calls, and the client hears 503."""


@dataclass
class Passed:
    """A request that came by, and the status the client was told."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int


@dataclass
class Proxy:
    """Stands before the api. The next tracking calls suffer `faults`, one each; then all pass."""

    url: str
    faults: list[Fault] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)

    def posts(self) -> list[Passed]:
        """The tracking calls, in the order they were answered."""
        return [one for one in self.passed if one.method == "POST"]


@dataclass
class Shop:
    """A running api before which the proxy stands, and the engine that loads from its database."""

    proxy: Proxy
    url: str
    write_key: str
    engine: Engine

    def load(self, events: int) -> None:
        """Steps the engine until so many events are in the warehouse; other tests' transactions may hold it back."""
        deadline = time.monotonic() + 20
        while self.count() < events and time.monotonic() < deadline:
            self.engine.step(SystemClock().now())
        for _ in range(3):  # whatever came twice would come now
            self.engine.step(SystemClock().now())

    def count(self) -> int:
        """Events in the warehouse."""
        return len(self.rows("events"))

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A warehouse table's rows."""
        return rows(self.engine, table)


def rows(engine: Engine, table: str) -> list[dict[str, Any]]:
    """A warehouse table's rows."""
    (facts,) = (one for one in TABLES if one.name == table)
    return list(engine.warehouse.read(engine.warehouse.table(facts)).to_pylist())


@contextmanager
def shop(settings: Settings, kind: str = "web") -> Iterator[Shop]:
    """An api that serves, with a source of that kind."""
    port, engine_port = free_ports(2)
    ready = replace(settings, port=port, engine_port=engine_port)
    engine = Engine(ready)
    with engine.database.begin() as connection:
        write_key = sources.ensure(connection, "shop", kind).write_key
    api = forked(app.run, ready)
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/openapi.json")
        with proxied(port) as proxy:
            yield Shop(proxy, f"http://127.0.0.1:{port}", write_key, engine)
    finally:
        api.terminate()
        api.join(20)
        engine.close()


def wait_until_it_answers(url: str) -> None:
    """Returns once there is an answer."""
    deadline = time.monotonic() + 30
    while True:
        try:
            httpx.get(url, timeout=5)
            return
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextmanager
def proxied(port: int) -> Iterator[Proxy]:
    """A proxy to a port of this machine."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            fault: Fault | None = None
            if self.command == "POST":
                with lock:
                    fault = proxy.faults.pop(0) if proxy.faults else None
            status, headers, answer = 503, {"retry-after": "0", "access-control-allow-origin": "*"}, b"{}"
            if fault != "refuse":
                upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                upstream.request(self.command, self.path, body, dict(self.headers.items()))
                response = upstream.getresponse()
                told = response.read()
                if fault is None:
                    status, headers, answer = response.status, dict(response.getheaders()), told
                upstream.close()
            if fault:
                answer = b'{"code":"unavailable","message":"A proxy made this up"}'
            with lock:
                proxy.passed.append(Passed(self.command, self.path, dict(self.headers.items()), body, status))
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            if status != 204:
                self.send_header("content-length", str(len(answer)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer)

        do_GET = do_POST = do_OPTIONS = do_HEAD = _pass

        def log_message(self, *_args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def play(script: str, *arguments: str, clock_off_seconds: int = 0) -> dict[str, Any]:
    """Runs a client's script against an api and returns what it told."""
    environment = {**os.environ, "CLOCK_OFF": str(clock_off_seconds * 1000) if clock_off_seconds else ""}
    command = [*_interpreter(script), str(CLIENTS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, env=environment, check=False)
    assert done.returncode == 0 and done.stdout.strip(), f"{script} failed:\n{done.stdout}\n{done.stderr}"
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def _interpreter(script: str) -> list[str]:
    if script.endswith(".py"):
        python = ROOT / ".venv" / "peers" / "bin" / "python"
        assert python.exists(), (
            f"{python} is missing: run `make .venv/peers/ready`, which installs the vendors' clients"
        )
        return [str(python)]
    node = shutil.which("node")
    assert node, "node is missing: install Node.js 20 or newer, then run `make .venv/peers/ready`"
    packages = PEERS / "node_modules"
    assert packages.exists(), (
        f"{packages} is missing: run `make .venv/peers/ready`, which installs the vendors' clients"
    )
    if "browser" in script:
        chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        assert Path(chromium).exists(), f"{chromium} is missing: install Chromium, or name one in CHROMIUM"
    return [node]
