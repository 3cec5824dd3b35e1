"""A worker run to its end in a test: it sends what is due, then stops."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from onevoice.content import templates
from onevoice.customers import consent
from onevoice.customers.consent import Consent
from onevoice.database import inbox
from onevoice.database.inbox import Entry
from onevoice.delivery import queue, worker
from onevoice.delivery.schemas import QueuedMessage
from onevoice.kernel.clock import SharedClock
from onevoice.kernel.errors import Unavailable
from onevoice.kernel.settings import Settings
from tests.conftest import NOW

MJML = """
<mjml><mj-body><mj-section><mj-column>
<mj-text>Hello {{ customer.first_name }}, è ora: <a href="https://shop.example/offers?a=1&amp;b=2">offers</a></mj-text>
<mj-text><a href="{{ unsubscribe_url }}">Unsubscribe</a></mj-text>
</mj-column></mj-section></mj-body></mjml>
"""

TEMPLATES: dict[str, dict[str, Any]] = {
    "email": {
        "name": "hello",
        "channel": "email",
        "locales": {"en": {"subject": "Hello {{ customer.first_name }}", "mjml": MJML}},
    },
    "push": {
        "name": "hello-push",
        "channel": "push",
        "locales": {
            "en": {"title": "Hi {{ customer.first_name }}", "body": "Come in", "link": "https://shop.example/p"}
        },
    },
    "sms": {
        "name": "hello-sms",
        "channel": "sms",
        "locales": {"en": {"text": "Hi {{ customer.first_name }}: https://shop.example/s STOP: {{ unsubscribe_url }}"}},
    },
}


class Straight:
    """Commits entry by entry; the api's committer does it for many at once."""

    def __init__(self, db: Engine, *, broken: bool = False) -> None:
        self.db, self.broken = db, broken

    async def append(self, entries: Sequence[Entry]) -> None:
        if self.broken:
            raise Unavailable("no database")
        with self.db.begin() as connection:
            inbox.append(connection, entries)


def prepare(db: Engine, messages: list[QueuedMessage], position: int = 1) -> None:
    """Saves the three templates and queues the messages, each with the consent that it was planned on."""
    granted = [
        Consent(one.identifier_id, one.channel, one.topic, "granted", NOW - timedelta(days=1), "form")
        for one in messages
        if not one.transactional
    ]
    with db.begin() as connection:
        consent.record(connection, granted, NOW)
        connection.execute(inbox.inbox.delete())  # the engine has long since loaded them
        for document in TEMPLATES.values():
            templates.save(connection, document, NOW, Path())
        queue.enqueue(connection, map(queue.line, messages), position)


def at_now(settings: Settings, **changes: Any) -> Settings:
    """The settings with a shared clock that stands at NOW."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    file = settings.data_dir / "clock"
    SharedClock(file, NOW)
    return replace(settings, clock_file=str(file), **changes)


@contextlib.asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[None]:
    """A worker in this event loop."""
    stop = asyncio.Event()
    task = asyncio.create_task(worker.serve(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


def send_all(settings: Settings, db: Engine, until: Callable[[dict[str, int]], bool] | None = None) -> dict[str, int]:
    """Runs a worker until nothing is due (or `until` says so); returns the number of messages in each state."""

    async def run() -> dict[str, int]:
        async with working(settings):
            for _ in range(1000):
                await asyncio.sleep(0.02)
                found = states(db)
                if until(found) if until else not {"queued", "sending"} & set(found):
                    return found
        raise AssertionError(f"still {states(db)}")

    return asyncio.run(run())


def states(db: Engine) -> dict[str, int]:
    """How many messages are in each state."""
    with db.connect() as connection:
        return queue.states(connection)


def entries(db: Engine) -> list[inbox.Entry]:
    """What lies in the inbox, fact by fact."""
    with db.connect() as connection:
        rows = inbox.read(connection, (0, 0), 100_000)
    return [replace(one, payload=line, calls=1) for *_, one in rows for line in one.payload.split(b"\n")]
