"""Pause, resume, cancel: what is in flight stops within two seconds, what was paused comes back, cancelled stays so."""

import asyncio
import time
from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import Engine, text

from onevoice.database.inbox import Kind
from onevoice.delivery import control, doubts, holds, queue
from onevoice.delivery.holds import CANCEL, PAUSE, Hold, Scope
from onevoice.delivery.queue import Settlement
from onevoice.delivery.schemas import MessageEntry
from onevoice.delivery.settlement import held
from onevoice.demo.doubles import Doubles, SmtpSink
from onevoice.kernel.errors import InvalidInput, NotFound
from onevoice.kernel.settings import Settings
from tests.conftest import NOW
from tests.delivery.builders import message_id, queued
from tests.delivery.sending import at_now, entries, prepare, send_all, states, working

MESSAGES = 400


def place(db: Engine, action: str = PAUSE, **scope: str) -> Hold:
    with db.begin() as connection:
        return holds.place(connection, action, Scope(**scope), "Ada")  # type: ignore[arg-type]


def lift(db: Engine, **scope: str) -> int:
    with db.begin() as connection:
        return holds.lift(connection, Scope(**scope))  # type: ignore[arg-type]


def stopped_under_way(settings: Settings, db: Engine, stop: Callable[[], object]) -> list[int]:
    """Messages received: when `stop` was called, two seconds after, and a while after that."""

    async def run(sink: SmtpSink) -> list[int]:
        async with working(ready):
            while sink.received.total() < 20:
                await asyncio.sleep(0.01)
            counts = [sink.received.total()]
            await asyncio.to_thread(stop)
            for seconds in (2.0, 0.5):
                await asyncio.sleep(seconds)
                counts.append(sink.received.total())
        return counts

    with Doubles(sink=SmtpSink(keep=False, delay_seconds=0.4)) as doubles:
        email = {**doubles.channels()["email"], "connections": 8}
        ready = at_now(settings, channels={"email": email}, in_flight=200)
        prepare(db, [queued(number) for number in range(MESSAGES)])
        return asyncio.run(run(doubles.smtp))


def test_a_pause_stops_what_is_in_flight_and_resuming_sends_the_rest_once(settings: Settings, db: Engine) -> None:
    began, soon, after = stopped_under_way(settings, db, lambda: place(db, journey="welcome"))
    assert began <= soon == after < MESSAGES
    found = states(db)
    assert (found["accepted"], "sending" in found) == (after, False)
    assert found["paused"] + found.get("queued", 0) == MESSAGES - after
    assert lift(db, journey="welcome") == found["paused"]
    with Doubles() as doubles:
        ready = at_now(settings, channels={"email": doubles.channels()["email"]})
        assert send_all(ready, db) == {"accepted": MESSAGES}
        assert len(doubles.smtp.received) == MESSAGES - after
    with db.connect() as connection:
        assert connection.scalar(text("SELECT max(attempts) FROM message")) == 1  # a pause costs no attempt


def test_cancelling_skips_what_waits_and_what_is_in_flight_and_tells_it_of_each(settings: Settings, db: Engine) -> None:
    began, soon, after = stopped_under_way(settings, db, lambda: control.cancel(db, Scope("welcome"), "Ada", NOW))
    assert began <= soon == after < MESSAGES
    assert states(db) == {"accepted": after, "skipped": MESSAGES - after}
    told = [msgspec.json.decode(e.payload, type=MessageEntry) for e in entries(db) if e.kind is Kind.MESSAGE]
    skipped = {one.message_id for one in told if (one.news, one.error_code) == ("skipped", "cancelled")}
    assert len(skipped) == MESSAGES - after


def test_a_pause_of_everything_leaves_the_queue_as_it_is(settings: Settings, db: Engine) -> None:
    with Doubles() as doubles:
        prepare(db, [queued(1)])
        place(db)
        ready = at_now(settings, channels=doubles.channels())
        deadline = time.monotonic() + 0.7
        assert send_all(ready, db, until=lambda _: time.monotonic() > deadline) == {"queued": 1}
        lift(db)
        assert send_all(ready, db) == {"accepted": 1}


