"""A call of a URL, signed as Standard Webhooks has it (https://www.standardwebhooks.com, version 1.0.0).

The header `webhook-id` is the message's id, the same at every attempt, by which the receiver knows a repetition: so
what was cut off is tried again. 410 says that the receiver wants no more.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256

import httpx

from onevoice.channels import outside
from onevoice.channels.adapter import Concern, MessageNews, OutboundMessage, Outcome, Status, WebhookRequest
from onevoice.kernel.errors import ConfigurationError, NotFound

PREFIX = "whsec_"


class WebhookAdapter:
    """The adapter `webhook`. A message's address is the URL, its content has a `body`, JSON. `secret`: `whsec_...`."""

    channel = "webhook"
    tells_delivery = False

    def __init__(
        self, secret: str, timeout_seconds: float = 15.0, price: str = "0", private_addresses: bool = False
    ) -> None:
        self.price = Decimal(str(price))
        try:
            self._key = b64decode(secret.removeprefix(PREFIX), validate=True)
        except ValueError:
            self._key = b""
        if len(self._key) < 24:
            raise ConfigurationError("channels.webhook: secret is `whsec_` and base64 of 24 bytes or more")
        self._timeout_seconds, self._anywhere = float(timeout_seconds), bool(private_addresses)
        self._http: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Makes the HTTP client."""
        self._http = outside.client(self._timeout_seconds, anywhere=self._anywhere)

    async def close(self) -> None:
        """Closes it."""
        if self._http is not None:
            await self._http.aclose()

    async def send(self, message: OutboundMessage) -> Outcome:
        """Tries once."""
        assert self._http is not None, "open() comes first"
        body, at = message.content["body"].encode(), int(datetime.now(UTC).timestamp())
        headers = {
            "content-type": "application/json",
            "user-agent": "OneVoice",
            "webhook-id": message.id,
            "webhook-timestamp": str(at),
            "webhook-signature": signature(self._key, message.id, at, body),
        }
        try:
            response = await self._http.post(message.address, content=body, headers=headers)
        except (outside.NotOutside, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            return Outcome(Status.FAILED, error_code="invalid_address", error=str(error))
        except httpx.TransportError as error:
            return Outcome(Status.RETRY, error_code="connection_failed", error=repr(error))
        return _outcome(response)

    def news(self, request: WebhookRequest) -> list[MessageNews]:
        """Receivers of webhooks call nobody."""
        raise NotFound("The webhook adapter has no webhook of its own")

    def parts(self, content: Mapping[str, str]) -> int:
        """A call is a call."""
        return 1


def signature(key: bytes, message_id: str, at: int, body: bytes) -> str:
    """`v1,` and base64 of HMAC-SHA256 over `id.seconds.body`."""
    signed = b".".join((message_id.encode(), str(at).encode(), body))
    return "v1," + b64encode(hmac.new(key, signed, sha256).digest()).decode()


def _outcome(response: httpx.Response) -> Outcome:
    code, said = str(response.status_code), response.text[:200]
    if response.is_success:
        return Outcome(Status.ACCEPTED, provider_id=response.headers.get("webhook-id", ""))
    if response.status_code == 410:
        return Outcome(Status.FAILED, "", code, "The receiver wants no more calls")
    if response.status_code in (408, 409, 425, 429) or response.status_code >= 500:
        wait = response.headers.get("retry-after", "")
        seconds = float(wait) if wait.isdigit() else 0.0
        # One receiver's trouble is not the channel's: no breaker opens for the others.
        return Outcome(Status.RETRY, "", code, said, retry_after_seconds=seconds, concerns=Concern.MESSAGE)
    return Outcome(Status.FAILED, "", code, said)
