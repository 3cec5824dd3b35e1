"""Readers and providers at the door: pixels, links, unsubscribing and webhooks, over HTTP against a real database."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import msgspec
import pytest
from sqlalchemy import Engine, text
from starlette.applications import Starlette

from onevoice.channels import adapter
from onevoice.channels.push_gateway import SIGNATURE, GatewayEvent, signed
from onevoice.channels.twilio import signature
from onevoice.customers import consent
from onevoice.database.inbox import Kind
from onevoice.delivery import routes
from onevoice.delivery.links import LinkMaker, MessageLinks
from onevoice.delivery.queue import enqueue, line, store_links
from onevoice.delivery.schemas import MessageEntry
from onevoice.demo.doubles import Doubles
from onevoice.demo.doubles.providers import TOKEN, WEBHOOK_SECRET
from onevoice.kernel.errors import ConfigurationError, OneVoiceError, Unauthorized
from onevoice.kernel.settings import Settings
from tests.conftest import NOW
from tests.delivery.builders import message_id, queued
from tests.delivery.sending import Straight, at_now, entries

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"
TARGET = "https://shop.example/offers?a=1&b=2"
BASE = "https://news.shop.example"


@pytest.fixture
def ready(settings: Settings, db: Engine) -> Settings:
    """Settings with a message in the queue and its link stored."""
    made = at_now(settings, public_url=BASE, channels=Doubles(base_url=BASE).channels())
    with db.begin() as connection:
        several = [queued(1, locale="it"), queued(2, channel="push"), queued(3, channel="sms")]
        enqueue(connection, map(line, several), 1)
        links = LinkMaker(made.secret(), BASE)
        links.link(TARGET)
        store_links(connection, links.fresh)
    return made


def links(ready: Settings, db: Engine, number: int = 1) -> MessageLinks:
    with db.connect() as connection:
        found = connection.scalar(text("SELECT number FROM message WHERE id = :id"), {"id": message_id(number)})
    return LinkMaker(ready.secret(), BASE).of_message(found)


def call(
    ready: Settings,
    db: Engine,
    method: str,
    url: str,
    *,
    broken: bool = False,
    agent: str = BROWSER,
    language: str = "it",
    **more: Any,
) -> httpx.Response:
    adapters = {name: adapter.build(options, name) for name, options in ready.channels.items()}
    app = Starlette(routes=routes.routes(Straight(db, broken=broken), db, ready, adapters))

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url=BASE, headers={"user-agent": agent, "accept-language": language}
        ) as http:
            return await http.request(method, url, **more)

    return asyncio.run(run())


def news(db: Engine) -> list[MessageEntry]:
    return [msgspec.json.decode(e.payload, type=MessageEntry) for e in entries(db) if e.kind is Kind.MESSAGE]


def word(db: Engine, channel: str = "email") -> str:
    with db.connect() as connection:
        state = consent.permissions(connection, [(1, channel, "offers")], NOW)[0].state
    return "" if state == "none" else state


def test_the_pixel_is_always_a_picture_and_notes_an_opening(ready: Settings, db: Engine) -> None:
    response = call(ready, db, "GET", links(ready, db).open_pixel_url)
    assert (response.status_code, response.headers["content-type"]) == (200, "image/gif")
    assert "no-store" in response.headers["cache-control"]
    (told,) = news(db)
    assert (told.message_id, told.news, told.machine) == (str(message_id(1)), "opened", False)
    assert call(ready, db, "GET", "/o/AAAAAAABAAAAAAAA").content == response.content
    assert len(news(db)) == 1


@pytest.mark.parametrize(
    ("method", "agent", "machine"),
    [
        ("GET", "Mozilla/5.0", True),  # Apple Mail Privacy Protection
        ("GET", "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", False),
        ("GET", "Barracuda Sentinel (EE)", True),
        ("GET", "Slackbot-LinkExpanding 1.0", True),
        ("HEAD", BROWSER, True),
    ],
)
def test_machines_are_told_from_people(ready: Settings, db: Engine, method: str, agent: str, machine: bool) -> None:
    call(ready, db, method, links(ready, db).open_pixel_url, agent=agent)
    assert [told.machine for told in news(db)] == [machine]


def test_a_link_opened_as_soon_as_the_mail_was_sent_was_opened_by_a_machine(ready: Settings, db: Engine) -> None:
    url = links(ready, db).tracked(TARGET)
    for seconds in (1, 3):
        with db.begin() as connection:
            sent_at = {"at": NOW - timedelta(seconds=seconds)}
            connection.execute(text("UPDATE message SET attempts = 1, attempted_at = :at"), sent_at)
        call(ready, db, "GET", url)
    assert [(told.machine, told.detail.get("machine")) for told in news(db)] == [(True, "too_soon"), (False, None)]


def test_a_page_asked_for_without_a_language_and_whatever_comes_from_a_data_centre_is_a_machines(
    ready: Settings, db: Engine
) -> None:
    url, pixel = links(ready, db).tracked(TARGET), links(ready, db).open_pixel_url
    call(ready, db, "GET", pixel, language="")  # as mail programs fetch pictures
    call(ready, db, "GET", url, language="")
    centre = replace(ready, machine_networks=("127.0.0.0/8", "2001:db8::/32"))  # where the test's calls come from
    call(centre, db, "GET", url)
    assert [told.detail.get("machine") for told in news(db)] == [None, "no_language", "network"]
    with pytest.raises(ConfigurationError, match="machine_networks"):
        call(replace(ready, machine_networks=("data centre",)), db, "GET", url)


def test_a_click_leads_to_the_stored_target_and_nowhere_else(ready: Settings, db: Engine) -> None:
    url = links(ready, db).tracked(TARGET)
    response = call(ready, db, "GET", f"{url}?to=https://evil.example", headers={"host": "evil.example"})
    assert (response.status_code, response.headers["location"]) == (302, TARGET)
    (told,) = news(db)
    assert (told.news, told.detail["link"]) == ("clicked", TARGET)
    unknown = links(ready, db).tracked("https://evil.example")  # signed, but never stored
    assert call(ready, db, "GET", unknown).status_code == 404
    assert call(ready, db, "GET", url[:-1] + ("A" if url[-1] != "A" else "B")).status_code == 404


def test_readers_get_on_even_where_the_news_cannot_be_written(ready: Settings, db: Engine) -> None:
    url = links(ready, db).tracked(TARGET)
    assert call(ready, db, "GET", url, broken=True).status_code == 302
    assert call(ready, db, "GET", links(ready, db).open_pixel_url, broken=True).status_code == 200


def test_opening_the_unsubscribe_page_changes_nothing(ready: Settings, db: Engine) -> None:
    url = links(ready, db).unsubscribe_url
    response = call(ready, db, "GET", url)
    assert response.status_code == 200
    assert 'lang="it" dir="ltr"' in response.text
    assert "customer1@example.com" not in response.text
    assert "c•••@example.com" in response.text
    assert call(ready, db, "HEAD", url).status_code == 200
    assert entries(db) == []
    assert word(db) == ""


@pytest.mark.parametrize(
    ("body", "origin"), [({"List-Unsubscribe": "One-Click"}, "one_click"), ({}, "link")], ids=["mail program", "page"]
)
def test_a_post_unsubscribes_at_once_and_twice_is_once(
    ready: Settings, db: Engine, body: dict[str, str], origin: str
) -> None:
    url = links(ready, db).unsubscribe_url
    for _ in range(2):
        response = call(
            ready, db, "POST", url, data=body, headers={"content-type": "application/x-www-form-urlencoded"}
        )
        assert response.status_code == 200
    assert word(db) == "withdrawn"
    with db.connect() as connection:
        (row,) = connection.execute(text("SELECT origin, evidence FROM consent_ledger"))
    assert (row.origin, row.evidence["message"]) == (origin, str(message_id(1)))
    assert sorted(entry.kind for entry in entries(db)) == [Kind.CONSENT, Kind.MESSAGE]
    assert [told.news for told in news(db)] == ["unsubscribed"]


def test_who_came_back_can_unsubscribe_again_from_the_same_message(ready: Settings, db: Engine) -> None:
    url = links(ready, db).unsubscribe_url
    with db.begin() as connection:
        early = NOW.replace(hour=1)
        consent.record(connection, [consent.Consent(1, "email", "offers", "withdrawn", early, "link")], NOW)
        again = NOW.replace(hour=2)
        consent.record(connection, [consent.Consent(1, "email", "offers", "granted", again, "form")], NOW)
    call(ready, db, "POST", url)
    assert word(db) == "withdrawn"


def test_an_opening_token_does_not_unsubscribe(ready: Settings, db: Engine) -> None:
    token = links(ready, db).open_pixel_url.rpartition("/")[2]
    response = call(ready, db, "POST", f"/u/{token}", headers={"accept-language": "ar"})
    assert response.status_code == 404
    assert 'lang="ar" dir="rtl"' in response.text
    assert word(db) == ""


def twilio_news(form: dict[str, str], number: int = 3) -> tuple[str, dict[str, Any]]:
    path = f"/webhooks/sms?{urlencode({'message': str(message_id(number))})}"
    signed_with = {"x-twilio-signature": signature(TOKEN, BASE + path, list(form.items()))}
    kind = {"content-type": "application/x-www-form-urlencoded"}
    return path, {"content": urlencode(form), "headers": {**signed_with, **kind}}


def test_signed_news_are_taken_in_and_a_repetition_is_recognisable(ready: Settings, db: Engine) -> None:
    path, request = twilio_news({"MessageSid": "SM1", "MessageStatus": "delivered"})
    assert [call(ready, db, "POST", path, **request).status_code for _ in range(2)] == [204, 204]
    told = news(db)
    assert {(one.message_id, one.news) for one in told} == {(str(message_id(3)), "delivered")}
    assert len({one.event_id for one in told}) == 1


def test_news_of_a_message_in_doubt_settle_it(ready: Settings, db: Engine) -> None:
    with db.begin() as connection:
        connection.execute(text("UPDATE message SET state = 'in_doubt', error_code = 'connection_cut'"))
    url, more = twilio_news({"MessageSid": "SM1", "MessageStatus": "delivered"})
    assert call(ready, db, "POST", url, **more).status_code == 204
    with db.connect() as connection:
        rows = connection.execute(text("SELECT channel, state FROM message ORDER BY channel")).all()
    assert [tuple(row) for row in rows] == [("email", "in_doubt"), ("push", "in_doubt"), ("sms", "accepted")]


def test_news_with_a_wrong_signature_are_refused(ready: Settings, db: Engine) -> None:
    path, request = twilio_news({"MessageSid": "SM1", "MessageStatus": "delivered"})
    with pytest.raises(Unauthorized):
        call(ready, db, "POST", path, **{**request, "content": "MessageSid=SM1&MessageStatus=failed"})
    assert entries(db) == []


def test_a_dead_address_is_suppressed_with_the_news_that_tell_it(ready: Settings, db: Engine) -> None:
    path, request = twilio_news({"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30005"})
    assert call(ready, db, "POST", path, **request).status_code == 204
    assert sorted(entry.kind for entry in entries(db)) == [Kind.SUPPRESSION, Kind.MESSAGE]
    with db.connect() as connection:
        assert connection.execute(text("SELECT channel, reason FROM suppression")).all() == [("sms", "bounced")]


def test_a_gateway_tells_many_things_at_once(ready: Settings, db: Engine) -> None:
    events = [GatewayEvent(message_id(2), event, NOW, f"e-{event}") for event in ("opened", "delivered", "sent")]
    body = msgspec.json.encode([*events, GatewayEvent(uuid4(), "failed", NOW, "e-9", "unregistered")])
    headers = {SIGNATURE: signed(WEBHOOK_SECRET, body, NOW)}
    assert call(ready, db, "POST", "/webhooks/push", content=body, headers=headers).status_code == 204
    assert [told.news for told in news(db)] == ["opened", "delivered", "failed"]


def test_an_unknown_channel_and_a_body_without_end_are_refused(ready: Settings, db: Engine) -> None:
    for path, body in (("/webhooks/fax", b""), ("/webhooks/push", b"x" * (routes.LARGEST_WEBHOOK + 1))):
        with pytest.raises(OneVoiceError) as refused:
            call(ready, db, "POST", path, content=body)
        assert refused.value.status in (404, 413)
