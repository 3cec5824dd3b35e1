"""A double of two providers: Twilio's Messages API for SMS, and a push gateway of our protocol. They send nothing.

It checks each request as the provider would, keeps what it took, and posts signed status webhooks back: some late by
hours of the clock it is given, some twice, some in the wrong order. What it does about a message depends on the seed
and the message alone.
"""

import asyncio
import hmac
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from random import Random
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID

import httpx
import msgspec
import smsutil
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from onevoice.channels.push_gateway import SIGNATURE, GatewayEvent, signed
from onevoice.channels.twilio import signature
from onevoice.kernel.clock import Clock, SystemClock
from onevoice.kernel.ids import fact_id

ACCOUNT, TOKEN = "AC" + "0" * 32, "double-auth-token"
KEY, WEBHOOK_SECRET = "double-push-key", "double-webhook-secret"

E164 = re.compile(r"\+[1-9]\d{6,14}")
LONGEST_SMS = 1600  # characters, Twilio's limit
POSTS_AT_ONCE = 8
ATTEMPTS = 20


@dataclass(frozen=True)
class Manners:
    """How the double treats messages, as probabilities."""

    fails: float = 0.01  # never delivered
    late: float = 0.05  # the news comes hours later
    twice: float = 0.10
    disordered: float = 0.10  # `sent` after `delivered`
    lateness: timedelta = timedelta(hours=5)


@dataclass(frozen=True)
class Taken:
    """A message the double took."""

    id: str  # our message's id, as far as the request tells it
    channel: str
    address: str
    content: dict[str, str]
    provider_id: str
    taken_at: datetime = datetime.min


@dataclass(order=True)
class _Post:
    due_at: datetime
    url: str
    body: bytes = field(compare=False)
    channel: str = field(compare=False)


