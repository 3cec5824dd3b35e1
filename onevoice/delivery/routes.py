"""What readers and providers call: the opening pixel, tracked links, unsubscribing (RFC 8058), status webhooks."""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from onevoice.channels.adapter import ChannelAdapter, InboundMessage, MessageNews, News, WebhookRequest
from onevoice.database import driver, inbox
from onevoice.database.inbox import Entry
from onevoice.delivery import consequences, doubts, inbound, undelivered, unsubscribe_page
from onevoice.delivery.consequences import About
from onevoice.delivery.machines import TRAPPED, Networks, machine
from onevoice.delivery.schemas import MessageEntry
from onevoice.delivery.settlement import entry
from onevoice.delivery.tokens import Tokens, Use
from onevoice.kernel.errors import NotFound, TooLarge, Unavailable
from onevoice.kernel.ids import fact_id
from onevoice.kernel.locales import negotiated
from onevoice.kernel.log import logger
from onevoice.kernel.settings import Settings

LARGEST_WEBHOOK = 1_000_000
"""Bytes a provider may post at once."""

PIXEL = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_UNCACHED = {"cache-control": "no-store, max-age=0", "referrer-policy": "no-referrer"}

log = logger("tracking")


class Appender(Protocol):
    """What takes entries into the inbox and returns when they are committed; the api's committer."""

    async def append(self, entries: Sequence[Entry]) -> None:
        """Raises Unavailable where they could not be written."""
        ...


def routes(
    committer: Appender, pool: Engine, settings: Settings, adapters: Mapping[str, ChannelAdapter]
) -> list[Route]:
    """The routes, to be mounted at the root of what `settings.base_url` names."""
    readers = _Readers(committer, pool, settings)
    providers = _Providers(committer, pool, settings, adapters)
    return [
        Route("/o/{token}", readers.opened, methods=["GET"]),
        Route("/c/{token}", readers.clicked, methods=["GET"]),
        Route("/h/{token}", readers.trapped, methods=["GET"]),
        Route("/u/{token}", readers.asked, methods=["GET"]),
        Route("/u/{token}", readers.unsubscribed, methods=["POST"]),
        Route("/webhooks/{channel}", providers.told, methods=["POST"]),
    ]


class _Readers:
    """The links in messages. None needs a login: the token is the proof, and it opens one message's affairs only."""

    def __init__(self, committer: Appender, pool: Engine, settings: Settings) -> None:
        self._committer, self._pool = committer, pool
        self._tokens, self._clock = Tokens(settings.secret()), settings.clock()
        self._machines = Networks(settings.machine_networks)

    async def opened(self, request: Request) -> Response:
        """The picture, always; the opening is noted where the token is ours."""
        number = self._tokens.read_message(request.path_params["token"], Use.OPEN)
        if number is not None:
            message = await run_in_threadpool(self._message, number)
            if message is not None:
                await self._note(request, message, News.OPENED, {})
        return Response(PIXEL, media_type="image/gif", headers=_UNCACHED)

    async def clicked(self, request: Request) -> Response:
        """On to the link's target, which comes from the database and never from the request."""
        found = self._tokens.read_click(request.path_params["token"])
        target = await run_in_threadpool(self._target, found[1]) if found else None
        if found is None or target is None:
            return self._gone(request)
        message = await run_in_threadpool(self._message, found[0])
        if message is not None:
            await self._note(request, message, News.CLICKED, {"link": target})
        return RedirectResponse(target, 302, headers=_UNCACHED)

    async def trapped(self, request: Request) -> Response:
        """Nothing to see; whoever comes here is a machine, and so is who followed the other links just now."""
        number = self._tokens.read_message(request.path_params["token"], Use.TRAP)
        message = await run_in_threadpool(self._message, number) if number is not None else None
        if message is not None:
            await self._note(request, message, TRAPPED, {})
        return Response(status_code=204, headers=_UNCACHED)

    async def asked(self, request: Request) -> Response:
        """The page that asks. It changes nothing: scanners open every link."""
        message = await self._of_unsubscribe(request)
        if message is None:
            return self._gone(request)
        page = unsubscribe_page.asking(message.locale, message.channel, message.address)
        return HTMLResponse(page, headers=_UNCACHED)

    async def unsubscribed(self, request: Request) -> Response:
        """Unsubscribes at once, whether a mail program's one click or the page's button asks; twice is once."""
        message = await self._of_unsubscribe(request)
        if message is None:
            return self._gone(request)
        one_click = b"List-Unsubscribe=One-Click" in await _body(request)
        agent = request.headers.get("user-agent", "")[:500]
        await run_in_threadpool(self._withdraw, message, "one_click" if one_click else "link", agent)
        page = unsubscribe_page.done(message.locale, message.channel, message.address)
        return HTMLResponse(page, headers=_UNCACHED)

    async def _of_unsubscribe(self, request: Request) -> About | None:
        number = self._tokens.read_message(request.path_params["token"], Use.UNSUBSCRIBE)
        return None if number is None else await run_in_threadpool(self._message, number)

    def _gone(self, request: Request) -> Response:
        page = unsubscribe_page.gone(negotiated(request.headers.get("accept-language")))
        return HTMLResponse(page, 404, headers=_UNCACHED)

    async def _note(self, request: Request, message: About, news: str, detail: dict[str, Any]) -> None:
        """Writes the news down; a reader must get the picture or the page even where that fails."""
        now = self._clock.now()
        agent = request.headers.get("user-agent", "")[:500]
        mailed_at = message.attempted_at if message.channel == "email" else None
        since_sent = now - mailed_at if mailed_at else None
        if news == TRAPPED:
            reason = TRAPPED
        elif self._machines.hold(request.client.host if request.client else ""):
            reason = "network"
        else:
            reason = machine(request.method, request.headers, since_sent, is_page=news == News.CLICKED)
        told = MessageEntry(
            message_id=str(message.id),
            event_id=fact_id(news, message.id, now.isoformat(), agent, detail.get("link", "")).hex,
            news=news,
            occurred_at=now,
            machine=bool(reason),
            detail={**detail, "user_agent": agent, **({"machine": reason} if reason else {})},
        )
        try:
            await self._committer.append([entry(told, now)])
        except Unavailable as error:
            log.warning("reaction lost", news=news, message=str(message.id), error=error.message)

    def _withdraw(self, message: About, origin: str, agent: str) -> None:
        now = self._clock.now()
        with self._pool.begin() as connection:
            with driver(connection) as raw:  # two clicks at once are still one
                raw.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (str(message.id),))
            shown = "" if origin == "one_click" else unsubscribe_page.text(message.locale, message.channel)
            evidence = {"message": str(message.id), "user_agent": agent}
            consequences.withdraw(connection, message, origin, evidence, now, shown)

    def _message(self, number: int) -> About | None:
        with self._pool.connect() as connection:
            return About.numbered(connection, number)

    def _target(self, link_id: int) -> str | None:
        with self._pool.connect() as connection, driver(connection) as raw:
            row = raw.execute("SELECT url FROM link WHERE id = %s", (link_id,)).fetchone()
        return str(row[0]) if row else None


