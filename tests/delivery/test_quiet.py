"""Quiet hours when a worker takes a message: whatever held it, nobody is woken; morning comes by the wall."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from onevoice.channels.providers import providers
from onevoice.customers.contact import ContactPolicy, Quiet, store, written
from onevoice.delivery import control, leasing, queue
from onevoice.delivery.leasing import Desk
from onevoice.delivery.queue import Settlement
from onevoice.delivery.quiet import Home, QuietHours
from onevoice.delivery.throttles import Throttles
from onevoice.demo.doubles import Doubles
from onevoice.kernel.clock import SharedClock
from onevoice.kernel.settings import Settings
from tests.conftest import NOW
from tests.delivery.builders import message_id, queued
from tests.delivery.sending import at_now, prepare, send_all

ROME, BUCHAREST = Home("Europe/Rome", "IT").text(), Home("Europe/Bucharest", "RO").text()
LATE = datetime(2026, 3, 2, 19, 55, tzinfo=UTC)  # 20:55 in Rome, a Monday
NIGHT = ContactPolicy(quiet_hours=(Quiet("21:00", "08:00"),))


def sms(number: int, place: str = ROME, **changes: Any) -> Any:
    return queued(number, channel="sms", place=place, **{"address": f"+39{number}", **changes})


def ready(db: Engine, policy: ContactPolicy = NIGHT, *messages: Any) -> None:
    with db.begin() as connection:
        store.save(connection, written(policy), NOW)
        queue.add(connection, messages)


def desk(**throttles: Any) -> Desk:
    return Desk(providers({"sms": {"adapter": "twilio"}}), Throttles(throttles))


def sent(db: Engine, at: datetime, by: Desk, limit: int = 100) -> list[str]:
    """To whom a worker sends at an instant."""
    with db.begin() as connection:
        taken = leasing.lease(connection, "w", by, {"sms": limit}, limit, at)
        queue.settle(connection, "w", [Settlement(one.id, one.attempts, "accepted") for one in taken], at)
    return sorted(one.address for one in taken)


def waits_until(db: Engine, number: int) -> Any:
    with db.connect() as connection:
        asked = text("SELECT not_before, attempts, state, error_code FROM message WHERE id = :id")
        return tuple(connection.execute(asked, {"id": message_id(number)}).one())


def test_what_a_throttle_holds_past_nine_in_the_evening_waits_for_the_morning(db: Engine) -> None:
    due = LATE - timedelta(minutes=1)
    ready(db, NIGHT, *(sms(number, not_before=due, expires_at=LATE + timedelta(days=2)) for number in range(6)))
    slow = desk(installation="1/minute")
    minutes = [LATE + timedelta(minutes=minute) for minute in range(60)]
    assert [bool(sent(db, at, slow)) for at in minutes] == [True] * 5 + [False] * 55  # the sixth had its turn at 21:00
    (left,) = (waits_until(db, number) for number in range(6) if waits_until(db, number)[2] == "queued")
    morning = datetime(2026, 3, 3, 7, tzinfo=UTC)
    assert left == (morning, 0, "queued", "quiet_hours")
    assert sent(db, morning - timedelta(seconds=1), slow) == []
    assert len(sent(db, morning, slow)) == 1


def test_who_sleeps_keeps_nobody_awake_waiting_and_all_who_sleep_there_are_put_off_at_once(db: Engine) -> None:
    ready(db, NIGHT, *(sms(number, BUCHAREST) for number in range(500)), sms(900, not_before=NOW), sms(901, place=""))
    by = desk()
    assert sent(db, LATE, by, limit=3) == []  # 21:55 in Bucharest: the first three, and with them the others
    assert sent(db, LATE, by, limit=3) == ["+39900", "+39901"]
    with db.connect() as connection:
        stands = control.status(connection, Settings(), LATE)
        assert (stands["queued"], stands["due"], stands["for_quiet_hours"]) == (500, 0, 500)
        until = connection.execute(text("SELECT DISTINCT not_before FROM message WHERE state = 'queued'")).scalars()
        assert list(until) == [datetime(2026, 3, 3, 6, tzinfo=UTC)]


def test_what_the_customer_has_asked_for_goes_out_at_night_and_what_expires_before_morning_expires(db: Engine) -> None:
    night = LATE + timedelta(hours=3)
    soon = night + timedelta(hours=1)
    ready(db, NIGHT, sms(1, transactional=True), sms(2, expires_at=soon), sms(3, expires_at=night))
    assert sent(db, night, desk()) == ["+391", "+393"]  # what has expired is taken, and refused by the worker
    assert waits_until(db, 2)[0] == soon


def test_the_law_and_the_journeys_own_hours_hold_too_and_a_new_policy_at_once(db: Engine) -> None:
    sunday = datetime(2026, 3, 1, 11, tzinfo=UTC)
    siesta = Home("Europe/Rome", "FR", start="11:30", end="15:00").text()
    shown = {"not_before": sunday, "expires_at": sunday + timedelta(days=3)}
    ready(db, ContactPolicy(laws=True), sms(1, **shown), sms(2, siesta, **shown), sms(3, BUCHAREST, **shown))
    assert sent(db, sunday, desk()) == ["+393"]
    assert waits_until(db, 1)[0] == datetime(2026, 3, 2, 7, tzinfo=UTC)  # Italy: never on a Sunday
    assert waits_until(db, 2)[0] == datetime(2026, 3, 1, 14, tzinfo=UTC)
    assert sent(db, sunday + timedelta(hours=20), desk()) == ["+391", "+392"]


@pytest.mark.parametrize(
    ("zone", "at", "until"),
    [
        ("Europe/Rome", datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 3, 29, 6, tzinfo=UTC)),
        ("Europe/Rome", datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 7, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 3, 8, 4, tzinfo=UTC), datetime(2026, 3, 8, 12, tzinfo=UTC)),
        ("Asia/Jakarta", datetime(2026, 3, 2, 15, tzinfo=UTC), datetime(2026, 3, 3, 1, tzinfo=UTC)),
        ("Not/Known", datetime(2026, 3, 2, 22, tzinfo=UTC), datetime(2026, 3, 3, 8, tzinfo=UTC)),
    ],
)
def test_morning_is_when_the_wall_there_says_so_also_when_clocks_change(
    zone: str, at: datetime, until: datetime
) -> None:
    hours = QuietHours()
    hours.follow(NIGHT)
    assert hours.until("sms", Home(zone).text(), at) == until


@given(minutes=st.lists(st.integers(0, 3_000), min_size=1, max_size=30))
def test_what_it_remembers_is_what_it_would_find(minutes: list[int]) -> None:
    remembering = QuietHours()
    remembering.follow(NIGHT)
    for minute in minutes:
        at = LATE + timedelta(minutes=minute, seconds=minute % 60)
        fresh = QuietHours()
        fresh.follow(NIGHT)
        for place in (ROME, BUCHAREST):
            assert remembering.until("sms", place, at) == fresh.until("sms", place, at)


def test_a_worker_sends_in_the_morning_what_came_to_it_at_night(settings: Settings, db: Engine) -> None:
    with Doubles() as doubles:
        ready(db)
        prepare(
            db,
            [
                sms(number, place, template="hello-sms", address=f"+1500555001{number}")
                for number, place in ((1, ROME), (2, ""))
            ],
        )
        by = at_now(settings, channels=doubles.channels())
        SharedClock(settings.data_dir / "clock", LATE + timedelta(hours=4))
        send_all(by, db, until=lambda found: found.get("accepted") == 1)
        assert waits_until(db, 1)[1:] == (0, "queued", "quiet_hours")
        SharedClock(settings.data_dir / "clock", datetime(2026, 3, 3, 7, tzinfo=UTC))
        assert send_all(by, db) == {"accepted": 2}
