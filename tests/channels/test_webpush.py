"""Web push: only the browser can read it, the push service knows who sends, and a browser that left is left alone."""

import asyncio
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any
from uuid import uuid4

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02

from onevoice.channels.adapter import Concern, OutboundMessage, Outcome, Status
from onevoice.channels.webpush import WebPushAdapter, public_key
from onevoice.kernel.errors import ConfigurationError
from tests.channels.answering import answering, heard

BROWSER = ec.generate_private_key(ec.SECP256R1())
AUTH = b"sixteen bytes ok"
VAPID = Vapid02()
VAPID.generate_keys()
PRIVATE = urlsafe_b64encode(VAPID.private_key.private_numbers().private_value.to_bytes(32, "big")).decode()
ID = str(uuid4())


def text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def subscription(endpoint: str) -> str:
    point = BROWSER.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return json.dumps(
        {"endpoint": endpoint, "expirationTime": None, "keys": {"p256dh": text(point), "auth": text(AUTH)}}
    )


def send(address: str, body: str = "Come in", **options: Any) -> Outcome:
    async def run() -> Outcome:
        given = {"private_addresses": True, "timeout_seconds": 1.0, **options}
        adapter = WebPushAdapter(PRIVATE, "mailto:shop@example.com", **given)
        await adapter.open()
        try:
            content = {"title": "Ciao", "body": body, "link": "https://n.example/c/T"}
            return await adapter.send(OutboundMessage(ID, "webpush", address, content))
        finally:
            await adapter.close()

    return asyncio.run(run())


def test_the_browser_reads_what_was_sent_and_the_push_service_knows_who_sent_it() -> None:
    with answering(201, headers={"location": "https://push.example/m/1"}) as url:
        outcome = send(subscription(url + "/send/abc"))
        (request,) = heard(url)
    assert outcome == Outcome(Status.ACCEPTED, provider_id="https://push.example/m/1")
    said = http_ece.decrypt(request.body, private_key=BROWSER, auth_secret=AUTH, version="aes128gcm")
    assert json.loads(said) == {"id": ID, "title": "Ciao", "body": "Come in", "link": "https://n.example/c/T"}
    assert request.headers["content-encoding"] == "aes128gcm" and request.headers["ttl"] == "86400"
    assert len(request.headers["topic"]) == 32
    scheme, token, key = request.headers["authorization"].replace(",", " ").split()
    assert scheme == "vapid" and key == f"k={public_key(PRIVATE)}"
    head, claims, signed = token.removeprefix("t=").split(".")
    assert json.loads(decoded(head))["alg"] == "ES256"
    raw = decoded(signed)
    pair = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    VAPID.public_key.verify(pair, f"{head}.{claims}".encode(), ec.ECDSA(SHA256()))  # raises where it does not fit
    said_by = json.loads(decoded(claims))
    assert said_by["aud"] == url and said_by["sub"] == "mailto:shop@example.com"
    assert time.time() < said_by["exp"] <= time.time() + 86_400


def decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.mark.parametrize(
    ("http", "status", "dead", "concern"),
    [
        (404, Status.FAILED, True, Concern.MESSAGE),
        (410, Status.FAILED, True, Concern.MESSAGE),
        (413, Status.FAILED, False, Concern.MESSAGE),
        (403, Status.RETRY, False, Concern.ACCOUNT),
        (429, Status.RETRY, False, Concern.PACE),
        (503, Status.RETRY, False, Concern.PROVIDER),
    ],
)
def test_what_the_push_services_answer_means(http: int, status: Status, dead: bool, concern: Concern) -> None:
    with answering(http, headers={"retry-after": "30"}) as url:
        outcome = send(subscription(url))
    assert (outcome.status, outcome.address_is_dead, outcome.concerns) == (status, dead, concern)
    assert outcome.retry_after_seconds == (30.0 if status is Status.RETRY else 0.0)


def test_a_call_that_was_cut_off_is_in_doubt() -> None:
    with answering(None) as url:
        assert send(subscription(url)).status is Status.IN_DOUBT


@pytest.mark.parametrize(
    "address", ["", "{}", '{"endpoint": "https://x.example", "keys": {"p256dh": "AA", "auth": "AA"}}']
)
def test_what_is_no_subscription_is_dead(address: str) -> None:
    outcome = send(address)
    assert outcome.status is Status.FAILED and outcome.address_is_dead


def test_an_endpoint_in_our_own_network_is_not_called() -> None:
    with answering(201) as url:
        outcome = send(subscription(url), private_addresses=False)
        assert outcome.status is Status.FAILED and not heard(url)


def test_what_does_not_fit_into_a_push_is_refused() -> None:
    assert send(subscription("https://push.example"), body="x" * 4_000).error_code == "too_large"


def test_settings_that_no_push_service_would_take_are_refused() -> None:
    for key, contact, urgency in (
        ("nonsense", "mailto:a@b.it", "low"),
        (PRIVATE, "a@b.it", "low"),
        (PRIVATE, "mailto:a@b.it", "now"),
    ):
        with pytest.raises(ConfigurationError):
            WebPushAdapter(key, contact, urgency=urgency)