class _Providers:
    """Status webhooks: the adapter checks the signature and reads, here is written."""

    def __init__(
        self, committer: Appender, pool: Engine, settings: Settings, adapters: Mapping[str, ChannelAdapter]
    ) -> None:
        self._committer, self._pool, self._adapters = committer, pool, adapters
        self._base_url, self._clock, self._secret = settings.base_url, settings.clock(), settings.secret()
        self._doubts = doubts.Watch(pool)

    async def told(self, request: Request) -> Response:
        """Takes news in; the provider gets its 204 once they are committed."""
        channel = request.path_params["channel"]
        adapter = self._adapters.get(channel)
        if adapter is None:
            raise NotFound(f"There is no channel {channel!r}")
        now = self._clock.now()
        query = f"?{request.url.query}" if request.url.query else ""
        told = adapter.news(
            WebhookRequest(
                method=request.method,
                url=f"{self._base_url}{request.url.path}{query}",
                headers=request.headers,
                body=await _body(request),
                received_at=now,
            )
        )
        news = [one for one in told if isinstance(one, MessageNews)]
        written = [one for one in told if isinstance(one, InboundMessage)]
        if written or any(consequences.consequential(one) for one in news):
            await run_in_threadpool(self._act, channel, news, written, now)
        elif news:
            await self._committer.append([_told(channel, one, now) for one in news])
        if news:  # last, because what surely did not arrive is no longer in doubt, but goes out again
            await run_in_threadpool(self._doubts.heard, news, now)
        return Response(status_code=204)

    def _act(
        self, provider: str, news: Sequence[MessageNews], written: Sequence[InboundMessage], now: datetime
    ) -> None:
        """Writes what people wrote, and news from which more follows, with that."""
        for message in written:  # each in a transaction of its own: see door.enter
            with self._pool.begin() as connection:
                inbound.take(connection, self._secret, message, now)
        with self._pool.begin() as connection:
            told = undelivered.acted_upon(connection, provider, news, now)
            inbox.append(connection, [_told(provider, one, now) for one in told])
            consequences.act(connection, self._secret, told, now, "webhook")


def _told(channel: str, news: MessageNews, now: datetime) -> Entry:
    return entry(
        MessageEntry(
            message_id=news.message_id,
            event_id=fact_id("webhook", channel, news.provider_event_id, news.news).hex,
            news=news.news,
            occurred_at=news.occurred_at,
            error_code=news.error_code,
            detail=dict(news.raw),
        ),
        now,
    )


async def _body(request: Request) -> bytes:
    """The body, if it is not too large."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_WEBHOOK:
            raise TooLarge(f"The body is over {LARGEST_WEBHOOK:,} bytes")
    return body


def _operation(summary: str, answer: str, status: str = "200") -> dict[str, Any]:
    refused = {"4XX": {"description": "The link is not ours, or cannot be read"}}
    return {"summary": summary, "tags": ["delivery"], "responses": {status: {"description": answer}, **refused}}


def _path(name: str, operations: dict[str, Any]) -> dict[str, Any]:
    parameter = {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    return {"parameters": [parameter], **operations}


OPENAPI_PATHS: dict[str, Any] = {
    "/o/{token}": _path("token", {"get": _operation("Note that an e-mail was opened", "A picture of one pixel")}),
    "/c/{token}": _path("token", {"get": _operation("Follow a tracked link", "On to the link's target", "302")}),
    "/h/{token}": _path("token", {"get": _operation("A link no reader sees: it tells machines", "Nothing", "204")}),
    "/u/{token}": _path(
        "token",
        {
            "get": _operation("Ask whether to unsubscribe; changes nothing", "A page"),
            "post": _operation("Unsubscribe (RFC 8058); twice is once", "A page"),
        },
    ),
    "/preferences/{token}": _path(
        "token",
        {
            "get": _operation("The customer's preferences, as switches", "A page"),
            "post": _operation("Keep what the customer chose, each change with the very text", "On to the page", "303"),
        },
    ),
    "/consent/{token}": _path(
        "token",
        {
            "get": _operation("Ask to confirm a consent (double opt-in); changes nothing", "A page"),
            "post": _operation("Confirm it; twice is once", "A page"),
        },
    ),
    "/webhooks/{channel}": _path(
        "channel", {"post": _operation("Take a provider's news, signed as its adapter wants", "Committed", "204")}
    ),
}
"""The routes' part of the OpenAPI document."""
