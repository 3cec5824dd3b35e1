"""SMS by Twilio's Messages API (https://www.twilio.com/docs/messaging/api/message-resource).

The API takes no key that makes a repetition harmless, so a call that is cut off leaves the message in doubt. Status
callbacks are matched to messages by a parameter in their URL, which the signature covers. What people answer comes to
the same webhook (`/webhooks/sms`, set as the number's or the Messaging Service's in Twilio's console).
"""

import hmac
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from hashlib import sha1
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

import httpx
import smsutil

from onevoice.channels.adapter import (
    Concern,
    Doubtful,
    Failure,
    InboundMessage,
    MessageNews,
    News,
    OutboundMessage,
    Outcome,
    Status,
    Told,
    WebhookRequest,
)
from onevoice.kernel.errors import InvalidInput, Unauthorized
from onevoice.kernel.ids import fact_id

OPTED_OUT = 21610
DEAD_ADDRESS = frozenset((OPTED_OUT, 21211, 21614, 21635, 30005, 30006))
"""Opted out, not a number, not a mobile, landline, unknown, unreachable: never again (Twilio's error dictionary)."""

PACE = frozenset((20429, 21611, 30001))
"""Too many requests, and two ways to say that the sender's queue is full."""

NOT_OURS = frozenset((10001, 20003, 21212, 21603, 21606, 21659, 21660, 21661, 21703, 30002, 30034))
"""The account is not active, suspended or unknown, or the sender is none of its numbers, or not registered."""

FAILURES: Mapping[int, Failure] = {
    30001: Failure.LATER,  # the queue was full
    30003: Failure.LATER,  # the handset was off or out of reach
    30022: Failure.LATER,  # the carrier's rate
    30023: Failure.LATER,  # the carrier's messages of a day
    30027: Failure.LATER,
    30007: Failure.CONTENT,  # filtered as spam
    **dict.fromkeys(NOT_OURS, Failure.ACCOUNT),
}
"""What a callback's error code says about another try; every other one is final (Twilio's error dictionary)."""

LISTED_AFTER = timedelta(minutes=10)
"""A message that Twilio does not list after so long never reached it."""

LOOKED_AT = 50  # of the newest messages to a number

_NEWS = {"delivered": News.DELIVERED, "undelivered": News.FAILED, "failed": News.FAILED, "read": News.OPENED}
"""Statuses that tell more than that Twilio has the message; the others are of no interest."""


