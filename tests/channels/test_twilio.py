"""The Twilio adapter: its requests, its error table, its signatures."""

import asyncio
import json
import logging
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

import httpx
import pytest
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from onevoice.channels.adapter import (
    Doubtful,
    InboundMessage,
    MessageNews,
    News,
    OutboundMessage,
    Outcome,
    Status,
    WebhookRequest,
)
from onevoice.channels.twilio import TwilioAdapter, signature
from onevoice.demo.doubles import Doubles
from onevoice.kernel.errors import InvalidInput, Unauthorized
from tests.channels.answering import answering

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
ID = str(uuid4())


def send(options: dict[str, Any], address: str = "+15005550010", text: str = "Hi. STOP to end") -> Outcome:
    async def run() -> Outcome:
        adapter = TwilioAdapter(**{name: value for name, value in options.items() if name != "adapter"})
        await adapter.open()
        try:
            return await adapter.send(OutboundMessage(ID, "sms", address, {"text": text}))
        finally:
            await adapter.close()

    return asyncio.run(run())


def test_a_good_request_is_taken_and_a_bad_one_refused_as_twilio_does() -> None:
    with Doubles(base_url="https://n.example") as doubles:
        options = doubles.channels()["sms"]
        accepted = send(options)
        assert (accepted.status, accepted.provider_id[:2]) == (Status.ACCEPTED, "SM")
        assert doubles.providers.taken[0].id == ID  # told by the status callback's URL
        bad = send(options, address="0123")
        assert (bad.status, bad.error_code, bad.address_is_dead) == (Status.FAILED, "21211", True)
        assert send(options, text="x" * 1601).error_code == "21617"
        wrong_key = send({**options, "auth_token": "wrong"})
        assert (wrong_key.status, wrong_key.error_code) == (Status.RETRY, "20003")


@pytest.mark.parametrize(
    ("http", "code", "status", "dead"),
    [
        (429, 20429, Status.RETRY, False),
        (400, 21611, Status.RETRY, False),
        (400, 21610, Status.FAILED, True),
        (400, 21614, Status.FAILED, True),
        (400, 21617, Status.FAILED, False),
        (400, 21606, Status.RETRY, False),  # the sender is not ours: an alarm, and no message is lost
        (400, 21408, Status.FAILED, False),  # no messages to that country
        (500, None, Status.IN_DOUBT, False),
    ],
)
def test_the_error_table(http: int, code: int | None, status: Status, dead: bool) -> None:
    body = json.dumps({"code": code, "message": "why"}).encode() if code else b"<html>"
    with answering(http, body, {"retry-after": "7"}) as url:
        outcome = send({"account_sid": "AC1", "auth_token": "t", "sender": "MG1", "base_url": url})
    assert (outcome.status, outcome.address_is_dead) == (status, dead)
    if http == 429:
        assert outcome.retry_after_seconds == 7


def test_what_we_ask_is_what_twilios_own_library_asks() -> None:
    """Its library is generated from Twilio's OpenAPI document."""

    class Recorder(HttpClient):
        def request(self, method: str, url: str, *args: Any, **more: Any) -> Response:
            asked.append((method, url, dict(more.get("params") or {}), dict(more.get("data") or {})))
            return Response(201, '{"sid": "SM1"}') if method == "POST" else Response(200, '{"messages": []}')

    asked: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = []
    account, service, callback = "AC" + "0" * 32, "MG" + "0" * 32, "https://n.example/webhooks/sms"
    client = Client(account, "t", http_client=Recorder(logging.getLogger("twilio"), False))
    for sender in ({"from_": "+15005550006"}, {"messaging_service_sid": service}):
        client.messages.create(
            to="+15005550010", body="Hi. STOP to end", status_callback=f"{callback}?message={ID}", **sender
        )
    client.messages.page(to="+15005550010", page_size=50)
    ours: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        form = dict(parse_qsl(request.content.decode()))
        host = str(request.url.copy_with(query=None))
        ours.append((request.method, host, dict(request.url.params), form))
        return httpx.Response(201 if form else 200, json={"messages": []})

    async def run() -> None:
        for sender in ("+15005550006", service):
            adapter = TwilioAdapter(account, "t", sender, status_callback=callback)
            adapter._http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
            message = OutboundMessage(ID, "sms", "+15005550010", {"text": "Hi. STOP to end"})
            await adapter.send(message)
        await adapter.reconcile([Doubtful(message, AT, AT)])
        await adapter.close()

    asyncio.run(run())
    assert ours == [(m, url, {k: str(v) for k, v in p.items()}, data) for m, url, p, data in asked]


