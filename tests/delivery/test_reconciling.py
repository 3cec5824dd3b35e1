"""A message in doubt is looked up at a provider that can tell: it was sent, or it surely was not and goes out."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from onevoice.channels import providers
from onevoice.channels.adapter import Doubtful, OutboundMessage, Reconciles, Status
from onevoice.channels.twilio import TwilioAdapter
from onevoice.delivery import queue, worker
from onevoice.delivery.composing import Composer
from onevoice.delivery.links import LinkMaker
from onevoice.demo.doubles import Doubles
from onevoice.kernel.clock import SharedClock
from onevoice.kernel.settings import Settings
from tests.conftest import NOW
from tests.delivery.builders import queued
from tests.delivery.sending import at_now, prepare, send_all, states


def hand_over(settings: Settings, db: Engine, number: int) -> None:
    """Leases the two and hands one over to Twilio, then dies without a word."""

    async def send(message: OutboundMessage) -> None:
        adapter = providers.built(settings.channels)["sms"]
        await adapter.open()
        assert (await adapter.send(message)).status is Status.ACCEPTED
        await adapter.close()

    with db.begin() as connection:
        taken = queue.lease(connection, "killed", queue.sole("sms"), 9, NOW)
    composer = Composer(db, LinkMaker(settings.secret(), settings.base_url))
    (chosen,) = [one for one in taken if one.identifier_id == number]
    asyncio.run(send(composer.compose(chosen)))


def test_what_twilio_lists_was_sent_and_what_it_does_not_list_goes_out_in_the_end(
    settings: Settings, db: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "ASK_SECONDS", 0.05)
    made = at_now(settings, public_url="https://news.shop.example")
    clock = SharedClock(settings.data_dir / "clock", NOW)
    with Doubles(clock=clock) as doubles:
        ready = at_now(made, channels={"sms": doubles.channels()["sms"]})
        sms: dict[str, Any] = {"channel": "sms", "template": "hello-sms"}
        prepare(db, [queued(n, address=f"+1500555001{n}", **sms) for n in (1, 2)])
        hand_over(ready, db, 1)
        assert send_all(ready, db, until=lambda found: not found.get("sending")) == {"in_doubt": 2}
        clock.move(NOW + timedelta(seconds=31))
        assert send_all(ready, db, until=lambda found: "accepted" in found) == {"accepted": 1, "in_doubt": 1}
        clock.move(NOW + timedelta(minutes=11))
        assert send_all(ready, db, until=lambda found: "in_doubt" not in found and "queued" not in found)
        assert states(db) == {"accepted": 2}
        assert sorted(one.address for one in doubles.providers.taken) == ["+15005550011", "+15005550012"]


def test_a_text_to_the_same_number_from_before_the_attempt_proves_nothing() -> None:
    with Doubles() as doubles:
        options = {k: v for k, v in doubles.channels()["sms"].items() if k != "adapter"}
        adapter = TwilioAdapter(**options)
        assert isinstance(adapter, Reconciles)

        async def look_up() -> list[Status]:
            await adapter.open()
            message = OutboundMessage("1", "sms", "+15005550010", {"text": "Hello"})
            sent_at = doubles.providers.clock.now()
            await adapter.send(message)
            minute = timedelta(minutes=1)
            asked = [
                Doubtful(message, sent_at, sent_at + minute),
                Doubtful(message, sent_at + minute, sent_at + 2 * minute),
                Doubtful(message, sent_at + minute, sent_at + 30 * minute),
            ]
            found = [one.status for one in await adapter.reconcile(asked)]
            await adapter.close()
            return found

        assert asyncio.run(look_up()) == [Status.ACCEPTED, Status.IN_DOUBT, Status.RETRY]