class TwilioAdapter:
    """The adapter `twilio`."""

    channel = "sms"
    tells_delivery = True

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        sender: str,
        base_url: str = "https://api.twilio.com",
        status_callback: str = "",
        timeout_seconds: float = 15.0,
        price: str = "0",
    ) -> None:
        self.price = Decimal(str(price))
        self._token = auth_token
        self._auth = httpx.BasicAuth(account_sid, auth_token)
        self._url = f"{base_url.rstrip('/')}/2010-04-01/Accounts/{account_sid}/Messages.json"
        self._sender = {"MessagingServiceSid" if sender.startswith("MG") else "From": sender}
        self._callback = status_callback
        self._timeout_seconds = float(timeout_seconds)
        self._http: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Makes the HTTP client."""
        self._http = httpx.AsyncClient(auth=self._auth, timeout=self._timeout_seconds)

    async def close(self) -> None:
        """Closes it."""
        if self._http is not None:
            await self._http.aclose()

    async def send(self, message: OutboundMessage) -> Outcome:
        """Tries once."""
        assert self._http is not None, "open() comes first"
        form = {"To": message.address, "Body": message.content["text"], **self._sender}
        if self._callback:
            form["StatusCallback"] = f"{self._callback}?{urlencode({'message': message.id})}"
        try:
            response = await self._http.post(self._url, data=form)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Outcome(Status.RETRY, error_code="connection_failed", error=repr(error), concerns=Concern.PROVIDER)
        except httpx.TransportError as error:
            return Outcome(Status.IN_DOUBT, error_code="connection_cut", error=repr(error))
        return _outcome(response)

    async def reconcile(self, doubtful: Sequence[Doubtful]) -> list[Outcome]:
        """Looks each message up among those to its number: the same text, not older than the attempt."""
        return [await self._look_up(one) for one in doubtful]

    async def _look_up(self, doubtful: Doubtful) -> Outcome:
        assert self._http is not None, "open() comes first"
        unknown = Outcome(Status.IN_DOUBT, error_code="not_found_yet")
        query = {"To": doubtful.message.address, "PageSize": str(LOOKED_AT)}
        try:
            response = await self._http.get(self._url, params=query)
        except httpx.TransportError:
            return unknown
        if response.status_code != 200:
            return unknown
        body = _json(response)
        # Twilio's clock has whole seconds, and is not ours.
        since = doubtful.attempted_at - timedelta(seconds=5)
        listed = [(one, _created_at(one)) for one in body.get("messages", [])]
        for one, created_at in listed:
            if one.get("body") == doubtful.message.content["text"] and created_at >= since:
                if one.get("status") in ("failed", "undelivered", "canceled"):
                    code = str(one.get("error_code") or one["status"])
                    return Outcome(Status.FAILED, str(one.get("sid", "")), code, str(one.get("error_message") or ""))
                return Outcome(Status.ACCEPTED, provider_id=str(one.get("sid", "")))
        all_seen = not body.get("next_page_uri") or any(created_at < since for _, created_at in listed)
        late = doubtful.asked_at - doubtful.attempted_at > LISTED_AFTER
        return Outcome(Status.RETRY) if all_seen and late else unknown

    def news(self, request: WebhookRequest) -> list[Told]:
        """A status or an answer. Raises Unauthorized for a wrong signature, InvalidInput for a strange body."""
        form = parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
        given = request.headers.get("x-twilio-signature", "")
        made = [signature(self._token, url, form) for url in _spellings(request.url)]
        if not any(hmac.compare_digest(given.encode(), one.encode()) for one in made):
            raise Unauthorized("X-Twilio-Signature does not fit this request")
        values = dict(form)
        if values.get("SmsStatus") == "received" and "From" in values:
            return [_inbound(values, request.received_at)]
        status = values.get("MessageStatus", "")
        if status not in _NEWS:
            return []
        message_id = dict(parse_qsl(urlsplit(request.url).query)).get("message", "")
        try:
            UUID(message_id)
        except ValueError as error:
            raise InvalidInput("The callback's URL has no parameter `message` with a message's id") from error
        code = values.get("ErrorCode", "")
        return [
            MessageNews(
                message_id=message_id,
                news=_NEWS[status],
                occurred_at=request.received_at,  # a callback does not say when
                provider_event_id=fact_id("twilio", values.get("MessageSid", ""), status).hex,
                error_code=code,
                address_is_dead=code.isdigit() and int(code) in DEAD_ADDRESS,
                failure=FAILURES.get(int(code), Failure.FINAL) if code.isdigit() else Failure.FINAL,
                provider_id=values.get("MessageSid", ""),
                raw=values,
            )
        ]

    def parts(self, content: Mapping[str, str]) -> int:
        """The SMS the text is split into; each is charged."""
        return len(smsutil.split(content["text"]).parts)


def signature(token: str, url: str, form: Iterable[tuple[str, str]]) -> str:
    """Twilio's signature: HMAC-SHA1 over the URL and the parameters in order of their names.

    https://www.twilio.com/docs/usage/security#validating-requests
    """
    signed = url + "".join(name + value for name, value in sorted(set(form)))
    return b64encode(hmac.new(token.encode(), signed.encode(), sha1).digest()).decode()


def _inbound(values: Mapping[str, str], received_at: datetime) -> InboundMessage:
    """https://www.twilio.com/docs/messaging/guides/webhook-request"""
    return InboundMessage(
        channel="sms",
        sender=values["From"],
        text=values.get("Body", ""),
        occurred_at=received_at,  # Twilio does not say when
        provider_event_id=values.get("MessageSid", ""),
        is_confirmed="OptOutType" in values,  # Advanced Opt-Out: Twilio has answered, and blocks what we would
        raw=values,
    )


def _spellings(url: str) -> tuple[str, ...]:
    """The URL with and without its port: Twilio signs either."""
    parts = urlsplit(url)
    if parts.port is not None:
        return url, parts._replace(netloc=parts.hostname or "").geturl()
    return url, parts._replace(netloc=f"{parts.netloc}:{443 if parts.scheme == 'https' else 80}").geturl()


def _outcome(response: httpx.Response) -> Outcome:
    body = _json(response)
    if response.status_code in (200, 201):
        return Outcome(Status.ACCEPTED, provider_id=str(body.get("sid", "")))
    code = body.get("code")
    said, why = str(code or response.status_code), str(body.get("message", ""))[:500]
    if response.status_code == 429 or code in PACE:
        wait = response.headers.get("retry-after", "")
        seconds = float(wait) if wait.isdigit() else 1.0
        return Outcome(Status.RETRY, "", said, why, retry_after_seconds=seconds, concerns=Concern.PACE)
    if (response.status_code in (401, 403) and code not in DEAD_ADDRESS) or code in NOT_OURS:
        return Outcome(Status.RETRY, "", said, why, concerns=Concern.ACCOUNT)
    if response.status_code >= 500:
        return Outcome(Status.IN_DOUBT, "", said, why)  # it does not say how far it came
    return Outcome(Status.FAILED, "", said, why, address_is_dead=code in DEAD_ADDRESS)


def _created_at(listed: Mapping[str, Any]) -> datetime:
    """When Twilio made the message; what it says badly is taken for new."""
    try:
        return parsedate_to_datetime(str(listed.get("date_created")))
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