def test_a_cancellation_reaches_one_journeys_step_and_nothing_queued_later(db: Engine) -> None:
    with db.begin() as connection:
        queue.add(connection, [queued(1), queued(2, step="other"), queued(3, journey="other")])
    done = control.cancel(db, Scope("welcome", "reach"), "Ada", NOW)
    assert (done.cancelled, done.being_sent) == (1, 0)
    with db.begin() as connection:
        queue.add(connection, [queued(4)])
        (late,) = [one for one in queue.lease(connection, "w", queue.sole("email"), 9, NOW) if one.id == message_id(4)]
        assert holds.Holds(holds.in_force(connection)).on(late) is None
        (hold,) = holds.in_force(connection)
    assert control.described(hold)["scope"] == {"journey": "welcome", "step": "reach"}


def test_cancelling_wins_over_a_pause_and_one_pause_over_the_end_of_another(db: Engine) -> None:
    with db.begin() as connection:
        queue.add(connection, [queued(1), queued(2)])
        queue.beat(connection, "w")
        taken = queue.lease(connection, "w", queue.sole("email"), 9, NOW)
    place(db, journey="welcome")
    place(db, channel="email")
    place(db, CANCEL, message_id=message_id(2))  # type: ignore[arg-type]
    with db.begin() as connection:
        known = holds.Holds(holds.in_force(connection))
        found = {one.id: known.on(one) for one in taken}
        settled = [held(one, hold) for one in taken if (hold := found[one.id])]
        queue.settle(connection, "w", settled, NOW)
    assert states(db) == {"paused": 1, "skipped": 1}
    assert lift(db, journey="welcome") == 0
    assert lift(db, channel="email") == 1
    assert states(db) == {"queued": 1, "skipped": 1}


def test_a_pause_lifted_before_it_is_written_down_holds_nothing(db: Engine) -> None:
    hold = place(db, journey="welcome")
    with db.begin() as connection:
        assert holds.still(connection, [hold.id]) == {hold.id}
    lift(db, journey="welcome")
    with db.begin() as connection:
        assert holds.still(connection, [hold.id]) == set()


def test_what_makes_no_sense_is_refused(db: Engine) -> None:
    with pytest.raises(InvalidInput, match="name the journey"):
        place(db, step="reach")
    with pytest.raises(NotFound, match="Nothing is paused"):
        lift(db, journey="welcome")


def test_a_person_settles_what_is_in_doubt(db: Engine) -> None:
    with db.begin() as connection:
        queue.add(connection, [queued(1), queued(2), queued(3)])
        queue.beat(connection, "w")
        taken = queue.lease(connection, "w", queue.sole("email"), 9, NOW)
        cut = [Settlement(one.id, one.attempts, "in_doubt", error_code="connection_cut") for one in taken]
        queue.settle(connection, "w", cut, NOW)
        assert {one.id for one in doubts.listed(connection, 9)} == {message_id(n) for n in (1, 2, 3)}
        went = [message_id(1), message_id(99)]
        assert doubts.resolve(connection, went, sent=True, by="Ada", now=NOW) == [message_id(1)]
        assert doubts.resolve(connection, [message_id(2)], sent=False, by="Ada", now=NOW) == [message_id(2)]
        (again,) = queue.lease(connection, "w", queue.sole("email"), 9, NOW)
        assert (again.id, again.attempts) == (message_id(2), 2)
        assert [one.id for one in doubts.listed(connection, 9, "welcome")] == [message_id(3)]
    (told,) = [msgspec.json.decode(e.payload, type=MessageEntry) for e in entries(db)]
    assert (told.message_id, told.news) == (str(message_id(1)), "accepted")
