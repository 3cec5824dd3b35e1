"""Throttles: all workers together never exceed a rate, and who must wait keeps nobody else waiting."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from onevoice.channels.providers import providers
from onevoice.delivery import leasing, queue
from onevoice.delivery.leasing import Desk
from onevoice.delivery.queue import Settlement
from onevoice.delivery.throttles import Bucket, Rate, Throttles
from onevoice.kernel.errors import ConfigurationError
from tests.conftest import NOW
from tests.delivery.builders import message_id, queued
from tests.delivery.sending import states

SECOND = timedelta(seconds=1)


def desk(**throttles: Any) -> Desk:
    return Desk(providers({"email": {"adapter": "smtp"}}), Throttles(throttles))


def enqueue(db: Engine, *messages: Any) -> None:
    with db.begin() as connection:
        queue.add(connection, messages)


def lease(db: Engine, at: datetime, bounded: Desk, worker: str = "w", limit: int = 100) -> list[str]:
    """What a worker takes and sends at an instant: the addresses."""
    with db.begin() as connection:
        taken = leasing.lease(connection, worker, bounded, {"email": limit}, limit, at)
        queue.settle(connection, worker, [Settlement(one.id, one.attempts, "accepted") for one in taken], at)
    return [one.address for one in taken]


@given(
    per_second=st.floats(0.01, 1_000),
    asked=st.lists(st.tuples(st.floats(-20, 60), st.integers(0, 50)), max_size=40),
)
def test_whatever_the_clocks_say_no_more_is_granted_than_the_rate_and_one_burst(
    per_second: float, asked: list[tuple[float, int]]
) -> None:
    """A clock may go wrong, forward or back: each time it is set back, no more than one burst is gained."""
    rate = Rate(per_second)
    bucket, now, granted, forward = Bucket(rate.burst, NOW, NOW), NOW, 0, 0.0
    for seconds, wanted in asked:
        now += timedelta(seconds=seconds)
        forward += max(0.0, seconds)
        bucket = bucket.filled(rate, now)
        taken = min(wanted, int(bucket.tokens))
        bucket, granted = bucket.taken(taken), granted + taken
    assert bucket.tokens >= 0
    assert granted <= rate.burst + forward * per_second + 1e-6


def test_two_workers_together_keep_the_rate_of_the_provider(db: Engine) -> None:
    enqueue(db, *(queued(number) for number in range(200)))
    bounded = desk(provider={"email": "10/second"})
    moments = [NOW + step * timedelta(milliseconds=150) for step in range(40)]
    sent = [(at, len(lease(db, at, bounded, worker=f"w{index % 2}"))) for index, at in enumerate(moments)]
    for start, _ in sent:
        within = sum(count for at, count in sent if start <= at < start + 2 * SECOND)
        assert within <= 10 + 2 * 10
    total = sum(count for _, count in sent)
    assert 55 <= total <= 70  # and uses it: six seconds at ten a second, and what had gathered before


def test_a_slow_domain_keeps_nobody_else_waiting_and_its_messages_stand_in_line(db: Engine) -> None:
    slow = [queued(number, address=f"c{number}@slow.example") for number in range(30)]
    enqueue(db, *slow, *(queued(number) for number in range(100, 120)))
    bounded = desk(domain={"slow.example": 2})
    first = lease(db, NOW, bounded)
    assert sum(address.endswith("@slow.example") for address in first) == 1
    assert sum(address.endswith("@example.com") for address in first) == 20
    later = [len(lease(db, NOW + timedelta(seconds=second / 2), bounded)) for second in range(1, 31)]
    assert max(later) <= 2
    assert sum(later) == 29  # each had its turn when its place in the line came, none was leased in vain for long
    assert states(db) == {"accepted": 50}


def test_what_waits_in_line_is_not_counted_as_an_attempt_and_expires_in_time(db: Engine) -> None:
    soon = NOW + timedelta(seconds=90)
    enqueue(db, queued(1), queued(2, expires_at=soon))
    bounded = desk(domain={"*": "1/hour"})
    assert lease(db, NOW, bounded) == ["customer1@example.com"]
    with db.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT attempts, not_before, state FROM message WHERE id = %s", (message_id(2),)
        ).one()
    assert tuple(row) == (0, soon, "queued")


def test_transactional_messages_get_the_tokens_first(db: Engine) -> None:
    enqueue(db, *(queued(number) for number in range(5)), queued(9, transactional=True))
    assert lease(db, NOW, desk(installation="1/minute")) == ["customer9@example.com"]


@pytest.mark.parametrize("wrong", [{"installation": "fast"}, {"domain": {"a.example": "5/fortnight"}}, {"gmail": 5}])
def test_a_throttle_that_cannot_be_read_is_refused_by_its_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"^throttles\."):
        Throttles(wrong)


def test_rates_are_written_as_people_say_them() -> None:
    rates = Throttles({"installation": 5, "domain": {"*": "600/minute"}, "sender": {"A@b.example": "36/hour"}})
    assert rates.rate("domain:any.example") == Rate(10)
    assert rates.keys_of_message("a@B.example", "x@gmail.com") == ["sender:a@b.example", "domain:gmail.com"]
    assert rates.keys_of_message("", "+3912345") == []
    assert rates.keys_of_provider("email") == ["installation"]
