"""Reaction: how long from a customer's event to the e-mail it sets off, through the whole server and over SMTP.

`onevoice serve`'s three roles run as processes with their PostgreSQL. Fifty journeys are live, each entered by an event
of its own and with a goal, and the events are spread over all of them. They come in an open loop at `--rate` a second,
so that an engine that falls behind is seen to; a message's instant is when the sink has the whole of it.
"""

import asyncio
import base64
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from benchmarks.result import Result
from onevoice import database
from onevoice.cli.kinds import Role
from onevoice.cli.serve import prepared, spawn, stop_all
from onevoice.content import templates
from onevoice.customers import consent
from onevoice.customers.consent import Consent
from onevoice.customers.identifiers import USER
from onevoice.demo.doubles import SmtpSink
from onevoice.events import sources
from onevoice.journeys import service
from onevoice.kernel.ids import identifier_id
from onevoice.kernel.settings import Settings

SIZE = 600
"""Customers; each does one thing that sets off one message."""

JOURNEYS = 50
PORT = 18_380
RATE = 20.0
"""Events a second."""

PATIENCE_SECONDS = 60.0
FLOOR_SECONDS = 2.0
MJML = """<mjml lang="en"><mj-body><mj-section><mj-column>
<mj-text>Hello {{ customer.first_name }} <a href="https://shop.example/">Shop</a></mj-text>
<mj-text><a href="{{ unsubscribe_url }}">Unsubscribe</a></mj-text>
</mj-column></mj-section></mj-body></mjml>"""
TEMPLATE = {
    "kind": "template",
    "name": "hello",
    "channel": "email",
    "locales": {"en": {"subject": "Hello", "mjml": MJML}},
}


class _TimedSink(SmtpSink):
    """Notes when each recipient's message was there."""

    def __init__(self) -> None:
        super().__init__(keep=False)
        self.at: dict[str, float] = {}

    def take(self, recipient: str, raw: bytes) -> None:
        super().take(recipient, raw)
        self.at.setdefault(recipient, time.monotonic())


def run(size: int, rate: float) -> list[Result]:
    """Seconds; lower is better."""
    acknowledged, arrived = asyncio.run(_told(size, rate))
    waits = sorted(arrived[address] - at for address, at in acknowledged.items())
    middle, late = waits[len(waits) // 2], waits[int(len(waits) * 0.95)]
    return [
        Result(
            "reaction",
            f"{size:,} events at {rate:g} a second, {JOURNEYS} live journeys; p50 {middle:.2f} s",
            late,
            "s from acknowledgement to the provider (p95)",
            "the floor that was set",
            FLOOR_SECONDS,
            ("duckdb", "psycopg"),
        )
    ]


async def _told(size: int, rate: float) -> tuple[dict[str, float], dict[str, float]]:
    """By address when its customer's event was acknowledged, and when the message was there."""
    sink = _TimedSink()
    await sink.start()
    with _server(sink.port, size) as key:
        authorization = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{PORT}", headers={"Authorization": authorization}, timeout=30
        ) as http:
            await _answers(http)
            # Once before the clock runs: a server that has just been started has everything to compile.
            await http.post("/v1/batch", json={"batch": [_identify(number) for number in range(size + JOURNEYS)]})
            await asyncio.sleep(5)
            for number in range(size, size + JOURNEYS):
                await http.post("/v1/track", json=_track(number))
            await _there(sink, JOURNEYS)
            acknowledged: dict[str, float] = {}
            began = time.monotonic()
            async with asyncio.TaskGroup() as sending:

                async def send(number: int) -> None:
                    answer = await http.post("/v1/track", json=_track(number))
                    answer.raise_for_status()
                    acknowledged[_address(number)] = time.monotonic()

                for number in range(size):
                    await asyncio.sleep(began + number / rate - time.monotonic())
                    sending.create_task(send(number))
            await _there(sink, size + JOURNEYS)
    await sink.stop()
    if sink.duplicates:
        raise SystemExit(f"{sink.duplicates} messages came twice")
    return acknowledged, sink.at


async def _answers(http: httpx.AsyncClient) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            if (await http.get("/health")).is_success:
                return
        except httpx.TransportError:  # it is starting
            await asyncio.sleep(0.1)
    raise SystemExit(f"no answer from the server after {PATIENCE_SECONDS:.0f} s")


async def _there(sink: _TimedSink, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(sink.at) < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(sink.at)} of {count} messages after {PATIENCE_SECONDS:.0f} s")
        await asyncio.sleep(0.05)


@contextmanager
def _server(sink_port: int, size: int) -> Iterator[str]:
    """The roles as processes, with journeys, consents and a source; gives the source's write key."""
    folder = Path(tempfile.mkdtemp(prefix="onevoice-bench-"))
    channel = {"adapter": "smtp", "host": "127.0.0.1", "port": sink_port, "sender": "hello@shop.example"}
    settings = prepared(Settings(data_dir=folder, port=PORT, engine_port=PORT + 1, channels={"email": channel}))
    now = datetime.now(UTC) - timedelta(minutes=1)
    pool = database.engine(settings)
    with pool.begin() as connection:
        key = sources.ensure(connection, "bench", "server").write_key
        templates.save(connection, TEMPLATE, now, folder)
        for number in range(JOURNEYS):
            service.save(connection, _journey(number), now)
        consent.record(connection, map(_granted, range(size + JOURNEYS)), now)
    pool.dispose()
    roles = [spawn(role, settings) for role in (Role.API, Role.ENGINE, Role.DELIVER)]
    try:
        yield key
    finally:
        stop_all(roles)
        shutil.rmtree(folder, ignore_errors=True)


def _journey(number: int) -> dict[str, object]:
    return {
        "kind": "journey",
        "name": f"j{number}",
        "status": "live",
        "entry": {"event": {"name": f"Event {number}"}},
        "topic": "offers",
        "holdout": 0.0,
        "goal": {"event": "Order Completed"},
        "steps": [{"id": "hello", "send": {"channel": "email", "template": "hello"}}],
    }


def _granted(number: int) -> Consent:
    user = f"u{number}"
    granted_at = datetime.now(UTC) - timedelta(days=1)
    return Consent(
        identifier_id(USER, user), "email", "offers", "granted", granted_at, "form", namespace=USER, value=user
    )


def _address(number: int) -> str:
    return f"u{number}@customers.example"


def _identify(number: int) -> dict[str, object]:
    traits = {"email": _address(number)}
    return {"type": "identify", "userId": f"u{number}", "messageId": f"i{number}", "traits": traits}


def _track(number: int) -> dict[str, object]:
    return {"event": f"Event {number % JOURNEYS}", "userId": f"u{number}", "messageId": f"t{number}"}
