"""What browsers fetch rather than post: the settings their clients start with, the pixel; and clients' own metrics."""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlsplit

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from onevoice.events import browser_settings, pixel, tracking
from onevoice.events.committer import Committer
from onevoice.events.cors import cors, preflight
from onevoice.events.plans import Plans
from onevoice.events.sources import Sources
from onevoice.events.vocabulary import CALL_TYPES
from onevoice.events.write_keys import basic, in_query, source_of
from onevoice.kernel.clock import Clock
from onevoice.kernel.errors import InvalidInput, NotFound, OneVoiceError, Unauthorized

MAX_METRICS = 64 * 1024
"""Bytes of a client's own metrics that are read before they are refused."""

Answer = Callable[[Request], Awaitable[Response]]


def routes(committer: Committer, sources: Sources, clock: Clock, plans: Plans, base_url: str) -> list[Route]:
    """The routes; `base_url` is where the api is reached from outside, as the settings say it."""

    async def analytics_js(request: Request) -> Response:
        try:
            source = await source_of(request.path_params["write_key"], sources)
        except Unauthorized as error:
            raise NotFound("There is no source with this write key; `onevoice source list` shows them") from error
        return _json(browser_settings.for_analytics_js(source, _own_url(request, base_url)))

    async def rudderstack(request: Request) -> Response:
        return _json(browser_settings.for_rudderstack(await source_of(_key(request), sources), clock.now()))

    async def metrics(request: Request) -> Response:
        size = 0
        async for piece in request.stream():
            size += len(piece)
            if size > MAX_METRICS:
                raise InvalidInput("Metrics are larger than 64 KB")
        return _json({"success": True})

    def picture(call_type: str) -> Answer:
        async def seen(request: Request) -> Response:
            """The picture comes whatever happens, so that no mail shows a broken one; status and header are true."""
            headers = {"cache-control": "no-store, max-age=0", **cors(request.headers.get("origin", ""))}
            if request.method == "HEAD":  # a mail scanner looks, nobody sees
                return Response(pixel.GIF, 200, headers, "image/gif")
            try:
                told = tracking.read(pixel.call(_query(request)), call_type)
                source = await source_of(_key(request) or told.write_key or "", sources)
                intake = tracking.take(told, source.id, clock.now(), await plans.current())
                intake.answer(await committer.take(intake.brought))  # which completes the report
            except OneVoiceError as error:
                return Response(pixel.GIF, error.status, {**headers, "x-onevoice-code": error.code}, "image/gif")
            if intake.report:
                headers["x-onevoice-code"] = str(intake.report[0]["code"])
            return Response(pixel.GIF, 200, headers, "image/gif")

        return seen

    return [
        _route("/v1/projects/{write_key}/settings", analytics_js, "GET"),
        _route("/sourceConfig", rudderstack, "GET"),
        _route("/sourceConfig/", rudderstack, "GET"),
        _route("/v1/m", metrics, "POST"),
        *(_route(f"/pixel/v1/{name}", picture(name), "GET") for name in ("track", "page")),
        *(_route(f"/v1/pixel/{name}", picture(name), "GET") for name in CALL_TYPES),
    ]


def _route(path: str, answer: Answer, method: str) -> Route:
    """A route for pages of any origin, with its preflight; errors have a code and a message."""

    async def answered(request: Request) -> Response:
        origin = request.headers.get("origin", "")
        if request.method == "OPTIONS":
            asked = request.headers.get("access-control-request-headers", "")
            return Response(None, 204, preflight(origin, f"{method}, OPTIONS", asked))
        try:
            response = await answer(request)
        except OneVoiceError as error:
            response = _json({"code": error.code, "message": error.message}, error.status)
            if error.retry_after:
                response.headers["retry-after"] = str(error.retry_after)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody hears it
        response.headers.update(cors(origin))
        return response

    return Route(path, answered, methods=[method, "OPTIONS"])


def _key(request: Request) -> str:
    return basic(request.headers.get("authorization", "")) or in_query(request.url.query)


def _query(request: Request) -> list[tuple[str, str]]:
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    return [(name, value) for name, value in pairs if name != "writeKey"]


def _own_url(request: Request, base_url: str) -> str:
    """Our address as this browser reached it; behind a proxy that ends TLS, https as the settings say."""
    reached = str(request.base_url).rstrip("/")
    same_host = urlsplit(reached).netloc == urlsplit(base_url).netloc
    return base_url if same_host else reached


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
