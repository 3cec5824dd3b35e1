"""The whole path under fire: engine and worker killed at random moments while events come in and a journey sends.

Whatever was acknowledged is in the warehouse once, every message planned is queued once, sent at most once, and what
was cut off between the call and its answer is listed as in doubt.
"""

import threading
import time
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from random import Random

import msgspec
from sqlalchemy import Engine

from onevoice import warehouse
from onevoice.content import templates
from onevoice.customers import consent
from onevoice.customers.consent import Consent
from onevoice.customers.identifiers import Identifier
from onevoice.database import inbox
from onevoice.database.inbox import Entry, Kind
from onevoice.delivery.facts import MESSAGES
from onevoice.demo.doubles import Doubles, SmtpSink
from onevoice.engine import role
from onevoice.events import sources
from onevoice.events.facts import EVENTS
from onevoice.journeys import service as journeys
from onevoice.journeys.facts import ENROLMENTS
from onevoice.kernel.settings import Settings
from onevoice.segments import service as segments
from tests.acceptance.killing import Count, counted, forked, kill, start_worker
from tests.acceptance.test_demo import free_ports
from tests.conftest import NOW
from tests.delivery.sending import TEMPLATES, at_now, states
from tests.journeys.builders import EVERYBODY, GREETING

PEOPLE, CHUNK, KILLS, IN_FLIGHT = 5_000, 50, 20, 40


class Feeder(threading.Thread):
    """Brings people in, chunk by chunk, each chunk acknowledged when its transaction has committed."""

    def __init__(self, db: Engine, source_id: int) -> None:
        super().__init__(name="feeder")
        self.db, self.source_id = db, source_id
        self.acknowledged = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        for start in range(0, PEOPLE, CHUNK):
            people = range(start, start + CHUNK)
            with self.db.begin() as connection:
                inbox.append(connection, [self.entry(number) for number in people])
                consent.record(connection, [granted(number) for number in people], NOW, self.source_id)
            self.acknowledged += CHUNK
            if not self.stopping.is_set():
                time.sleep(0.15)

    def entry(self, number: int) -> Entry:
        call = {"userId": f"u{number}", "traits": {"email": f"reader-{number}@example.com", "firstName": "Anna"}}
        payload = {"type": "identify", "message_id": f"m{number}", "occurred_at": NOW.isoformat(), "call": call}
        return Entry(self.source_id, Kind.EVENT, NOW, msgspec.json.encode(payload))


def granted(number: int) -> Consent:
    who = Identifier("user_id", f"u{number}")
    return Consent(who.id, "email", "offers", "granted", NOW, "import", namespace=who.namespace, value=who.value)


def test_engine_and_worker_killed_twenty_times_lose_nothing_and_send_nothing_twice(
    settings: Settings, db: Engine
) -> None:
    with db.begin() as connection:
        source = sources.ensure(connection, "shop", "web")
        templates.save(connection, TEMPLATES["email"], NOW, settings.data_dir)
        segments.save(connection, EVERYBODY, NOW)
        journeys.save(connection, GREETING, NOW)
    with Doubles(sink=SmtpSink(keep=False, delay_seconds=0.005)) as doubles:
        ready = at_now(
            settings,
            channels={"email": doubles.channels()["email"]},
            in_flight=IN_FLIGHT,
            lease_seconds=3.0,
            engine_interval_seconds=0.02,
            engine_port=free_ports(1)[0],
        )
        feeder = Feeder(db, source.id)
        feeder.start()
        kills = shoot(ready, Random(20261123))
        doubles.smtp.delay_seconds = 0.0
        feeder.stopping.set()
        feeder.join()
        finish(ready, db, feeder.acknowledged)
        count = counted(db, doubles.smtp)

    store = warehouse.connect(ready.warehouse)
    held = {facts.name: store.count(store.table(facts)) for facts in (EVENTS, ENROLMENTS, MESSAGES)}
    events = store.table(EVENTS).filter(lambda event: event.source_id == source.id)  # besides are those who entered
    held["events"], distinct = store.count(events), store.count(events.select("event_id").distinct())
    store.close()
    assert sum(kills.values()) == KILLS and min(kills.values()) > 3
    assert held == {"events": PEOPLE, "enrolments": PEOPLE, "messages": PEOPLE} and distinct == PEOPLE
    check(count, kills["worker"])


def check(count: Count, worker_kills: int) -> None:
    assert set(count.states) <= {"accepted", "in_doubt"}
    assert sum(count.states.values()) == PEOPLE
    assert (count.lost, count.duplicates) == (0, 0)
    assert count.states.get("in_doubt", 0) <= worker_kills * IN_FLIGHT


def shoot(settings: Settings, random: Random) -> dict[str, int]:
    """Kills the engine or the worker at random moments and starts it again; returns how often each."""
    running = {"engine": forked(role.run, settings), "worker": start_worker(settings)}
    kills = {"engine": 0, "worker": 0}
    for _ in range(KILLS):
        time.sleep(random.uniform(0.2, 1.2))
        victim = random.choice(list(running))
        kill(running[victim])
        kills[victim] += 1
        running[victim] = forked(role.run, settings) if victim == "engine" else start_worker(settings)
    for process in running.values():
        stop(process)
    return kills


def finish(settings: Settings, db: Engine, acknowledged: int) -> None:
    """Lets both run until all that was acknowledged is loaded, planned, and sent or in doubt."""
    running = [forked(role.run, settings), start_worker(settings)]
    deadline = time.monotonic() + timedelta(minutes=2).total_seconds()
    try:
        while time.monotonic() < deadline:
            found = states(db)
            if sum(found.values()) == acknowledged and not {"queued", "sending"} & set(found):
                return
            time.sleep(0.1)
    finally:
        for process in running:
            stop(process)


def stop(process: ForkServerProcess) -> None:
    """In good order; one that has only just started may not have its handlers yet, and simply ends."""
    process.terminate()
    process.join(20)
    if process.is_alive():
        kill(process)
        raise AssertionError(f"{process.name} did not stop")
