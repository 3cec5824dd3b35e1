"""What a provider can do wrong, and what becomes of the message: by a real worker against a server that does it."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from onevoice.content import templates
from onevoice.delivery import breakers
from onevoice.demo.doubles.providers import ACCOUNT, TOKEN
from onevoice.kernel.settings import Settings
from tests.channels.answering import answering, heard
from tests.channels.test_webhook import SECRET
from tests.channels.test_webpush import PRIVATE, subscription
from tests.conftest import NOW
from tests.delivery.builders import queued
from tests.delivery.sending import TEMPLATES, at_now, prepare, send_all, states

CREATED = b'{"sid": "SM1", "status": "queued"}'


@dataclass(frozen=True)
class Fault:
    """What the provider answers, and what is expected: the message's state, its attempts, its pause, the breaker."""

    status: int | None
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()
    state: str = "queued"
    attempts: int = 1
    pause_seconds: float | None = None
    breaker: str = "closed"


CUT_SHORT = (("content-length", "9999"),)
SLOWER = (("retry-after", "7"),)

TWILIO = {
    "answers 500": Fault(500, state="in_doubt"),
    "hangs": Fault(None, state="in_doubt"),
    "closes in the middle of its answer": Fault(201, CREATED, CUT_SHORT, state="in_doubt"),
    "answers 429 and says how long": Fault(
        429, b'{"code": 20429}', SLOWER, attempts=0, pause_seconds=7, breaker="resting"
    ),
    "does not know the account any more": Fault(401, b'{"code": 20003}', attempts=0, pause_seconds=30, breaker="open"),
    "refuses the number": Fault(400, b'{"code": 21211}', state="failed"),
    "answers nonsense": Fault(201, b"<html>", state="accepted"),
}

PUSH_SERVICE = {
    "answers 500": Fault(500, pause_seconds=30),
    "hangs": Fault(None, state="in_doubt"),
    "closes in the middle of its answer": Fault(201, b"", CUT_SHORT, state="in_doubt"),
    "answers 429 and says how long": Fault(429, b"", SLOWER, attempts=0, pause_seconds=7, breaker="resting"),
    "does not know our key": Fault(403, attempts=0, pause_seconds=30, breaker="open"),
    "knows that the browser has left": Fault(410, state="failed"),
}

RECEIVER = {  # its id makes a repetition harmless, so that a cut call is made again
    "answers 500": Fault(500, pause_seconds=30),
    "hangs": Fault(None, pause_seconds=30),
    "closes in the middle of its answer": Fault(200, b"", CUT_SHORT, pause_seconds=30),
    "answers 429 and says how long": Fault(429, b"", (("retry-after", "70"),), pause_seconds=70),
    "wants no more": Fault(410, state="failed"),
}

FAULTS = [
    *(("sms", name, fault) for name, fault in TWILIO.items()),
    *(("webpush", name, fault) for name, fault in PUSH_SERVICE.items()),
    *(("webhook", name, fault) for name, fault in RECEIVER.items()),
]


def channel_of(name: str, url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of a channel whose provider is at the URL, and what a message on it is like."""
    outside = {"private_addresses": True, "timeout_seconds": 0.5}
    if name == "sms":
        keys = {"account_sid": ACCOUNT, "auth_token": TOKEN, "sender": "+15005550006", "base_url": url}
        return {"adapter": "twilio", "timeout_seconds": 0.5, **keys}, {
            "template": "hello-sms",
            "address": "+15005550010",
        }
    if name == "webpush":
        keys = {"private_key": PRIVATE, "contact": "mailto:push@shop.example"}
        return {"adapter": "webpush", **outside, **keys}, {"template": "hello-webpush", "address": subscription(url)}
    return {"adapter": "webhook", "secret": SECRET, **outside}, {"template": "", "template_version": 0, "address": url}


@pytest.mark.parametrize(("channel", "name", "fault"), FAULTS, ids=[f"{one[0]} {one[1]}" for one in FAULTS])
def test_each_fault_leaves_the_message_as_the_tables_say_and_none_is_sent_again(
    channel: str, name: str, fault: Fault, settings: Settings, db: Engine
) -> None:
    with answering(fault.status, fault.body, dict(fault.headers)) as url:
        options, like = channel_of(channel, url)
        ready = at_now(settings, channels={channel: options})
        prepare(db, [queued(1, channel=channel, **like)])
        with db.begin() as connection:
            push = {**TEMPLATES["push"], "name": "hello-webpush", "channel": "webpush"}
            templates.save(connection, push, NOW, Path())
        send_all(ready, db, until=lambda found: settled(db, channel) and "sending" not in found)
        asked = len(heard(url))
    row = message(db)
    assert (row["state"], row["attempts"]) == (fault.state, fault.attempts)
    if fault.pause_seconds is not None:
        assert row["not_before"] == NOW + timedelta(seconds=fault.pause_seconds)
    with db.connect() as connection:
        known = breakers.found(connection)
    assert known[channel].state == fault.breaker
    assert asked == 1
    assert states(db) == {fault.state: 1}


def settled(db: Engine, channel: str) -> bool:
    """Whether the attempt, and how the provider did, are written down."""
    with db.connect() as connection:
        return channel in breakers.found(connection)


def message(db: Engine) -> Any:
    with db.connect() as connection:
        return connection.execute(text("SELECT state, attempts, not_before FROM message")).mappings().one()
