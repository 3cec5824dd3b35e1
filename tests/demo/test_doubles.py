"""The doubles tell back what became of messages, late, twice and out of order; what arrives adds up all the same."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import uvicorn
from sqlalchemy import Engine, text
from starlette.applications import Starlette

from onevoice.channels import adapter
from onevoice.database.inbox import Kind
from onevoice.delivery import routes
from onevoice.delivery.schemas import MessageEntry
from onevoice.demo.doubles import Doubles, Manners
from onevoice.kernel.clock import FixedClock, SharedClock
from onevoice.kernel.settings import Settings
from tests.conftest import NOW
from tests.delivery.builders import message_id, queued
from tests.delivery.sending import Straight, at_now, entries, prepare, send_all

ROUGH = Manners(fails=0.2, late=0.3, twice=0.5, disordered=0.5, lateness=timedelta(hours=1))
EACH = 20


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """The app on a port of its own, in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        threading.Event().wait(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def told(db: Engine) -> list[MessageEntry]:
    return [msgspec.json.decode(e.payload, type=MessageEntry) for e in entries(db) if e.kind is Kind.MESSAGE]


def tried_again(db: Engine) -> set[str]:
    """What found a handset out of reach and goes once more, later."""
    with db.connect() as connection:
        query = "SELECT id::text FROM message WHERE state = 'queued' AND attempts > 0"
        return set(connection.scalars(text(query)))


def test_every_message_is_told_of_however_roughly(settings: Settings, db: Engine) -> None:
    sms = [queued(n, channel="sms", template="hello-sms", address=f"+1500555{n:04d}") for n in range(EACH)]
    push = [queued(n, channel="push", template="hello-push") for n in range(EACH, 2 * EACH)]
    still = at_now(settings)
    clock = SharedClock(Path(still.clock_file))
    app = Starlette()
    with served(app) as base_url, Doubles(base_url=base_url, clock=clock, manners=ROUGH) as doubles:
        ready = replace(still, channels=doubles.channels(), public_url=base_url)
        adapters = {name: adapter.build(options, name) for name, options in ready.channels.items()}
        app.router.routes.extend(routes.routes(Straight(db), db, ready, adapters))
        prepare(db, [*sms, *push])
        everyone = {str(message_id(number)) for number in range(2 * EACH)}
        # Of what found a handset out of reach before the worker had its say, nothing is told: it only goes once more.
        send_all(ready, db, until=lambda _: {one.message_id for one in told(db)} | tried_again(db) == everyone)
        doubles.settle()
        at_once = {one.message_id for one in told(db) if one.news != "accepted"}
        assert 0 < len(at_once) < 2 * EACH  # the late ones are still to come
        clock.move(NOW + timedelta(hours=4))
        doubles.settle(all_of_them=True)
        assert doubles.providers.refused_webhooks == 0

    news = [one for one in told(db) if one.news != "accepted"]
    final = {one.message_id: one.news for one in news if one.news in ("delivered", "failed")}
    assert set(final) | tried_again(db) == everyone
    assert set(final.values()) == {"delivered", "failed"}
    assert len({one.event_id for one in news}) == len(final) < len(news)  # some came twice, and can be told


def test_what_a_double_does_depends_on_the_seed_alone() -> None:
    def planned(seed: int) -> list[str]:
        providers = Doubles(base_url="http://x.example", clock=FixedClock(NOW), seed=seed, manners=ROUGH).providers
        for number in range(EACH):
            providers._plan_push(str(message_id(number)))
        return [f"{post.due_at} {post.body!r}" for post in providers._waiting]

    assert planned(1) == planned(1) != planned(2)
