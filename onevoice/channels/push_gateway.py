"""Push by a small JSON protocol of our own, spoken to a gateway that stands in front of FCM and APNs.

Send: `POST {base_url}/messages`, `Authorization: Bearer KEY`, body `{"id", "token", "title", "body", "link"}`. Answers:
202 `{"id"}` taken; 410 the token is gone; 429 and 503 later (with Retry-After); other 4xx never. A second call with the
same id is answered as the first and sends nothing, so a call that was cut off may be repeated.

News: the gateway posts a JSON list of `{"message_id", "event", "occurred_at", "id"}` to our webhook; `event` is
delivered, opened or failed (then with `code`; code `unregistered` says the token is gone), `id` names the event. Header
`X-OneVoice-Signature: t=SECONDS,v1=HEX`, where HEX is HMAC-SHA256 with the webhook secret over `SECONDS.BODY`.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from uuid import UUID

import httpx
import msgspec

from onevoice.channels.adapter import Concern, MessageNews, News, OutboundMessage, Outcome, Status, WebhookRequest
from onevoice.kernel.errors import InvalidInput, Unauthorized

SIGNATURE = "x-onevoice-signature"
SECONDS_VALID = 300
"""A signature older than this, or from further in the future, is refused."""


_CONCERNS = {401: Concern.ACCOUNT, 403: Concern.ACCOUNT, 429: Concern.PACE}


class GatewayEvent(msgspec.Struct, omit_defaults=True):
    """One event of the gateway's webhook."""

    message_id: UUID
    event: str  # delivered, opened, failed
    occurred_at: datetime
    id: str
    code: str = ""


_events = msgspec.json.Decoder(list[GatewayEvent])


class PushGatewayAdapter:
    """The adapter `push_gateway`."""

    channel = "push"
    tells_delivery = True

    def __init__(
        self, base_url: str, key: str, webhook_secret: str, timeout_seconds: float = 15.0, price: str = "0"
    ) -> None:
        self.price = Decimal(str(price))
        self._url = f"{base_url.rstrip('/')}/messages"
        self._headers = {"authorization": f"Bearer {key}"}
        self._secret = webhook_secret
        self._timeout_seconds = float(timeout_seconds)
        self._http: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Makes the HTTP client."""
        self._http = httpx.AsyncClient(headers=self._headers, timeout=self._timeout_seconds)

    async def close(self) -> None:
        """Closes it."""
        if self._http is not None:
            await self._http.aclose()

    async def send(self, message: OutboundMessage) -> Outcome:
        """Tries once; a call that is cut off may be repeated, since the gateway knows the message's id."""
        assert self._http is not None, "open() comes first"
        body = {"id": message.id, "token": message.address}
        body |= {name: str(message.content.get(name, "")) for name in ("title", "body", "link")}
        try:
            response = await self._http.post(self._url, json=body)
        except httpx.TransportError as error:
            return Outcome(Status.RETRY, error_code="connection_cut", error=repr(error), concerns=Concern.PROVIDER)
        if response.status_code in (200, 202):
            return Outcome(Status.ACCEPTED, provider_id=_provider_id(response))
        said, why = str(response.status_code), response.text[:500]
        if response.status_code in (401, 403, 429) or response.status_code >= 500:
            wait = response.headers.get("retry-after", "")
            seconds = float(wait) if wait.isdigit() else 0.0
            concerns = _CONCERNS.get(response.status_code, Concern.PROVIDER)
            return Outcome(Status.RETRY, "", said, why, retry_after_seconds=seconds, concerns=concerns)
        return Outcome(Status.FAILED, "", said, why, address_is_dead=response.status_code == 410)

    def news(self, request: WebhookRequest) -> list[MessageNews]:
        """Reads the gateway's events. Raises Unauthorized for a bad signature, InvalidInput for a strange body."""
        check(self._secret, request.headers.get(SIGNATURE, ""), request.body, request.received_at)
        try:
            events = _events.decode(request.body)
        except msgspec.DecodeError as error:
            raise InvalidInput(f"Expected a list of events: {error}") from error
        return [
            MessageNews(
                message_id=str(event.message_id),
                news=News(event.event),
                occurred_at=event.occurred_at,
                provider_event_id=event.id,
                error_code=event.code,
                address_is_dead=event.code == "unregistered",
                raw=msgspec.to_builtins(event),
            )
            for event in events
            if event.event in (News.DELIVERED, News.OPENED, News.FAILED)
        ]

    def parts(self, content: Mapping[str, str]) -> int:
        """A push message is one."""
        return 1


def signed(secret: str, body: bytes, at: datetime) -> str:
    """The signature header's value for a body sent at an instant."""
    seconds = int(at.timestamp())
    code = hmac.new(secret.encode(), b"%d." % seconds + body, sha256).hexdigest()
    return f"t={seconds},v1={code}"


def check(secret: str, header: str, body: bytes, now: datetime) -> None:
    """Raises Unauthorized where the header does not sign the body, or did so too long ago."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    try:
        at = datetime.fromtimestamp(int(parts.get("t", "")), now.tzinfo)
    except (ValueError, OverflowError, OSError) as error:
        raise Unauthorized("X-OneVoice-Signature has no time") from error
    if not hmac.compare_digest(signed(secret, body, at).encode(), header.encode()):
        raise Unauthorized("X-OneVoice-Signature does not fit this body")
    if abs((now - at).total_seconds()) > SECONDS_VALID:
        raise Unauthorized("X-OneVoice-Signature is too old")


def _provider_id(response: httpx.Response) -> str:
    try:
        return str(response.json().get("id", ""))
    except (ValueError, AttributeError):
        return ""
