"""Web push: to a browser by its maker's push service (RFC 8030), encrypted for it (RFC 8291), signed by us (RFC 8292).

An address is the subscription as the browser gives it, JSON with `endpoint` and `keys` (`p256dh`, `auth`). The payload
is JSON with `id`, `title`, `body`, `link`, for the service worker that delivery/push_scripts.py serves. The push
service tells nothing of what becomes of it, so accepted counts as delivered.
"""

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import urlsplit

import http_ece
import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02, VapidException

from onevoice.channels import outside
from onevoice.channels.adapter import Concern, MessageNews, OutboundMessage, Outcome, Status, WebhookRequest
from onevoice.kernel.errors import ConfigurationError, NotFound

TOKEN_SECONDS = 12 * 3_600
"""How long a signature for a push service holds; it may be a day at most (RFC 8292, 2)."""

LARGEST = 3_993
"""Bytes of payload that fit into one record of 4,096 with the header and the tag (RFC 8291, 4)."""

_CONCERNS = {400: Concern.ACCOUNT, 401: Concern.ACCOUNT, 403: Concern.ACCOUNT, 429: Concern.PACE}


class Keys(msgspec.Struct):
    """A browser's keys, base64url."""

    p256dh: str
    auth: str


class Subscription(msgspec.Struct):
    """What a browser's PushSubscription has as JSON."""

    endpoint: str
    keys: Keys


class _Signed(NamedTuple):
    header: str
    until: float


_subscriptions = msgspec.json.Decoder(Subscription)


class WebPushAdapter:
    """The adapter `webpush`. `private_key`: what `onevoice webpush keys` made; `contact`: mailto: or https:."""

    channel = "webpush"
    tells_delivery = False

    def __init__(
        self,
        private_key: str,
        contact: str,
        ttl_seconds: int = 86_400,
        urgency: str = "normal",
        timeout_seconds: float = 15.0,
        price: str = "0",
        private_addresses: bool = False,
    ) -> None:
        if not contact.startswith(("mailto:", "https://")):
            raise ConfigurationError("channels.webpush: contact is a mailto: or https:// address of yours")
        if urgency not in ("very-low", "low", "normal", "high"):
            raise ConfigurationError("channels.webpush: urgency is one of very-low, low, normal, high")
        self.price = Decimal(str(price))
        try:
            self._vapid = Vapid02.from_string(private_key)
        except (VapidException, ValueError) as error:
            raise ConfigurationError("channels.webpush: private_key is not one of `onevoice webpush keys`") from error
        self.public_key = public_key(private_key)
        self._contact, self._anywhere = contact, bool(private_addresses)
        self._headers = {"ttl": str(int(ttl_seconds)), "urgency": urgency, "content-encoding": "aes128gcm"}
        self._timeout_seconds = float(timeout_seconds)
        self._signed: dict[str, _Signed] = {}
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
        said = {name: message.content.get(name, "") for name in ("title", "body", "link")}
        payload = msgspec.json.encode({"id": message.id, **said})
        if len(payload) > LARGEST:
            return Outcome(Status.FAILED, error_code="too_large", error=f"{len(payload)} bytes; {LARGEST} may be sent")
        try:
            to = _subscriptions.decode(message.address)
            body = encrypted(payload, to)
        except (msgspec.DecodeError, ValueError) as error:
            return Outcome(Status.FAILED, "", "invalid_address", f"No subscription: {error}", address_is_dead=True)
        headers = {
            **self._headers,
            "authorization": self._authorization(to.endpoint),
            "topic": blake2b(message.id.encode(), digest_size=16).hexdigest(),  # a repetition replaces the first
            "content-type": "application/octet-stream",
        }
        try:
            response = await self._http.post(to.endpoint, content=body, headers=headers)
        except (outside.NotOutside, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            return Outcome(Status.FAILED, "", "invalid_address", str(error), address_is_dead=True)
        except httpx.TransportError as error:
            # The topic makes a repetition replace what is there already; seen and gone, it would come twice.
            cut = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
            status = Status.IN_DOUBT if cut else Status.RETRY
            return Outcome(status, error_code="connection_failed", error=repr(error), concerns=Concern.PROVIDER)
        return _outcome(response)

    def news(self, request: WebhookRequest) -> list[MessageNews]:
        """Push services call nobody."""
        raise NotFound("The webpush adapter has no webhook")

    def parts(self, content: Mapping[str, str]) -> int:
        """A push is a push."""
        return 1

    def _authorization(self, endpoint: str) -> str:
        """One signature for all messages to a push service, renewed in time."""
        parts = urlsplit(endpoint)
        origin = f"{parts.scheme}://{parts.netloc}"
        held = self._signed.get(origin)
        now = time.time()
        if held is None or held.until < now + 3_600:
            claims = {"aud": origin, "sub": self._contact, "exp": int(now) + TOKEN_SECONDS}
            held = self._signed[origin] = _Signed(self._vapid.sign(claims)["Authorization"], now + TOKEN_SECONDS)
            if len(self._signed) > 1_000:  # endpoints are named by browsers
                self._signed = {origin: held}
        return held.header


def encrypted(payload: bytes, to: Subscription) -> bytes:
    """The payload as only that browser reads it (RFC 8291). Raises ValueError for keys that are none."""
    key = ec.generate_private_key(ec.SECP256R1())
    return bytes(
        http_ece.encrypt(
            payload,
            private_key=key,
            dh=_decoded(to.keys.p256dh),
            auth_secret=_decoded(to.keys.auth),
            version="aes128gcm",
        )
    )


def public_key(private_key: str) -> str:
    """The key that a page hands to `pushManager.subscribe`, base64url."""
    point = Vapid02.from_string(private_key).public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return urlsafe_b64encode(point).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _outcome(response: httpx.Response) -> Outcome:
    code, said = str(response.status_code), response.text[:500]
    if response.is_success:
        return Outcome(Status.ACCEPTED, provider_id=response.headers.get("location", ""))
    if response.status_code in (404, 410):
        return Outcome(Status.FAILED, "", code, "The browser has unsubscribed", address_is_dead=True)
    wait = response.headers.get("retry-after", "")
    seconds = float(wait) if wait.isdigit() else 0.0
    concern = _CONCERNS.get(response.status_code, Concern.PROVIDER)
    if response.status_code in _CONCERNS or response.status_code >= 500:
        return Outcome(Status.RETRY, "", code, said, retry_after_seconds=seconds, concerns=concern)
    return Outcome(Status.FAILED, "", code, said)
