"""Workers killed in the middle of a send, twenty times: nothing is lost, nothing is sent twice, doubt is told."""

from random import Random

import msgspec
from sqlalchemy import Engine, text

from onevoice.database.inbox import Kind
from onevoice.delivery.schemas import MessageEntry
from onevoice.demo.doubles import Doubles, SmtpSink
from onevoice.kernel.settings import Settings
from tests.acceptance.killing import counted, finish, kill_while_sending
from tests.delivery.builders import queued
from tests.delivery.sending import at_now, entries, prepare

MESSAGES, KILLS, IN_FLIGHT = 5_000, 20, 40


def test_workers_killed_twenty_times_lose_nothing_and_send_nothing_twice(settings: Settings, db: Engine) -> None:
    with Doubles(sink=SmtpSink(keep=False, delay_seconds=0.02)) as doubles:
        email = {"email": doubles.channels()["email"]}
        ready = at_now(settings, channels=email, in_flight=IN_FLIGHT, lease_seconds=3.0)
        prepare(db, [queued(number) for number in range(MESSAGES)])
        hits = kill_while_sending(ready, doubles.smtp, KILLS, Random(20261123), (0.0, 0.25))
        doubles.smtp.delay_seconds = 0.0
        left = finish(ready, db)
        count = counted(db, doubles.smtp)

    assert hits == KILLS  # each worker had begun to send when it died
    assert set(left) <= {"accepted", "in_doubt"}
    assert sum(left.values()) == MESSAGES
    assert (count.lost, count.duplicates) == (0, 0)
    in_doubt = left.get("in_doubt", 0)
    assert 0 < in_doubt <= KILLS * IN_FLIGHT
    assert count.in_doubt_arrived > 0  # some had gone out, so repeating them would have doubled them
    with db.connect() as connection:
        listed = set(connection.scalars(text("SELECT id::text FROM message WHERE state = 'in_doubt'")))
    told = [msgspec.json.decode(e.payload, type=MessageEntry) for e in entries(db) if e.kind is Kind.MESSAGE]
    assert {one.message_id for one in told if one.news == "in_doubt"} == listed
    assert sum(one.news == "accepted" for one in told) == left["accepted"]
