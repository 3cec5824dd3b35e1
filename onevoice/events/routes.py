"""The tracking API over HTTP: raw routes on the hot path. `openapi.py` describes them."""

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

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


def routes(committer: Committer, sources: Sources, clock: Clock, plans: Plans) -> list[Route]:
    """Routes for /v1/batch and each type of call. The 200 goes out after the commit."""

    def endpoint(call_type: str | None) -> Callable[[Request], Awaitable[Response]]:
        async def taken(request: Request) -> Response:
            origin = request.headers.get("origin", "")
            if request.method == "OPTIONS":
                asked = request.headers.get("access-control-request-headers", "")
                return Response(status_code=204, headers=preflight(origin, "POST, OPTIONS", asked))
            try:
                received_at = clock.now()
                told = tracking.read(tracking.unpacked(await _body(request)), call_type)
                key = basic(request.headers.get("authorization", "")) or told.write_key or in_query(request.url.query)
                source = await source_of(key, sources)
                intake = tracking.take(told, source.id, received_at, await plans.current())
                answer = intake.answer(await committer.take(intake.brought))
            except OneVoiceError as error:
                headers = cors(origin) | ({"retry-after": str(error.retry_after)} if error.retry_after else {})
                return _json({"code": error.code, "message": error.message}, error.status, headers)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody hears it
            return _json(answer, 200, cors(origin))

        return taken

    return [Route(path, endpoint(call_type), methods=["POST", "OPTIONS"]) for path, call_type in PATHS.items()]


async def _body(request: Request) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > MAX_RAW:
            raise InvalidInput("The request is larger than 4 MB; send smaller batches")
        pieces.append(piece)
    return b"".join(pieces)


def _json(value: object, status: int, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(value), status, headers, "application/json")
