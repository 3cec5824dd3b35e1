"""The tracking API over HTTP, as plain ASGI: what every event pays for is kept short. `openapi.py` describes it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from onevoice.events import tracking
from onevoice.events.committer import Committer
from onevoice.events.cors import cors, preflight
from onevoice.events.plans import Plans
from onevoice.events.sources import Sources
from onevoice.events.vocabulary import CALL_TYPES
from onevoice.events.write_keys import basic, in_query, source_of
from onevoice.kernel.clock import Clock
from onevoice.kernel.errors import InvalidInput, OneVoiceError

PATHS: dict[str, str | None] = {
    **{f"/v1/{name}": name for name in CALL_TYPES},
    **{f"/v1/{name[0]}": name for name in CALL_TYPES},
    "/v1/merge": "merge",
    "/v1/batch": None,
    "/v1/b": None,
    "/v1/import": None,
    "/beacon/v1/batch": None,
}
"""Where clients post, with the type of call a path implies; None: a batch, whose calls say theirs.

Letters are analytics.js' (`/v1/t`), `merge`, `import` and the beacon RudderStack's.
"""

MAX_RAW = 4 * 1024 * 1024
"""Bytes read from a socket before the request is refused, packed or not."""


class Tracking:
    """One way in: reads a body, asks whose key it is, takes the calls, and answers once they are committed."""

    __slots__ = ("call_type", "clock", "committer", "plans", "sources")

    def __init__(
        self, call_type: str | None, committer: Committer, sources: Sources, clock: Clock, plans: Plans
    ) -> None:
        self.call_type, self.committer, self.sources = call_type, committer, sources
        self.clock, self.plans = clock, plans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        if scope["method"] == "POST":
            status, answer, more = await self._taken(headers, scope["query_string"], receive)
            if status:
                await _answered(send, status, answer, cors(origin) | more)
        elif scope["method"] == "OPTIONS":
            asked = headers.get(b"access-control-request-headers", b"").decode("latin-1")
            await _answered(send, 204, b"", preflight(origin, "POST, OPTIONS", asked))
        else:
            told = msgspec.json.encode({"code": "method_not_allowed", "message": "Use POST; see /docs"})
            await _answered(send, 405, told, cors(origin) | {"allow": "POST, OPTIONS"})

    async def _taken(
        self, headers: Mapping[bytes, bytes], query: bytes, receive: Receive
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and further headers of the answer; status 0 where nobody hears it any more."""
        try:
            received_at = self.clock.now()
            body = await _body(receive)
            if body is None:
                return 0, b"", {}
            told = tracking.read(tracking.unpacked(body), self.call_type)
            key = basic(headers.get(b"authorization", b"").decode("latin-1")) or told.write_key
            source = await source_of(key or in_query(query.decode("latin-1")), self.sources)
            intake = tracking.take(told, source.id, received_at, await self.plans.current())
            return 200, msgspec.json.encode(intake.answer(await self.committer.take(intake.brought))), {}
        except OneVoiceError as error:
            more = {"retry-after": str(error.retry_after)} if error.retry_after else {}
            return error.status, msgspec.json.encode({"code": error.code, "message": error.message}), more


def routes(committer: Committer, sources: Sources, clock: Clock, plans: Plans) -> list[Route]:
    """Routes for /v1/batch and each type of call. The 200 goes out after the commit."""
    return [Route(path, Tracking(call_type, committer, sources, clock, plans)) for path, call_type in PATHS.items()]


def in_front(app: ASGIApp, routes: Sequence[Route]) -> ASGIApp:
    """The application with these routes before all that a framework does for a request."""
    by_path: dict[str, Any] = {route.path: route.endpoint for route in routes}

    async def dispatched(scope: Scope, receive: Receive, send: Send) -> None:
        found = by_path.get(scope["path"]) if scope["type"] == "http" else None
        await (found or app)(scope, receive, send)

    return dispatched


async def _body(receive: Receive) -> bytes | None:
    """The request's body, None where the client went away. Raises InvalidInput where it is too large."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece = message.get("body", b"")
        size += len(piece)
        if size > MAX_RAW:
            raise InvalidInput("The request is larger than 4 MB; send smaller batches")
        if not message.get("more_body"):
            return b"".join([*pieces, piece]) if pieces else piece
        pieces.append(piece)


async def _answered(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    if body:
        raw.append((b"content-type", b"application/json"))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
