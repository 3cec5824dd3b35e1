"""Web push in a real Chromium: a page subscribes and tells the address, the worker shows a push and opens its link."""

import json
from base64 import urlsafe_b64encode
from dataclasses import replace

import httpx
from cryptography.hazmat.primitives.asymmetric import ec

from onevoice.channels.webpush import public_key
from onevoice.kernel.settings import Settings
from tests.peers.serving import play, shop

LINK = "https://news.shop.example/c/token"


def test_a_page_subscribes_and_its_worker_shows_what_comes(settings: Settings) -> None:
    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    private = urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()
    channel = {"adapter": "webpush", "private_key": private, "contact": "mailto:push@shop.example"}
    payload = json.dumps({"id": "m1", "title": "Ciao Anna", "body": "Il pane è pronto", "link": LINK})
    with shop(replace(settings, channels={"webpush": channel})) as running:
        told = play("push_browser.js", running.proxy.url, running.write_key, payload)
        running.load(1)
        (event,) = running.rows("events")
    assert told["said"] == []
    assert (told["endpoint"], told["visible"]) == ("https://push.example/abc", True)
    assert urlsafe_b64encode(bytes(told["key"])).rstrip(b"=").decode() == public_key(private)
    address = json.loads(json.loads(event["properties"])["webpush_subscription"])
    assert address == {"endpoint": "https://push.example/abc", "keys": {"p256dh": "BKey", "auth": "secret"}}
    assert told["shown"] == [{"title": "Ciao Anna", "body": "Il pane è pronto", "tag": "m1"}]
    assert (told["opened"], told["left"]) == ([LINK], 0)


def test_without_the_channel_there_are_no_scripts(settings: Settings) -> None:
    with shop(settings) as running:
        answers = [httpx.get(running.url + path) for path in ("/v1/push.js", "/v1/push/worker.js")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert all("onevoice webpush keys" in answer.json()["message"] for answer in answers)
