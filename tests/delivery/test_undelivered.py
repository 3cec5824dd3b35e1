"""What providers tell afterwards: what may arrive later is sent again, once; what is refused for its words stops."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import Engine, text

from onevoice.channels.twilio import signature
from onevoice.delivery import breakers, holds, queue
from onevoice.delivery.holds import Scope
from onevoice.demo.doubles import Doubles
from onevoice.demo.doubles.providers import TOKEN
from onevoice.kernel.clock import SharedClock
from onevoice.kernel.settings import Settings
from tests.conftest import NOW
from tests.delivery.builders import message_id, queued
from tests.delivery.sending import at_now
from tests.delivery.test_routes import BASE, call, news

HOUR = timedelta(hours=1)


@pytest.fixture
def ready(settings: Settings, db: Engine) -> Settings:
    with db.begin() as connection:
        queue.add(connection, [queued(number, channel="sms", address=f"+1{number}") for number in range(1, 13)])
    return at_now(settings, public_url=BASE, channels=Doubles(base_url=BASE).channels())


def take(db: Engine, at: datetime = NOW) -> list[queue.Leased]:
    """A worker has written its tries down, and calls Twilio."""
    with db.begin() as connection:
        return queue.lease(connection, "w", queue.sole("sms"), 100, at)


def settle(db: Engine, taken: list[queue.Leased], number: int, sid: str, at: datetime = NOW) -> bool:
    """It writes down that Twilio took them; whether its word about this one is to be told."""
    settled = [
        queue.Settlement(one.id, one.attempts, "accepted", provider_id=sid if one.id == message_id(number) else "x")
        for one in taken
    ]
    with db.begin() as connection:
        return message_id(number) in queue.settle(connection, "w", settled, at)


def send(db: Engine, number: int, sid: str, at: datetime = NOW) -> None:
    """A worker's try that Twilio takes."""
    settle(db, take(db, at), number, sid, at)


def tell(ready: Settings, db: Engine, number: int, sid: str, code: str, status: str = "undelivered") -> None:
    path = f"/webhooks/sms?message={message_id(number)}"
    form = {"MessageSid": sid, "MessageStatus": status, "ErrorCode": code}
    headers = {
        "x-twilio-signature": signature(TOKEN, BASE + path, form.items()),
        "content-type": "application/x-www-form-urlencoded",
    }
    assert call(ready, db, "POST", path, content=urlencode(form), headers=headers).status_code == 204


def stands(db: Engine, number: int) -> tuple[Any, ...]:
    with db.connect() as connection:
        asked = text("SELECT state, attempts, not_before FROM message WHERE id = :id")
        return tuple(connection.execute(asked, {"id": message_id(number)}).one())


def told(db: Engine) -> list[tuple[str, str]]:
    return [(one.news, one.error_code) for one in news(db)]


def test_a_handset_out_of_reach_is_tried_again_and_told_as_failed_only_at_last(ready: Settings, db: Engine) -> None:
    send(db, 1, "SM1")
    for _ in range(2):  # Twilio repeats itself
        tell(ready, db, 1, "SM1", "30003")
    assert stands(db, 1) == ("queued", 1, NOW + HOUR)
    send(db, 1, "SM2", NOW + HOUR)
    tell(ready, db, 1, "SM1", "30003")  # late, about the first try
    assert stands(db, 1)[0] == "accepted"
    SharedClock(ready.data_dir / "clock", NOW + HOUR)
    tell(ready, db, 1, "SM2", "30003")
    assert stands(db, 1) == ("queued", 2, NOW + 3 * HOUR)
    assert told(db) == []
    send(db, 1, "SM3", NOW + 3 * HOUR)
    tell(ready, db, 1, "SM3", "30003")
    assert stands(db, 1)[:2] == ("accepted", 3)
    assert told(db) == [("failed", "30003")]


@pytest.mark.parametrize("settled_after", [0, 1, 2, 3])
def test_a_failure_told_thrice_around_the_workers_own_word_is_tried_again_once(
    ready: Settings, db: Engine, settled_after: int
) -> None:
    at = NOW
    for attempt, sid, wait in ((1, "SM1", HOUR), (2, "SM2", 2 * HOUR)):
        taken = take(db, at)
        for callback in range(3):
            if callback == settled_after:
                assert settle(db, taken, 1, sid, at)
            tell(ready, db, 1, sid, "30003")
            tell(ready, db, 1, "SM1", "30003") if attempt > 1 else None  # late, about the first try
        if settled_after == 3:
            assert settle(db, taken, 1, sid, at)
        at += wait
        assert stands(db, 1) == ("queued", attempt, at)
        SharedClock(ready.data_dir / "clock", at)
    assert told(db) == []


def test_the_last_tries_failure_that_overtakes_the_workers_own_word_is_told(ready: Settings, db: Engine) -> None:
    send(db, 1, "SM1")
    with db.begin() as connection:
        connection.execute(text("UPDATE message SET state = 'queued', attempts = 2"))
    taken = take(db)
    tell(ready, db, 1, "SM3", "30003")
    settle(db, taken, 1, "SM3")
    assert (stands(db, 1)[:2], told(db)) == (("accepted", 3), [("failed", "30003")])


def test_a_failure_ends_a_doubt(ready: Settings, db: Engine) -> None:
    taken = take(db)
    with db.begin() as connection:
        queue.reap(connection, 60, NOW)  # no heart of this worker has beaten
    assert stands(db, 1)[0] == "in_doubt"
    tell(ready, db, 1, "SM1", "30003")
    settle(db, taken, 1, "SM1")  # it was alive after all
    tell(ready, db, 1, "SM1", "30003")
    assert (stands(db, 1), told(db)) == (("queued", 1, NOW + HOUR), [])


def test_what_would_come_after_its_expiry_has_failed(ready: Settings, db: Engine) -> None:
    with db.begin() as connection:
        connection.execute(text("UPDATE message SET expires_at = :at"), {"at": NOW + HOUR / 2})
    send(db, 1, "SM1")
    tell(ready, db, 1, "SM1", "30003")
    assert (stands(db, 1)[0], told(db)) == ("accepted", [("failed", "30003")])


def test_a_step_whose_words_the_carriers_filter_is_paused(ready: Settings, db: Engine) -> None:
    send(db, 1, "SM1")
    for number in (*range(1, 10), 9, 9):  # nine messages, one of them told three times
        tell(ready, db, number, "x", "30007")
    with db.connect() as connection:
        assert holds.in_force(connection) == []
    tell(ready, db, 10, "x", "30007")
    with db.connect() as connection:
        (hold,) = holds.in_force(connection)
    assert (hold.action, hold.scope) == ("pause", Scope("welcome", "reach", "sms"))
    assert "30007" in hold.placed_by
    assert set(told(db)) == {("failed", "30007")}


def test_a_suspended_account_is_an_alarm_and_costs_no_message(ready: Settings, db: Engine) -> None:
    send(db, 1, "SM1")
    tell(ready, db, 1, "SM1", "30002")
    assert stands(db, 1)[0] == "queued"
    with db.connect() as connection:
        assert breakers.found(connection)["sms"].state == "open"
