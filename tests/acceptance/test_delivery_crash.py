"""A cascade under fire: api, engine, worker, PostgreSQL and the providers killed at random moments, alone and together.

Nothing is lost, nothing is sent twice; what was cut off while it was being sent is listed as in doubt, is never more
than was in flight, and each is settled: by asking the provider, or by a person. `ONEVOICE_KILLS=300` makes a long run
of 20,000 messages. The clock runs fast, so that pauses take seconds.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, LiteralString

import httpx
import msgspec
import psycopg
import pytest

from onevoice import database, warehouse
from onevoice.content import templates
from onevoice.customers import consent
from onevoice.customers.consent import Consent
from onevoice.customers.identifiers import Identifier
from onevoice.database import inbox
from onevoice.database.inbox import Entry, Kind
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.demo.doubles import Doubles
from onevoice.events import sources
from onevoice.journeys import service as journeys
from onevoice.kernel.clock import SharedClock
from onevoice.kernel.settings import Settings
from onevoice.segments import service as segments
from tests.acceptance.durable_doubles import Wish, recorded
from tests.acceptance.test_demo import free_ports
from tests.acceptance.test_ingest_crash import found, serve
from tests.conftest import NOW
from tests.delivery.sending import TEMPLATES
from tests.journeys.builders import EVERYBODY, GREETING

KILLS = int(os.environ.get("ONEVOICE_KILLS", "8"))
PEOPLE = min(10_000, 40 * KILLS)  # each gets an e-mail and a text message
IN_FLIGHT = 40
CHUNK = 500
FASTER = 20
"""Seconds of the simulated clock in one of ours."""

VICTIMS = ("worker", "engine", "postgres", "double")
CASCADE = {
    **GREETING,
    "steps": [
        {
            "id": "reach",
            "cascade": {
                "stop_on": ["clicked"],
                "channels": [
                    {"channel": "email", "template": "hello", "wait": "1 minute"},
                    {"channel": "sms", "template": "hello-sms"},
                ],
            },
        }
    ],
}


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="onevoice-crash-") as made:
        yield Path(made)


class Scene:
    """All that runs: `onevoice serve` with a PostgreSQL of its own, the providers' doubles, a clock that runs fast."""

    def __init__(self, place: Path) -> None:
        port, engine_port, smtp_port, providers_port = free_ports(4)
        self.file, clock_file = place / "taken", place / "clock"
        self.wish = Wish(
            str(self.file), str(clock_file), f"http://127.0.0.1:{port}", smtp_port, providers_port, self.delay(KILLS)
        )
        doubles = Doubles(base_url=self.wish.base_url, smtp_port=smtp_port, providers_port=providers_port)
        channels = {name: table for name, table in doubles.channels().items() if name != "push"}
        self.settings = Settings(
            data_dir=place / "data", port=port, engine_port=engine_port, clock_file=str(clock_file), channels=channels
        )
        self.clock, self.over = SharedClock(clock_file, NOW), threading.Event()
        self.ticking = threading.Thread(target=self._tick, name="clock", daemon=True)
        self.double = self.doubled()
        self.server: subprocess.Popen[bytes]

    @staticmethod
    def delay(kills: int) -> float:
        """So slow are the providers that there is something in flight at every kill."""
        return 0.3 if kills else 0.0

    def __enter__(self) -> "Scene":
        self.ticking.start()
        self.server = serve(
            self.settings,
            {
                "ONEVOICE_CHANNELS": msgspec.json.encode(self.settings.channels).decode(),
                "ONEVOICE_CLOCK_FILE": self.settings.clock_file,
                "ONEVOICE_IN_FLIGHT": str(IN_FLIGHT),
                "ONEVOICE_LEASE_SECONDS": "3",
            },
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.server.send_signal(signal.SIGTERM)
        self.server.wait(60)
        self.double.kill()
        self.double.wait()
        self.over.set()
        self.ticking.join(10)

    def doubled(self) -> "subprocess.Popen[bytes]":
        """The providers' doubles as a process."""
        words = [sys.executable, "-m", "tests.acceptance.durable_doubles", msgspec.json.encode(self.wish).decode()]
        return subprocess.Popen(words)

    def kill(self, victim: str) -> bool:
        """Kills a part at once, if it runs."""
        if victim == "double":
            self.double.kill()
            self.double.wait()
            self.double = self.doubled()
            return True
        process = found(self.server.pid, "deliver" if victim == "worker" else victim)
        if process is not None:
            process.kill()
        return process is not None

    def kill_soon(self, victim: str) -> bool:
        """Kills a part as soon as it runs."""
        deadline = time.monotonic() + 30
        while not self.kill(victim):
            assert time.monotonic() < deadline, f"{victim} was not started again"
            time.sleep(0.05)
        return True

    def kill_in_flight(self) -> bool:
        """Kills the worker when an e-mail is between it and its provider, however slow PostgreSQL is just then."""
        deadline = time.monotonic() + 60
        while True:
            process = found(self.server.pid, "deliver")
            if process is not None:
                process.suspend()
                if self.in_flight_for_good():
                    process.kill()
                    return True
                process.resume()
            assert time.monotonic() < deadline, "nothing is in flight"
            time.sleep(0.05)

    def in_flight_for_good(self) -> bool:
        """Whether a worker that stands still has an e-mail out; waits till every commit under way is through."""
        try:
            with psycopg.connect(database.url(self.settings)) as connection:
                connection.execute("SET LOCAL lock_timeout = '1s'")
                connection.execute("LOCK TABLE message IN SHARE MODE")
                row = connection.execute(
                    "SELECT FROM message WHERE state = 'sending' AND channel = 'email' LIMIT 1"
                ).fetchone()
        except psycopg.errors.LockNotAvailable:  # the worker stands still within a transaction
            return False
        return row is not None

    def quicken(self) -> None:
        """From now on the providers answer at once."""
        self.wish = msgspec.structs.replace(self.wish, delay_seconds=self.delay(0))
        self.kill("double")

    def states(self) -> dict[str, int]:
        """How many messages are in each state."""
        return dict(self.rows("SELECT state, count(*) FROM message GROUP BY state"))

    def rows(self, query: LiteralString) -> list[Any]:
        """PostgreSQL's answer, however often it takes to hear it."""
        while True:
            try:
                with psycopg.connect(database.url(self.settings)) as connection:
                    return connection.execute(query).fetchall()
            except psycopg.OperationalError:
                time.sleep(0.2)

    def wait(self, until: Any, what: str, seconds: float = 120 + PEOPLE / 20) -> dict[str, int]:
        """Waits until the states are as wanted."""
        deadline = time.monotonic() + seconds
        while not until(states := self.states()):
            assert time.monotonic() < deadline, f"{what}: {states}"
            time.sleep(0.2)
        return states

    def asked(self, method: str, path: str, **body: Any) -> Any:
        """The api's answer, once it answers."""
        key = (self.settings.data_dir / "api-key").read_text().strip()
        deadline = time.monotonic() + 30
        while True:
            try:
                answer = httpx.request(
                    method, f"{self.wish.base_url}{path}", headers={"x-api-key": key}, timeout=10.0, **body
                )
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == 200:
                return answer.json()
            assert time.monotonic() < deadline, answer
            time.sleep(0.2)

    def _tick(self) -> None:
        began = time.monotonic()
        while not self.over.wait(0.02):
            self.clock.move(NOW + timedelta(seconds=FASTER * (time.monotonic() - began)))


def test_a_cascade_under_fire_loses_nothing_sends_nothing_twice_and_settles_all_doubt(place: Path) -> None:
    scene = Scene(place)
    prepare(scene.settings)
    with scene:
        scene.wait(lambda states: states.get("accepted", 0) > 5, "nothing is sent")
        kills = shoot(scene, Random(20261124))
        scene.quicken()
        over = ("queued", "sending")
        total = 2 * PEOPLE
        scene.wait(lambda s: sum(s.values()) == total and not any(s.get(word) for word in over), "not all is sent")
        listed = scene.asked("GET", "/v1/delivery/in-doubt?limit=10000")
        received = Counter(one.id for one in recorded(scene.file))
        assert max(received.values()) == 1  # before any person has said a word
        for sent in (True, False):
            ids = [row["id"] for row in listed if (row["id"] in received) is sent]
            if ids:
                word = {"message_ids": ids, "sent": sent}
                assert set(scene.asked("POST", "/v1/delivery/in-doubt", json=word)["settled"]) <= set(ids)
        left = scene.wait(lambda s: s.get("accepted") == total, "doubt is not settled")

    assert left == {"accepted": total}
    received = Counter(one.id for one in recorded(scene.file))
    assert (len(received), max(received.values())) == (total, 1)  # 0 lost, 0 twice
    assert set(kills) == set(VICTIMS)
    store = warehouse.connect(scene.settings.warehouse)
    news = store.table(MESSAGE_EVENTS)
    doubted = store.count(news.filter(news.news == "in_doubt").select("message_id").distinct())
    assert store.count(store.table(MESSAGES)) == total
    store.close()
    assert 0 < doubted <= (kills["worker"] + kills["double"] + 1) * IN_FLIGHT


def shoot(scene: Scene, dice: Random) -> Counter[str]:
    """Kills at random moments, alone and together, each at least once; returns how often each was hit."""
    kills: Counter[str] = Counter()
    for number in range(KILLS):
        time.sleep(dice.uniform(0.2, 1.5))
        together = dice.sample(VICTIMS, dice.choice((1, 1, 2, 3)))
        victims = together if number >= len(VICTIMS) else [VICTIMS[number]]
        for victim in victims:
            if victims is together:
                kills[victim] += scene.kill(victim)
            elif victim == "worker":  # so that something is in doubt
                kills[victim] += scene.kill_in_flight()
            else:
                kills[victim] += scene.kill_soon(victim)
    return kills


def prepare(settings: Settings) -> None:
    """The people with their consents, the templates and the journey, before anything runs."""
    database.migrate(settings)
    pool = database.engine(settings)
    with pool.begin() as connection:
        source = sources.ensure(connection, "shop", "web")
        for channel in ("email", "sms"):
            templates.save(connection, TEMPLATES[channel], NOW, settings.data_dir)
        segments.save(connection, EVERYBODY, NOW)
        journeys.save(connection, CASCADE, NOW)
        for start in range(0, PEOPLE, CHUNK):  # the consents first: who is known is contacted at once
            some = range(start, min(start + CHUNK, PEOPLE))
            granted = [given(number, channel) for number in some for channel in ("email", "sms")]
            consent.record(connection, granted, NOW, source.id)
            inbox.append(connection, [person(source.id, number) for number in some])
    pool.dispose()


def person(source_id: int, number: int) -> Entry:
    traits = {"email": f"reader-{number}@example.com", "phone": f"+39347{number:07}", "firstName": "Anna"}
    call = {"userId": f"u{number}", "traits": traits}
    payload = {"type": "identify", "message_id": f"m{number}", "occurred_at": NOW.isoformat(), "call": call}
    return Entry(source_id, Kind.EVENT, NOW, msgspec.json.encode(payload))


def given(number: int, channel: str) -> Consent:
    who = Identifier("user_id", f"u{number}")
    return Consent(who.id, channel, "offers", "granted", NOW, "import", namespace=who.namespace, value=who.value)