class Providers:
    """The double's state and its HTTP application. `received` counts messages taken by our id; one that found no
    handset and is rightly sent once more counts once."""

    def __init__(
        self, *, push_webhook: str = "", clock: Clock | None = None, seed: int = 1, manners: Manners = Manners()
    ) -> None:
        self.push_webhook, self.clock, self.seed, self.manners = push_webhook, clock or SystemClock(), seed, manners
        self.taken: list[Taken] = []
        self.received: Counter[str] = Counter()
        self.refused_webhooks = 0  # posts that were answered with something else than 2xx, each attempt counted
        self.app = Starlette(
            routes=[
                Route("/2010-04-01/Accounts/{account}/Messages.json", self._sms, methods=["POST"]),
                Route("/2010-04-01/Accounts/{account}/Messages.json", self._sms_listed, methods=["GET"]),
                Route("/messages", self._push, methods=["POST"]),
                Route("/taken", self._list),
            ]
        )
        self._waiting: list[_Post] = []
        self._posting = 0
        self._pushed: dict[str, str] = {}
        self._unreached: set[str] = set()  # whose last try found no handset

    # -- what providers answer

    async def _sms(self, request: Request) -> Response:
        if not _authorised(request):
            return JSONResponse({"code": 20003, "message": "Authenticate"}, 401)
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        to, text, callback = form.get("To", ""), form.get("Body", ""), form.get("StatusCallback", "")
        for wrong, code, message in (
            (not E164.fullmatch(to), 21211, f"The 'To' number {to} is not a valid phone number."),
            (not (form.get("From") or form.get("MessagingServiceSid")), 21603, "A 'From' phone number is required."),
            (not text, 21602, "Message body is required."),
            (len(text) > LONGEST_SMS, 21617, "The concatenated message body exceeds the 1600 character limit."),
        ):
            if wrong:
                return JSONResponse({"code": code, "message": message, "status": 400}, 400)
        ours = parse_qs(urlsplit(callback).query).get("message", [""])[0]
        sid = "SM" + fact_id("sms", ours, to, len(self.taken)).hex
        self._take(Taken(ours, "sms", to, {"text": text}, sid, self.clock.now()))
        if callback and self._plan_sms(callback, sid, to) == "undelivered":
            self._unreached.add(ours)
        parts = len(smsutil.split(text).parts)
        return JSONResponse({"sid": sid, "status": "queued", "to": to, "num_segments": str(parts)}, 201)

    async def _sms_listed(self, request: Request) -> Response:
        """The newest messages to a number first, as Twilio lists them."""
        if not _authorised(request):
            return JSONResponse({"code": 20003, "message": "Authenticate"}, 401)
        to, most = request.query_params.get("To"), int(request.query_params.get("PageSize", 50))
        found = [one for one in reversed(self.taken) if one.channel == "sms" and to in (None, one.address)]
        listed = [
            {
                "sid": one.provider_id,
                "to": one.address,
                "body": one.content["text"],
                "status": "sent",
                "date_created": format_datetime(one.taken_at),
            }
            for one in found[:most]
        ]
        more = f"{request.url.path}?Page=1" if len(found) > most else None
        return JSONResponse({"messages": listed, "next_page_uri": more})

    async def _push(self, request: Request) -> Response:
        if not hmac.compare_digest(request.headers.get("authorization", ""), f"Bearer {KEY}"):
            return JSONResponse({"message": "unknown key"}, 401)
        message = msgspec.json.decode(await request.body())
        missing = [name for name in ("id", "token", "title", "body") if not message.get(name)]
        if missing:
            return JSONResponse({"message": f"missing: {', '.join(missing)}"}, 400)
        known = self._pushed.get(message["id"])
        if known is None:
            known = self._pushed[message["id"]] = fact_id("push", message["id"]).hex
            content = {name: message.get(name, "") for name in ("title", "body", "link")}
            self._take(Taken(message["id"], "push", message["token"], content, known))
            self._plan_push(message["id"])
        return JSONResponse({"id": known}, 202)

    async def _list(self, _request: Request) -> Response:
        return Response(msgspec.json.encode(self.taken), media_type="application/json")

    def _take(self, taken: Taken) -> None:
        self.taken.append(taken)
        if taken.id in self._unreached:
            self._unreached.discard(taken.id)
        else:
            self.received[taken.id or taken.provider_id] += 1

    # -- what they tell later

    def tell_opened(self, message_id: str) -> None:
        """Lets the gateway report that a push message was opened."""
        self._plan_event(GatewayEvent(UUID(message_id), "opened", self.clock.now(), fact_id("opened", message_id).hex))

    def _plan_sms(self, callback: str, sid: str, to: str) -> str:
        random = Random(f"{self.seed}:{to}:{callback}")  # noqa: S311 - data, not secrets
        last = "undelivered" if random.random() < self.manners.fails else "delivered"
        for status in self._sequence(random, "sent", last):
            form = {"MessageSid": sid, "MessageStatus": status[0], "To": to, "AccountSid": ACCOUNT}
            if status[0] == "undelivered":
                form["ErrorCode"] = "30003"
            self._waiting.append(_Post(status[1], callback, urlencode(form).encode(), "sms"))
        return last

    def _plan_push(self, message_id: str) -> None:
        random = Random(f"{self.seed}:{message_id}")  # noqa: S311
        last = "failed" if random.random() < self.manners.fails else "delivered"
        occurred_at = self.clock.now()
        for event, due_at in self._sequence(random, last):
            code = "rejected" if event == "failed" else ""
            told = GatewayEvent(UUID(message_id), event, occurred_at, fact_id("gateway", message_id, event).hex, code)
            self._plan_event(told, due_at)

    def _plan_event(self, event: GatewayEvent, due_at: datetime | None = None) -> None:
        if self.push_webhook:
            body = msgspec.json.encode([event])
            self._waiting.append(_Post(due_at or event.occurred_at, self.push_webhook, body, "push"))

    def _sequence(self, random: Random, *words: str) -> list[tuple[str, datetime]]:
        """The words in the order in which they are told, each with when."""
        told = list(words)
        if random.random() < self.manners.disordered:
            told.reverse()
        if random.random() < self.manners.twice:
            told.append(told[-1])
        late = self.manners.lateness if random.random() < self.manners.late else timedelta()
        return [(word, self.clock.now() + late * (position + 1)) for position, word in enumerate(told)]

    # -- telling it

    def pending(self, *, all_of_them: bool = False) -> int:
        """Webhooks that are due and not posted yet; or all that are still to come."""
        now = self.clock.now()
        return self._posting + sum(all_of_them or post.due_at <= now for post in self._waiting)

    async def post_webhooks(self) -> None:
        """Posts what is due, for ever."""
        async with httpx.AsyncClient(timeout=10.0) as http:
            gate = asyncio.Semaphore(POSTS_AT_ONCE)
            async with asyncio.TaskGroup() as group:
                while True:
                    now = self.clock.now()
                    due = sorted(post for post in self._waiting if post.due_at <= now)
                    self._posting += len(due)
                    self._waiting = [post for post in self._waiting if post.due_at > now]
                    for post in due:
                        group.create_task(self._post(http, gate, post))
                    await asyncio.sleep(0.02)

    async def _post(self, http: httpx.AsyncClient, gate: asyncio.Semaphore, post: _Post) -> None:
        """Posts one webhook, again until it is taken, as providers do."""
        try:
            async with gate:
                for attempt in range(ATTEMPTS):
                    if await self._posted(http, post):
                        return
                    self.refused_webhooks += 1
                    await asyncio.sleep(min(0.05 * 2**attempt, 1.0))
        finally:
            self._posting -= 1

    async def _posted(self, http: httpx.AsyncClient, post: _Post) -> bool:
        if post.channel == "sms":
            form = [(name, values[0]) for name, values in parse_qs(post.body.decode(), keep_blank_values=True).items()]
            headers = {
                "x-twilio-signature": signature(TOKEN, post.url, form),
                "content-type": "application/x-www-form-urlencoded",
            }
        else:
            headers = {
                SIGNATURE: signed(WEBHOOK_SECRET, post.body, self.clock.now()),
                "content-type": "application/json",
            }
        try:
            response = await http.post(post.url, content=post.body, headers=headers)
        except httpx.TransportError:
            return False
        return response.is_success


def _authorised(request: Request) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    expected = f"{ACCOUNT}:{TOKEN}".encode()
    try:
        proof = b64decode(given, validate=True)
    except ValueError:
        return False
    return (
        scheme.lower() == "basic" and hmac.compare_digest(proof, expected) and request.path_params["account"] == ACCOUNT
    )


def by_channel(taken: Sequence[Taken], channel: str) -> list[Taken]:
    """Those of one channel, in the order in which they came."""
    return [one for one in taken if one.channel == channel]
