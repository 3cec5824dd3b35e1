"""Webhooks as Standard Webhooks has them: signed, with an id by which a repetition is known."""

import asyncio
from base64 import b64encode
from uuid import uuid4

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from onevoice.channels.adapter import OutboundMessage, Outcome, Status
from onevoice.channels.webhook import WebhookAdapter, signature
from onevoice.kernel.errors import ConfigurationError
from tests.channels.answering import answering, heard

SECRET = "whsec_" + b64encode(b"k" * 32).decode()
ID = str(uuid4())


def send(url: str, **options: object) -> Outcome:
    async def run() -> Outcome:
        adapter = WebhookAdapter(SECRET, **{"private_addresses": True, "timeout_seconds": 1.0, **options})  # type: ignore[arg-type]
        await adapter.open()
        try:
            return await adapter.send(OutboundMessage(ID, "webhook", url, {"body": '{"customer": 7}'}))
        finally:
            await adapter.close()

    return asyncio.run(run())


def test_the_signature_is_that_of_the_specifications_example() -> None:
    """https://github.com/standard-webhooks/standard-webhooks, the example of the reference libraries."""
    from base64 import b64decode

    key = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_receiver_checks_who_calls_and_what_was_said_by_the_specifications_own_library() -> None:
    with answering(204) as url:
        assert send(url).status is Status.ACCEPTED
        (request,) = heard(url)
    assert Webhook(SECRET).verify(request.body, request.headers) == {"customer": 7}
    assert request.headers["webhook-id"] == ID
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body + b" ", request.headers)


@pytest.mark.parametrize(
    ("http", "status"),
    [(410, Status.FAILED), (404, Status.FAILED), (302, Status.FAILED), (429, Status.RETRY), (500, Status.RETRY)],
)
def test_what_the_receivers_answer_means(http: int, status: Status) -> None:
    with answering(http, headers={"retry-after": "7"}) as url:
        outcome = send(url)
    assert outcome.status is status and outcome.error_code == str(http)
    assert outcome.retry_after_seconds == (7.0 if status is Status.RETRY else 0.0)


def test_a_call_that_was_cut_off_is_tried_again_since_its_id_makes_that_harmless() -> None:
    with answering(None) as url:
        assert send(url).status is Status.RETRY


def test_our_own_network_is_not_called() -> None:
    with answering(204) as url:
        outcome = send(url, private_addresses=False)
        assert outcome.status is Status.FAILED and not heard(url)


def test_a_secret_that_is_none_is_refused() -> None:
    for secret in ("", "whsec_short", "whsec_" + "ä" * 40):
        with pytest.raises(ConfigurationError, match="whsec_"):
            WebhookAdapter(secret)
