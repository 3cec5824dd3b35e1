"""What a provider can do wrong, and what becomes of the message: by a real worker against a server that does it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from onevoice.delivery import breakers
from onevoice.demo.doubles.providers import ACCOUNT, TOKEN
from onevoice.kernel.settings import Settings
from tests.channels.answering import answering
from tests.conftest import NOW
from tests.delivery.builders import queued
from tests.delivery.sending import at_now, prepare, send_all, states

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


FAULTS = {
    "answers 500": Fault(500, state="in_doubt"),
    "hangs": Fault(None, state="in_doubt"),
    "closes in the middle of its answer": Fault(201, CREATED, (("content-length", "9999"),), state="in_doubt"),
    "answers 429 and says how long": Fault(
        429, b'{"code": 20429}', (("retry-after", "7"),), attempts=0, pause_seconds=7, breaker="resting"
    ),
    "does not know the account any more": Fault(401, b'{"code": 20003}', attempts=0, pause_seconds=30, breaker="open"),
    "refuses the number": Fault(400, b'{"code": 21211}', state="failed"),
    "answers nonsense": Fault(201, b"<html>", state="accepted"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_leaves_the_message_as_the_tables_say_and_none_is_sent_again(
    name: str, settings: Settings, db: Engine
) -> None:
    fault = FAULTS[name]
    with answering(fault.status, fault.body, dict(fault.headers)) as url:
        sms = {"adapter": "twilio", "account_sid": ACCOUNT, "auth_token": TOKEN, "sender": "+15005550006"}
        ready = at_now(settings, channels={"sms": {**sms, "base_url": url, "timeout_seconds": 0.5}})
        prepare(db, [queued(1, channel="sms", template="hello-sms", address="+15005550010")])
        send_all(ready, db, until=lambda found: settled(db) and "sending" not in found)
    row = message(db)
    assert (row["state"], row["attempts"]) == (fault.state, fault.attempts)
    if fault.pause_seconds is not None:
        assert row["not_before"] == NOW + timedelta(seconds=fault.pause_seconds)
    with db.connect() as connection:
        known = breakers.found(connection)
    assert known["sms"].state == fault.breaker
    assert states(db) == {fault.state: 1}


def settled(db: Engine) -> bool:
    """Whether the attempt, and how the provider did, are written down."""
    with db.connect() as connection:
        return "sms" in breakers.found(connection)


def message(db: Engine) -> Any:
    with db.connect() as connection:
        return connection.execute(text("SELECT state, attempts, not_before FROM message")).mappings().one()
