"""What readers and providers call: tracking links, the picture that tells of an opening, unsubscribing, webhooks.

A token leads to the message it was made for and nowhere else. Looking at the unsubscribe page changes nothing, because
scanners look at every link; only a POST does (RFC 8058), and it may come twice.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec
from sqlalchemy import Engine, select
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from onevoice.channels.adapter import ChannelAdapter, MessageNews, WebhookRequest
from onevoice.customers import consent, suppression
from onevoice.customers.consent import Consent
from onevoice.customers.suppression import Suppressed
from onevoice.database import inbox
from onevoice.database.inbox import INTERNAL_SOURCE, Entry, Kind
from onevoice.delivery.models import link, message
from onevoice.delivery.page import unsubscribe_page
from onevoice.delivery.schemas import MessageEntry
from onevoice.delivery.tokens import Tokens, Use
from onevoice.kernel.errors import NotFound, OneVoiceError, TooLarge
from onevoice.kernel.ids import fact_id
from onevoice.kernel.locales import language
from onevoice.kernel.settings import Settings

PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
NO_STORE = {"cache-control": "no-store, max-age=0", "referrer-policy": "no-referrer"}

MAX_WEBHOOK = 1024 * 1024
"""Bytes of a webhook's body."""

MACHINES = re.compile(
    r"^$|^Mozilla/5\.0$|bot\b|crawl|spider|preview|scan|proofpoint|barracuda|mimecast|curl/|wget/|python-requests|headless",
    re.IGNORECASE,
)
"""User agents of mail proxies that fetch every picture (Apple's says just `Mozilla/5.0`) and of link scanners."""


class Appender(Protocol):
    """The committer (onevoice.events.committer), as far as it is needed here."""

    async def append(self, entries: Sequence[Entry]) -> None:
        """Returns when the entries are committed."""
        ...


@dataclass(frozen=True)
class _Addressed:
    """The message behind a token."""

    id: str
    identifier_id: int
    channel: str
    topic: str
    locale: str


def routes(
    committer: Appender, pool: Engine, settings: Settings, adapters: Mapping[str, ChannelAdapter]
) -> list[Route]:
    """Routes /o, /c and /u for readers, /webhooks/{channel} for providers."""
    tracking = _Tracking(committer, pool, settings)
    webhooks = _Webhooks(pool, settings, adapters)
    return [
        Route("/o/{token}", tracking.opened, methods=["GET", "HEAD"]),
        Route("/c/{token}", tracking.clicked, methods=["GET", "HEAD"]),
        Route("/u/{token}", tracking.unsubscribing, methods=["GET", "HEAD"]),
        Route("/u/{token}", tracking.unsubscribed, methods=["POST"]),
        Route("/webhooks/{channel}", webhooks.received, methods=["POST"]),
    ]