def test_no_answer_leaves_doubt_and_no_connection_does_not() -> None:
    options = {"account_sid": "AC1", "auth_token": "t", "sender": "+1", "timeout_seconds": 0.3}
    with answering(None) as url:
        assert send({**options, "base_url": url}).status is Status.IN_DOUBT
    assert send({**options, "base_url": "http://127.0.0.1:1"}).status is Status.RETRY


def test_the_signature_of_twilios_own_example() -> None:
    # https://www.twilio.com/docs/usage/security, the example that its libraries test with
    form = {"CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234"}
    form |= {"From": "+14158675309", "To": "+18005551212"}
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert signature("12345", url, form.items()) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def test_an_answer_is_taken_with_the_signature_of_twilios_own_library() -> None:
    form = {"MessageSid": "SM9", "SmsStatus": "received", "From": "+393330001", "To": "+1", "Body": "Grazie è ok"}
    url = "https://n.example/webhooks/sms"
    given = {"x-twilio-signature": RequestValidator("t").compute_signature(url, form)}
    request = WebhookRequest("POST", url, given, urlencode(form).encode(), AT)
    (told,) = TwilioAdapter("AC1", "t", "+1").news(request)
    assert isinstance(told, InboundMessage)
    assert (told.sender, told.text, told.provider_event_id) == ("+393330001", "Grazie è ok", "SM9")
    assert not told.is_confirmed
    with pytest.raises(Unauthorized):
        TwilioAdapter("AC1", "another", "+1").news(request)


def webhook(form: dict[str, str], url: str, signed_url: str = "") -> WebhookRequest:
    given = {"x-twilio-signature": signature("t", signed_url or url, form.items())}
    return WebhookRequest("POST", url, given, urlencode(form).encode(), AT)


URL = f"https://n.example/webhooks/sms?message={ID}"


@pytest.mark.parametrize(
    ("status", "code", "news", "dead"),
    [
        ("delivered", "", News.DELIVERED, False),
        ("undelivered", "30003", News.FAILED, False),
        ("failed", "30006", News.FAILED, True),
        ("failed", "30008", News.FAILED, False),
        ("undelivered", "21610", News.FAILED, True),
    ],
)
def test_a_callback_is_read(status: str, code: str, news: News, dead: bool) -> None:
    adapter = TwilioAdapter("AC1", "t", "+1")
    (told,) = adapter.news(webhook({"MessageSid": "SM1", "MessageStatus": status, "ErrorCode": code}, URL))
    assert isinstance(told, MessageNews)
    assert (told.message_id, told.news, told.error_code, told.address_is_dead) == (ID, news, code, dead)
    assert told.occurred_at == AT


def test_a_callback_behind_a_proxy_may_be_signed_with_or_without_the_port() -> None:
    adapter = TwilioAdapter("AC1", "t", "+1")
    form = {"MessageSid": "SM1", "MessageStatus": "sent"}
    assert adapter.news(webhook(form, URL, URL.replace("n.example", "n.example:443"))) == []
    assert adapter.news(webhook(form, URL.replace("n.example", "n.example:8443"), URL)) == []


def test_a_callback_that_is_not_twilios_or_names_no_message_is_refused() -> None:
    adapter = TwilioAdapter("AC1", "t", "+1")
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    with pytest.raises(Unauthorized):
        adapter.news(webhook(form, URL, "https://elsewhere.example/"))
    with pytest.raises(InvalidInput, match="message"):
        adapter.news(webhook(form, "https://n.example/webhooks/sms?message=1"))


@pytest.mark.parametrize(
    ("text", "parts"), [("a" * 160, 1), ("a" * 161, 2), ("ș" * 70, 1), ("ș" * 71, 2), ("€" * 81, 2)]
)
def test_an_sms_costs_as_many_parts_as_it_is_split_into(text: str, parts: int) -> None:
    assert TwilioAdapter("AC1", "t", "+1").parts({"text": text}) == parts
