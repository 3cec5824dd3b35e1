"""The push gateway's protocol: what is sent, what each answer means, how its news are signed."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from onevoice.channels.adapter import News, OutboundMessage, Outcome, Status, WebhookRequest
from onevoice.channels.push_gateway import SIGNATURE, GatewayEvent, PushGatewayAdapter, signed
from onevoice.demo.doubles import Doubles
from onevoice.kernel.errors import InvalidInput, Unauthorized
from tests.channels.answering import answering

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
ID = uuid4()
ADAPTER = PushGatewayAdapter("https://push.example", "key", "secret")


def send(options: dict[str, Any], times: int = 1) -> list[Outcome]:
    async def run() -> list[Outcome]:
        adapter = PushGatewayAdapter(**{name: value for name, value in options.items() if name != "adapter"})
        await adapter.open()
        try:
            content = {"title": "Hi", "body": "Come in", "link": "https://n.example/c/T"}
            return [await adapter.send(OutboundMessage(str(ID), "push", "token", content)) for _ in range(times)]
        finally:
            await adapter.close()

    return asyncio.run(run())


def test_a_message_sent_twice_is_one_message() -> None:
    with Doubles() as doubles:
        first, second = send(doubles.channels()["push"], times=2)
        assert first == second
        assert first.status is Status.ACCEPTED
        (taken,) = doubles.providers.taken
        assert (taken.id, taken.address, taken.content["title"]) == (str(ID), "token", "Hi")


@pytest.mark.parametrize(
    ("http", "status", "dead"),
    [
        (410, Status.FAILED, True),
        (400, Status.FAILED, False),
        (401, Status.RETRY, False),
        (429, Status.RETRY, False),
        (503, Status.RETRY, False),
        (None, Status.RETRY, False),
    ],
)
def test_what_each_answer_means(http: int | None, status: Status, dead: bool) -> None:
    with answering(http) as url:
        (outcome,) = send({"base_url": url, "key": "k", "webhook_secret": "s", "timeout_seconds": 0.5})
    assert (outcome.status, outcome.address_is_dead) == (status, dead)


def webhook(body: bytes, header: str, received_at: datetime = AT) -> WebhookRequest:
    return WebhookRequest("POST", "https://n.example/webhooks/push", {SIGNATURE: header}, body, received_at)


def test_signed_news_are_read_and_what_is_no_news_is_left_out() -> None:
    body = msgspec.json.encode([GatewayEvent(ID, event, AT, f"e-{event}") for event in ("delivered", "queued")])
    (told,) = ADAPTER.news(webhook(body, signed("secret", body, AT)))
    assert (told.message_id, told.news, told.provider_event_id) == (str(ID), News.DELIVERED, "e-delivered")


@pytest.mark.parametrize("header", ["", "t=x,v1=0", "t=99999999999999999999,v1=0", signed("wrong", b"[]", AT)])
def test_a_signature_that_is_not_ours_is_refused(header: str) -> None:
    with pytest.raises(Unauthorized):
        ADAPTER.news(webhook(b"[]", header))


def test_an_old_signature_is_refused() -> None:
    with pytest.raises(Unauthorized, match="old"):
        ADAPTER.news(webhook(b"[]", signed("secret", b"[]", AT), AT + timedelta(minutes=6)))


@pytest.mark.parametrize("body", [b"{}", b"[", b'[{"message_id": "1"}]'])
def test_a_body_that_is_no_list_of_events_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        ADAPTER.news(webhook(body, signed("secret", body, AT)))
