"""The worker: sends what may go, once, and writes down what became of it, by real protocols from a real queue."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Engine, text

from onevoice.channels.adapter import OutboundMessage, Outcome, Status, Told, WebhookRequest
from onevoice.channels.providers import Provider
from onevoice.customers import consent, suppression
from onevoice.customers.consent import Consent
from onevoice.customers.suppression import Suppressed
from onevoice.database.inbox import Kind
from onevoice.delivery import queue, worker
from onevoice.delivery.leasing import Desk
from onevoice.delivery.schemas import MessageEntry
from onevoice.delivery.throttles import Throttles
from onevoice.demo.doubles import Doubles, SmtpSink
from onevoice.demo.doubles.smtp_sink import CUT
from onevoice.kernel.clock import SharedClock
from onevoice.kernel.settings import Settings
from tests.conftest import NOW
from tests.delivery.builders import message_id, queued
from tests.delivery.sending import at_now, entries, prepare, send_all, states, working


def with_doubles(settings: Settings, doubles: Doubles, **changes: Any) -> Settings:
    return at_now(settings, channels=doubles.channels(), public_url="https://news.shop.example", **changes)


def news(db: Engine) -> dict[str, MessageEntry]:
    """The one piece of news of each message."""
    told = [msgspec.json.decode(e.payload, type=MessageEntry) for e in entries(db) if e.kind is Kind.MESSAGE]
    assert len({one.message_id for one in told}) == len(told)
    return {one.message_id: one for one in told}


def reasons(db: Engine) -> dict[str, str]:
    with db.connect() as connection:
        rows = connection.execute(text("SELECT id::text, error_code FROM message WHERE error_code IS NOT NULL"))
        return {row[0]: row[1] for row in rows}


def test_each_channel_gets_its_content_once_and_the_cost_is_told(settings: Settings, db: Engine) -> None:
    with Doubles() as doubles:
        prepare(
            db,
            [
                queued(1),
                queued(2, channel="push", template="hello-push", address="token-2"),
                queued(3, channel="sms", template="hello-sms", address="+15005550010"),
            ],
        )
        assert send_all(with_doubles(settings, doubles), db) == {"accepted": 3}
        (mail,) = doubles.smtp.mails
        push, sms = (next(one for one in doubles.providers.taken if one.channel == c) for c in ("push", "sms"))
        assert doubles.received() == {str(message_id(number)): 1 for number in (1, 2)} | {sms.provider_id: 1}
    assert mail.parsed()["subject"] == "Hello Name1"
    assert "Hello Name1, è ora" in mail.part("html")
    assert push.content["title"] == "Hi Name2"
    assert sms.content["text"].startswith("Hi Name3: https://news.shop.example/c/")
    told = news(db)
    assert {one.news for one in told.values()} == {"accepted"}
    assert [told[str(message_id(number))].cost for number in (1, 2, 3)] == ["0.0008", "0.0002", "0.0079"]
    assert [told[str(message_id(number))].delivered for number in (1, 2, 3)] == [True, False, False]


def test_every_link_in_a_message_is_stored_before_it_is_sent(settings: Settings, db: Engine) -> None:
    with Doubles() as doubles:
        prepare(db, [queued(1)])
        send_all(with_doubles(settings, doubles), db)
        html = doubles.smtp.mails[0].part("html")
    assert len(re.findall(r"https://news\.shop\.example/c/[\w-]{28}\"", html)) == 1
    assert "shop.example/offers" not in html
    with db.connect() as connection:
        assert connection.scalar(text("SELECT url FROM link")) == "https://shop.example/offers?a=1&b=2"


def test_consent_suppression_and_expiry_are_asked_once_more(settings: Settings, db: Engine) -> None:
    withdrawn = Consent(1, "email", "offers", "withdrawn", NOW, "one_click")
    with Doubles() as doubles:
        prepare(
            db,
            [
                queued(1),
                queued(2),
                queued(3, expires_at=NOW),
                queued(4),
                queued(11, identifier_id=1, transactional=True),
                queued(12, address="customer2@example.com", transactional=True),
            ],
        )
        with db.begin() as connection:
            consent.record(connection, [withdrawn, replace(withdrawn, identifier_id=4, topic="news")], NOW)
            dead = Suppressed("email", "customer2@example.com", "bounced", NOW)
            suppression.suppress(connection, settings.secret(), [dead], NOW)
        assert send_all(with_doubles(settings, doubles), db) == {"accepted": 2, "skipped": 4}
        assert {mail.id for mail in doubles.smtp.mails} == {str(message_id(4)), str(message_id(11))}
    assert reasons(db) == {
        str(message_id(1)): "no_consent",
        str(message_id(2)): "suppressed",
        str(message_id(3)): "expired",
        str(message_id(12)): "suppressed",
    }
    assert {one.news for one in news(db).values() if one.error_code} == {"skipped"}


def test_what_the_provider_refuses_for_good_has_failed_and_a_dead_address_is_suppressed(
    settings: Settings, db: Engine
) -> None:
    def answers(verb: str, recipient: str) -> str | None:
        if verb == "RCPT" and recipient.startswith("customer1@"):
            return "550 5.1.1 no such user"
        return "554 5.7.1 content refused" if verb == "END" and recipient.startswith("customer2@") else None

    with Doubles(sink=SmtpSink(answers=answers)) as doubles:
        prepare(db, [queued(1), queued(2), queued(3)])
        ready = with_doubles(settings, doubles)
        assert send_all(ready, db) == {"accepted": 1, "failed": 2}
        assert doubles.smtp.received == {str(message_id(3)): 1}
    assert reasons(db) == {str(message_id(1)): "5.1.1", str(message_id(2)): "5.7.1"}
    with db.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM suppression")) == 1
    assert [e.kind for e in entries(db)].count(Kind.SUPPRESSION) == 1


def test_what_is_refused_for_now_is_tried_again_later_and_not_told(settings: Settings, db: Engine) -> None:
    with Doubles(sink=SmtpSink(answers=lambda verb, _: "451 4.3.0 later" if verb == "RCPT" else None)) as doubles:
        prepare(db, [queued(1)])
        ready = with_doubles(settings, doubles)
        send_all(ready, db, until=lambda _: reasons(db) != {})
        with db.connect() as connection:
            row = connection.execute(text("SELECT state, attempts, not_before, error_code FROM message")).one()
        assert tuple(row) == ("queued", 1, NOW + timedelta(seconds=30), "4.3.0")
        assert entries(db) == []


def test_a_message_cut_off_while_it_was_handed_over_is_in_doubt_and_not_repeated(
    settings: Settings, db: Engine
) -> None:
    with Doubles(sink=SmtpSink(answers=lambda verb, _: CUT if verb == "END" else None)) as doubles:
        prepare(db, [queued(1), queued(2)])
        ready = with_doubles(settings, doubles)
        assert send_all(ready, db) == {"in_doubt": 2}
        assert send_all(ready, db) == {"in_doubt": 2}
    assert {one.news for one in news(db).values()} == {"in_doubt"}


def test_a_template_that_is_missing_or_breaks_fails_its_own_messages_only(settings: Settings, db: Engine) -> None:
    with Doubles() as doubles:
        prepare(db, [queued(1, template="nowhere"), queued(2)])
        assert send_all(with_doubles(settings, doubles), db) == {"accepted": 1, "failed": 1}
    assert reasons(db) == {str(message_id(1)): "content_not_found"}


def test_no_more_than_the_limit_is_ever_attempted_and_unsettled(settings: Settings, db: Engine) -> None:
    seen: list[int] = []

    def watch(found: dict[str, int]) -> bool:
        seen.append(found.get("sending", 0))
        return not {"queued", "sending"} & set(found)

    with Doubles(sink=SmtpSink(delay_seconds=0.01)) as doubles:
        prepare(db, [queued(number) for number in range(300)])
        ready = with_doubles(settings, doubles, in_flight=20)
        assert send_all(ready, db, until=watch) == {"accepted": 300}
        assert doubles.smtp.duplicates == 0
    assert 0 < max(seen) <= 20


def test_two_workers_share_the_queue_and_nothing_is_sent_twice(settings: Settings, db: Engine) -> None:
    async def both() -> None:
        async with working(ready), working(ready):
            while {"queued", "sending"} & set(states(db)):
                await asyncio.sleep(0.05)

    with Doubles() as doubles:
        prepare(db, [queued(number) for number in range(400)])
        ready = with_doubles(settings, doubles, in_flight=50)
        asyncio.run(both())
        assert (len(doubles.smtp.received), doubles.smtp.duplicates) == (400, 0)
    with db.connect() as connection:
        assert connection.scalar(text("SELECT count(DISTINCT worker) FROM message")) == 2
        assert connection.scalar(text("SELECT count(*) FROM worker")) == 0  # both have left in good order


class Hanging:
    """A provider that answers for some addresses only when it is let."""

    channel, price, tells_delivery = "email", Decimal(0), False

    def __init__(self, hung: Collection[str]) -> None:
        self.hung, self.let = hung, asyncio.Event()

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def send(self, message: OutboundMessage) -> Outcome:
        if message.address in self.hung:
            await self.let.wait()
        return Outcome(Status.ACCEPTED)

    def news(self, _request: WebhookRequest) -> Sequence[Told]:
        return []

    def parts(self, _content: Mapping[str, str]) -> int:
        return 1


def test_the_last_free_place_goes_on_to_be_used_while_all_others_wait_for_a_provider(
    settings: Settings, db: Engine
) -> None:
    async def play() -> None:
        provider, stop = Hanging({queued(number).address for number in range(7)}), asyncio.Event()
        desk = Desk({"email": Provider("email", "email", {})}, Throttles({}))
        one = worker.Worker(at_now(settings, in_flight=8), db, {"email": provider}, desk)
        task = asyncio.create_task(one.work(stop))
        while states(db).get("accepted", 0) < 3:
            await asyncio.sleep(0.02)
        assert states(db) == {"sending": 7, "accepted": 3}
        provider.let.set()
        stop.set()
        await task

    prepare(db, [queued(number, not_before=NOW - timedelta(minutes=10 - number)) for number in range(10)])
    asyncio.run(asyncio.wait_for(play(), 20))
    assert states(db) == {"accepted": 10}


def test_what_a_killed_worker_left_is_reported_by_the_next(settings: Settings, db: Engine) -> None:
    with Doubles() as doubles:
        prepare(db, [queued(1), queued(2)])
        with db.begin() as connection:
            (lost,) = queue.lease(connection, "killed", queue.sole("email"), 1, NOW)
        assert send_all(with_doubles(settings, doubles), db) == {"accepted": 1, "in_doubt": 1}
        assert str(lost.id) not in doubles.smtp.received
    assert news(db)[str(lost.id)].news == "in_doubt"
    assert news(db)[str(lost.id)].error_code == "worker_lost"


def test_a_worker_that_was_not_heard_of_sends_nothing_and_costs_no_attempt(settings: Settings, db: Engine) -> None:
    with Doubles() as doubles:
        prepare(db, [queued(1)])
        ready = with_doubles(settings, doubles, lease_seconds=1e-6)  # shorter than any look at the database
        send_all(ready, db, until=lambda found: "sending" not in found and waits(db))
        assert doubles.smtp.received == {}
        SharedClock(settings.data_dir / "clock", NOW + timedelta(seconds=1))
        assert send_all(replace(ready, lease_seconds=60.0), db) == {"accepted": 1}
    with db.connect() as connection:
        assert connection.scalar(text("SELECT attempts FROM message")) == 1


def waits(db: Engine) -> bool:
    with db.connect() as connection:
        return bool(connection.scalar(text("SELECT not_before > :now FROM message"), {"now": NOW}))


def test_a_worker_without_channels_stops_when_it_is_told(settings: Settings, db: Engine) -> None:
    async def play() -> None:
        stop = asyncio.Event()
        served = asyncio.create_task(worker.serve(replace(settings, channels={}), stop))
        await asyncio.sleep(0.3)
        stop.set()
        await asyncio.wait_for(served, 5)

    asyncio.run(play())


def test_a_worker_needs_nothing_of_the_warehouse() -> None:
    """Or each would take half a second longer to start, and a hundred megabytes of memory."""
    asked = "import sys; import onevoice.cli.main, onevoice.cli.serve, onevoice.delivery.worker; print(*sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True).stdout.decode().split())
    assert "onevoice.delivery.worker" in loaded
    assert not loaded & {"onevoice.warehouse", "ibis", "duckdb", "pyarrow", "numpy"}
