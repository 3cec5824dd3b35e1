"""Circuit breakers: an ill provider gets nothing for a while, another takes over, nothing is sent twice."""

from dataclasses import replace
from datetime import datetime, timedelta

from msgspec import structs
from sqlalchemy import Engine, text

from onevoice.channels.adapter import Concern, Outcome, Status
from onevoice.channels.providers import providers
from onevoice.delivery import breakers, leasing, queue
from onevoice.delivery.breakers import CLOSED, HALF_OPEN, OPEN, PROBES, RESTING, Breaker, Tally, new
from onevoice.delivery.leasing import Desk
from onevoice.delivery.throttles import Throttles
from onevoice.demo.doubles import Doubles, SmtpSink
from onevoice.demo.doubles.smtp_sink import CUT
from onevoice.kernel.settings import Settings
from tests.conftest import NOW
from tests.delivery.builders import message_id, queued
from tests.delivery.sending import prepare, send_all

SECOND = timedelta(seconds=1)
LATER = NOW.replace(year=2100)
ILL = Tally(ill=5, reason="connection_failed")
TWO = {"sms": {"providers": ["main", "spare"], "main": {"adapter": "twilio"}, "spare": {"adapter": "twilio"}}}


def outcomes(*given: Outcome) -> Tally:
    tally = Tally()
    for one in given:
        tally = tally.with_outcome(one)
    return tally


def opened(at: datetime = NOW) -> Breaker:
    return new("p", at).after(ILL, at)


def test_a_provider_opens_when_half_of_its_attempts_go_wrong_and_never_for_a_few() -> None:
    assert opened().state == OPEN
    assert new("p", NOW).after(structs.replace(ILL, ill=4), NOW).state == CLOSED
    assert new("p", NOW).after(structs.replace(ILL, well=6), NOW).state == CLOSED
    four = new("p", NOW).after(structs.replace(ILL, ill=4), NOW)
    assert four.after(Tally(ill=1), NOW + 31 * SECOND).state == CLOSED  # counted anew
    assert four.after(Tally(ill=1), NOW - 3600 * SECOND).state == CLOSED  # also where the clock was set back


def test_what_the_message_is_at_fault_for_speaks_well_of_the_provider() -> None:
    told = outcomes(
        Outcome(Status.ACCEPTED),
        Outcome(Status.FAILED, address_is_dead=True),
        Outcome(Status.RETRY, error_code="4.2.0"),
        Outcome(Status.IN_DOUBT),
        Outcome(Status.RETRY, concerns=Concern.PROVIDER),
    )
    assert (told.well, told.ill) == (3, 2)


def test_open_it_is_tried_by_a_few_and_closes_or_opens_for_twice_as_long() -> None:
    shut = opened()
    assert shut.is_shut(NOW) and shut.most(NOW) == 0
    due = NOW + breakers.FIRST_PAUSE
    assert not shut.is_shut(due) and shut.most(due) == PROBES
    trying = shut.probing(due)
    assert trying.state == HALF_OPEN and trying.is_shut(due)
    assert trying.after(Tally(well=1), due).state == CLOSED
    again = trying.after(Tally(ill=1), due)
    assert (again.state, again.until) == (OPEN, due + 2 * breakers.FIRST_PAUSE)
    assert not shut.is_shut(NOW - timedelta(days=1))  # a clock that was set back locks nobody out


def test_an_alarm_opens_at_once_and_a_wish_for_a_slower_pace_is_kept() -> None:
    alarm = outcomes(Outcome(Status.RETRY, error_code="20003", concerns=Concern.ACCOUNT))
    assert new("p", NOW).after(alarm, NOW).state == OPEN
    slower = outcomes(Outcome(Status.RETRY, retry_after_seconds=7, concerns=Concern.PACE))
    resting = new("p", NOW).after(slower, NOW)
    assert (resting.state, resting.most(NOW), resting.is_shut(NOW)) == (RESTING, 0, False)
    over = NOW + 7 * SECOND
    assert resting.most(over) is None
    assert resting.after(Tally(well=1), over).state == CLOSED


def lease(db: Engine, at: datetime = NOW, worker: str = "w") -> dict[int, str]:
    """Which provider gets which message."""
    desk = Desk(providers(TWO), Throttles({}))
    with db.begin() as connection:
        taken = leasing.lease(connection, worker, desk, {"sms": 100}, 100, at)
    return {one.identifier_id: one.via for one in taken}


def test_the_spare_takes_over_while_the_first_is_open_and_a_few_try_the_first_then(db: Engine) -> None:
    with db.begin() as connection:
        queue.add(connection, [queued(n, channel="sms", provider="sms.spare" if n == 9 else "") for n in range(10)])
        assert breakers.note(connection, {"sms.main": ILL}, NOW)[0].state == OPEN
    assert set(lease(db).values()) == {"sms.spare"}
    with db.begin() as connection:
        connection.execute(text("UPDATE message SET state = 'queued'"))
    due = NOW + breakers.FIRST_PAUSE
    given = lease(db, due)
    assert sorted(given.values()).count("sms.main") == PROBES
    assert len(given) == 10 and given[9] == "sms.spare"
    with db.begin() as connection:
        connection.execute(text("UPDATE message SET state = 'queued'"))
    assert set(lease(db, due).values()) == {"sms.spare"}  # the probes are under way
    with db.begin() as connection:
        breakers.note(connection, {"sms.main": Tally(well=1)}, due)
        connection.execute(text("UPDATE message SET state = 'queued', avoid = 'sms.main' WHERE identifier_id = 1"))
        connection.execute(text("UPDATE message SET state = 'queued' WHERE identifier_id IN (2, 9)"))
    assert lease(db, due) == {1: "sms.spare", 2: "sms.main", 9: "sms.spare"}


def test_what_was_surely_not_sent_goes_by_the_spare_and_what_is_in_doubt_does_not(
    settings: Settings, db: Engine
) -> None:
    def cut(verb: str, recipient: str) -> str | None:
        """Refuses the session of some, takes others' message and says nothing."""
        if verb == "RCPT" and recipient.startswith("customer1@"):
            return "421 4.3.2 going down"
        return CUT if verb == "END" and recipient.startswith("customer2@") else None

    with Doubles(sink=SmtpSink(answers=cut)) as ill, Doubles() as well:
        prepare(db, [queued(number, expires_at=LATER) for number in (1, 2, 3)])
        tables = {"main": ill.channels()["email"], "spare": well.channels()["email"]}
        ready = replace(settings, channels={"email": tables})
        found = send_all(ready, db)
        assert found == {"accepted": 2, "in_doubt": 1}
        assert well.smtp.received == {str(message_id(1)): 1}
        assert ill.smtp.received == {str(message_id(3)): 1}
    with db.connect() as connection:
        rows = connection.execute(text("SELECT identifier_id, via, state FROM message ORDER BY 1")).all()
    assert [tuple(row) for row in rows] == [
        (1, "email.spare", "accepted"),
        (2, "email.main", "in_doubt"),
        (3, "email.main", "accepted"),
    ]