class _Tracking:
    """Readers' requests."""

    def __init__(self, committer: Appender, pool: Engine, settings: Settings) -> None:
        self._committer, self._pool = committer, pool
        self._secret, self._clock = settings.secret(), settings.clock()
        self._tokens = Tokens(self._secret)

    async def opened(self, request: Request) -> Response:
        """The picture; tells of an opening. A token that is not ours gets the picture too, and nothing is told."""
        number = self._tokens.read_message(request.path_params["token"], Use.OPEN)
        found = await run_in_threadpool(self._message, number) if number is not None else None
        if found is not None:
            await self._tell(request, found, "opened", {})
        return Response(PIXEL, media_type="image/gif", headers=NO_STORE)

    async def clicked(self, request: Request) -> Response:
        """Leads to the link's target, once the click is told. Raises NotFound for a token that is not ours."""
        read = self._tokens.read_click(request.path_params["token"])
        found = await run_in_threadpool(self._message, read[0]) if read else None
        target = await run_in_threadpool(self._target, read[1]) if read else None
        if found is None or target is None:
            return _plain(NotFound("This link is not known here"))
        await self._tell(request, found, "clicked", {"link": target})
        return RedirectResponse(target, 302, NO_STORE)

    async def unsubscribing(self, request: Request) -> Response:
        """The page that asks; changes nothing."""
        found = await self._reader(request)
        if found is None:
            return _plain(NotFound("This link is not known here"))
        return HTMLResponse(unsubscribe_page(language(found.locale), done=False), headers=NO_STORE)

    async def unsubscribed(self, request: Request) -> Response:
        """Unsubscribes: by the mail program's button (RFC 8058) or the page's. No redirect, and twice is once."""
        found = await self._reader(request)
        if found is None:
            return _plain(NotFound("This link is not known here"))
        body = await _bounded(request)
        origin = "one_click" if b"List-Unsubscribe=One-Click" in body else "link"
        await run_in_threadpool(self._withdraw, request, found, origin)
        return HTMLResponse(unsubscribe_page(language(found.locale), done=True), headers=NO_STORE)

    async def _reader(self, request: Request) -> _Addressed | None:
        number = self._tokens.read_message(request.path_params["token"], Use.UNSUBSCRIBE)
        return await run_in_threadpool(self._message, number) if number is not None else None

    async def _tell(self, request: Request, found: _Addressed, news: str, detail: dict[str, Any]) -> None:
        now = self._clock.now()
        agent = request.headers.get("user-agent", "")[:500]
        told = MessageEntry(
            message_id=found.id,
            event_id=fact_id(news, found.id, now.isoformat(), detail.get("link", ""), agent).hex,
            news=news,
            occurred_at=now,
            machine=request.method == "HEAD" or bool(MACHINES.search(agent)),
            detail={**detail, "user_agent": agent},
        )
        await self._committer.append([_entry(told, now)])

    def _withdraw(self, request: Request, found: _Addressed, origin: str) -> None:
        now = self._clock.now()
        word = Consent(
            identifier_id=found.identifier_id,
            channel=found.channel,
            topic=found.topic,
            state="withdrawn",
            occurred_at=now,
            origin=origin,
            evidence={"message_id": found.id, "user_agent": request.headers.get("user-agent", "")[:500]},
        )
        told = MessageEntry(
            message_id=found.id,
            event_id=fact_id("unsubscribed", found.id).hex,
            news="unsubscribed",
            occurred_at=now,
            detail={"origin": origin},
        )
        with self._pool.begin() as connection:
            consent.record(connection, [word], now)
            inbox.append(connection, [_entry(told, now)])

    def _message(self, number: int) -> _Addressed | None:
        columns = (message.c.id, message.c.identifier_id, message.c.channel, message.c.topic, message.c.locale)
        with self._pool.connect() as connection:
            row = connection.execute(select(*columns).where(message.c.number == number)).one_or_none()
        return _Addressed(str(row.id), row.identifier_id, row.channel, row.topic, row.locale) if row else None

    def _target(self, link_id: int) -> str | None:
        with self._pool.connect() as connection:
            return connection.scalar(select(link.c.url).where(link.c.id == link_id))


class _Webhooks:
    """Providers' requests."""

    def __init__(self, pool: Engine, settings: Settings, adapters: Mapping[str, ChannelAdapter]) -> None:
        self._pool, self._adapters = pool, adapters
        self._secret, self._clock = settings.secret(), settings.clock()
        self._base_url = settings.base_url

    async def received(self, request: Request) -> Response:
        """Takes news in; answers when it is committed."""
        adapter = self._adapters.get(request.path_params["channel"])
        if adapter is None:
            return _plain(NotFound("There is no such channel here"))
        query = f"?{request.url.query}" if request.url.query else ""
        try:
            told = adapter.news(
                WebhookRequest(
                    method=request.method,
                    url=f"{self._base_url}{request.url.path}{query}",
                    headers={name.lower(): value for name, value in request.headers.items()},
                    body=await _bounded(request),
                    received_at=self._clock.now(),
                )
            )
        except OneVoiceError as error:
            return _plain(error)
        if told:
            await run_in_threadpool(self._take, told)
        return Response(status_code=204)

    def _take(self, told: Sequence[MessageNews]) -> None:
        now = self._clock.now()
        entries = [
            _entry(
                MessageEntry(
                    message_id=one.message_id,
                    event_id=one.provider_event_id,
                    news=one.news.value,
                    occurred_at=one.occurred_at,
                    error_code=one.error_code,
                    detail=dict(one.raw),
                ),
                now,
            )
            for one in told
        ]
        dead = {one.message_id: one for one in told if one.address_is_dead}
        with self._pool.begin() as connection:
            inbox.append(connection, entries)
            if dead:
                columns = (message.c.id, message.c.channel, message.c.address)
                rows = connection.execute(select(*columns).where(message.c.id.in_(list(dead)))).all()
                gone = [_gone(row.channel, row.address, dead[str(row.id)].occurred_at) for row in rows]
                suppression.suppress(connection, self._secret, gone, now)


def _gone(channel: str, address: str, at: datetime) -> Suppressed:
    return Suppressed(channel, address, "bounced", at)


def _entry(told: MessageEntry, now: datetime) -> Entry:
    return Entry(INTERNAL_SOURCE, Kind.MESSAGE, now, msgspec.json.encode(told))


async def _bounded(request: Request) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > MAX_WEBHOOK:
            raise TooLarge("The request is larger than 1 MB")
        pieces.append(piece)
    return b"".join(pieces)


def _plain(error: OneVoiceError) -> Response:
    body = msgspec.json.encode({"code": error.code, "message": error.message})
    return Response(body, error.status, NO_STORE, "application/json")
