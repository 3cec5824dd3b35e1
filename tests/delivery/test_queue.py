"""The queue: handed off once, leased once, settled by whom it belongs to; what a dead worker leaves is in doubt."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from onevoice.delivery import queue
from onevoice.delivery.queue import Leased, Settlement
from onevoice.delivery.settlement import LONGEST_PAUSE, pause
from tests.conftest import NOW
from tests.delivery.builders import message_id, queued
from tests.delivery.sending import states


def enqueue(db: Engine, *numbers: int, position: int = 1, **changes: Any) -> int:
    with db.begin() as connection:
        return queue.enqueue(connection, [queue.line(queued(number, **changes)) for number in numbers], position).new


def lease(db: Engine, worker: str = "w", limit: int = 10, **changes: Any) -> list[Leased]:
    with db.begin() as connection:
        queue.beat(connection, worker)
        return queue.lease(connection, worker, queue.sole("email"), limit, changes.get("now", NOW))


def field(connection: Connection, name: str, number: int) -> Any:
    return connection.scalar(text(f"SELECT {name} FROM message WHERE id = :id"), {"id": message_id(number)})


def test_a_hand_off_moves_the_watermark_and_a_second_time_does_nothing(db: Engine) -> None:
    assert enqueue(db, 1, 2, position=5) == 2
    assert enqueue(db, 3, position=5) == 0
    assert enqueue(db, 3, position=4) == 0
    assert enqueue(db, 2, 3, position=6) == 1  # 2 is there already
    with db.connect() as connection:
        assert queue.position(connection) == 6
    assert states(db) == {"queued": 3}


def test_what_was_queued_is_what_is_leased_with_the_attempt_written_down(db: Engine) -> None:
    enqueue(db, 1, variables={"customer": {"first_name": "Zoë"}})
    (leased,) = lease(db)
    assert (leased.id, leased.attempts, leased.address) == (message_id(1), 1, "customer1@example.com")
    assert leased.variables == '{"customer":{"first_name":"Zoë"}}'
    with db.connect() as connection:
        assert (field(connection, "state", 1), field(connection, "worker", 1)) == ("sending", "w")
        assert field(connection, "attempted_at", 1) == NOW
    assert lease(db) == []


def test_two_workers_never_get_the_same_message(db: Engine) -> None:
    enqueue(db, *range(10))
    with db.begin() as one, db.begin() as other:
        first = queue.lease(one, "a", queue.sole("email"), 6, NOW)
        second = queue.lease(other, "b", queue.sole("email"), 6, NOW)
    assert len(first) == 6
    assert len(second) == 4
    assert not {message.id for message in first} & {message.id for message in second}


def test_only_what_is_due_on_a_served_channel_is_leased_transactional_first_then_by_priority(db: Engine) -> None:
    enqueue(db, 1)
    enqueue(db, 2, position=2, not_before=NOW + timedelta(hours=1))
    enqueue(db, 3, position=3, channel="sms")
    enqueue(db, 4, position=4, transactional=True)
    enqueue(db, 5, position=5, priority=3)
    assert [message.id for message in lease(db, limit=1)] == [message_id(4)]
    assert [message.id for message in lease(db, limit=1)] == [message_id(5)]
    assert [message.id for message in lease(db)] == [message_id(1)]
    assert [message.id for message in lease(db, now=NOW + timedelta(hours=1))] == [message_id(2)]


def test_a_settlement_counts_for_the_attempt_it_belongs_to(db: Engine) -> None:
    enqueue(db, 1, 2, 3)
    lease(db)
    with db.begin() as connection:
        done = Settlement(message_id(1), 1, "accepted", provider_id="P1")
        again = Settlement(message_id(2), 1, "queued", error_code="4.2.0", not_before=NOW + timedelta(minutes=5))
        stale = Settlement(message_id(3), 2, "failed")
        assert queue.settle(connection, "w", [done, again, stale], NOW) == {message_id(1), message_id(2)}
        assert queue.settle(connection, "w", [done], NOW) == set()
        assert queue.settle(connection, "other", [Settlement(message_id(3), 1, "failed")], NOW) == set()
        assert (field(connection, "provider_id", 1), field(connection, "settled_at", 1)) == ("P1", NOW)
        assert (field(connection, "worker", 2), field(connection, "settled_at", 2)) == (None, None)
    assert states(db) == {"accepted": 1, "queued": 1, "sending": 1}
    assert lease(db) == []
    (second,) = lease(db, now=NOW + timedelta(minutes=5))
    assert second.attempts == 2


def test_what_a_dead_worker_was_sending_is_in_doubt_and_transactional_is_queued_again(db: Engine) -> None:
    enqueue(db, 1)
    enqueue(db, 2, position=2, transactional=True)
    lease(db)
    with db.begin() as connection:
        assert queue.reap(connection, 60, NOW) == []
        connection.execute(text("UPDATE worker SET heartbeat_at = now() - interval '61 seconds'"))
        assert queue.reap(connection, 60, NOW) == [(message_id(1), 1)]
        assert queue.reap(connection, 60, NOW) == []
    assert states(db) == {"in_doubt": 1, "queued": 1}


def test_a_worker_taken_for_dead_can_still_tell_how_it_ended(db: Engine) -> None:
    enqueue(db, 1)
    enqueue(db, 2, position=2, transactional=True)
    lease(db)
    with db.begin() as connection:
        queue.retire(connection, "w")
        queue.reap(connection, 60, NOW)
        known = [Settlement(message_id(number), 1, "accepted") for number in (1, 2)]
        assert queue.settle(connection, "w", known, NOW) == {message_id(1)}  # the other is on its way again
    assert states(db) == {"accepted": 1, "queued": 1}


def test_what_was_leased_without_the_worker_knowing_is_given_back(db: Engine) -> None:
    enqueue(db, 1, 2)
    lease(db)
    with db.begin() as connection:
        assert queue.give_back(connection, "w", [message_id(1)]) == 1
    assert states(db) == {"queued": 1, "sending": 1}
    (again,) = lease(db)
    assert (again.id, again.attempts) == (message_id(2), 1)


@pytest.mark.parametrize("attempts", [1, 4, 9])
def test_the_pause_before_another_attempt_grows_and_is_bounded(attempts: int) -> None:
    assert pause(attempts) <= pause(attempts + 1) <= LONGEST_PAUSE
    assert pause(attempts, asked_seconds=7200) == timedelta(hours=2)
