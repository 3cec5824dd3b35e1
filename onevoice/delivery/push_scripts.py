"""What a shop's page needs for web push: the service worker and the script that subscribes, served by the api."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from onevoice.channels.adapter import ChannelAdapter
from onevoice.channels.webpush import WebPushAdapter
from onevoice.kernel.errors import NotFound

HERE = Path(__file__).parent / "scripts"
WORKER, PAGE = "/v1/push/worker.js", "/v1/push.js"

_HEADERS = {
    "cache-control": "public, max-age=300",  # a browser asks for a worker once a day at the least
    "access-control-allow-origin": "*",
    "service-worker-allowed": "/",
    "x-content-type-options": "nosniff",
}


def routes(adapters: Mapping[str, ChannelAdapter]) -> list[Route]:
    """The two scripts; the page's knows the public key of the channel `webpush`."""
    key = next((one.public_key for one in adapters.values() if isinstance(one, WebPushAdapter)), "")
    scripts = {
        WORKER: (HERE / "push_worker.js").read_text(),
        PAGE: (HERE / "push.js").read_text().replace("%PUBLIC_KEY%", key),
    }

    async def script(request: Request) -> Response:
        if not key:
            raise NotFound("There is no channel `webpush`; `onevoice webpush keys` makes what it needs")
        return Response(scripts[request.url.path], media_type="text/javascript", headers=_HEADERS)

    return [Route(path, script, methods=["GET"]) for path in scripts]


def _described(summary: str) -> dict[str, Any]:
    script = {"description": "JavaScript", "content": {"text/javascript": {"schema": {"type": "string"}}}}
    missing = {"description": "There is no channel `webpush`"}
    return {"get": {"summary": summary, "tags": ["delivery"], "responses": {"200": script, "4XX": missing}}}


OPENAPI_PATHS: dict[str, Any] = {
    WORKER: _described("The service worker that shows web push"),
    PAGE: _described("The script with which a page subscribes to web push"),
}
