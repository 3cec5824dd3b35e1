"""The tracking API over HTTP: raw routes on the hot path, with their part of the OpenAPI document beside them."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from onevoice.events import tracking
from onevoice.events.committer import Committer
from onevoice.events.plans import Plans
from onevoice.events.sources import Source, Sources
from onevoice.events.vocabulary import CALL_TYPES
from onevoice.kernel.clock import Clock
from onevoice.kernel.errors import InvalidInput, OneVoiceError, Unauthorized

CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST, OPTIONS",
    "access-control-allow-headers": "authorization, content-type, content-encoding",
    "access-control-max-age": "86400",
    "vary": "access-control-request-headers",
}

MAX_RAW = 4 * 1024 * 1024
"""Bytes read from a socket before the request is refused, packed or not."""


def routes(committer: Committer, sources: Sources, clock: Clock, plans: Plans) -> list[Route]:
    """Routes for /v1/batch and each type of call. The 200 goes out after the commit."""

    def endpoint(call_type: str | None) -> Callable[[Request], Awaitable[Response]]:
        async def taken(request: Request) -> Response:
            if request.method == "OPTIONS":
                asked = request.headers.get("access-control-request-headers", CORS["access-control-allow-headers"])
                return Response(status_code=204, headers={**CORS, "access-control-allow-headers": asked})
            try:
                received_at = clock.now()
                told = tracking.read(tracking.unpacked(await _body(request)), call_type)
                source = await _source(request, told.write_key, sources)
                intake = tracking.take(told, source.id, received_at, await plans.current())
                answer = intake.answer(await committer.take(intake.brought))
            except OneVoiceError as error:
                headers = {**CORS, "retry-after": str(error.retry_after)} if error.retry_after else CORS
                return _json({"code": error.code, "message": error.message}, error.status, headers)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody hears it
            return _json(answer, 200, CORS)

        return taken

    return [
        Route("/v1/batch", endpoint(None), methods=["POST", "OPTIONS"]),
        *(Route(f"/v1/{name}", endpoint(name), methods=["POST", "OPTIONS"]) for name in CALL_TYPES),
    ]


async def _body(request: Request) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > MAX_RAW:
            raise InvalidInput("The request is larger than 4 MB; send smaller batches")
        pieces.append(piece)
    return b"".join(pieces)


async def _source(request: Request, in_body: str | None, sources: Sources) -> Source:
    """The source of the write key in the Basic authorization (with or without its colon) or in the body."""
    key = _basic(request.headers.get("authorization", "")) or in_body or ""
    source = await sources.find(key)
    if source is None or source.kind == "internal":
        raise Unauthorized("Unknown write key; send it as the user of Basic authorization, or as `writeKey`")
    return source


def _basic(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(token, validate=True).decode().split(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _json(value: object, status: int, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def _described(summary: str, example: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    answer = {
        "type": "object",
        "properties": {
            "success": {"type": "boolean"},
            "accepted": {"type": "integer"},
            "deduplicated": {"type": "integer", "description": "Taken before, by messageId; not kept again"},
            "quarantined": {"type": "integer", "description": "The three numbers are all calls of the request"},
            "report": {
                "type": "array",
                "description": "Calls deduplicated or quarantined, each with its place in the batch and its reason",
                "items": {
                    "type": "object",
                    "properties": {
                        "index": {"type": "integer"},
                        "code": {"type": "string", "enum": sorted([*tracking.REASONS, tracking.DUPLICATE])},
                        "message": {"type": "string"},
                    },
                },
            },
        },
        "required": ["success", "accepted", "deduplicated", "quarantined", "report"],
    }
    error = {
        "type": "object",
        "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        "required": ["code", "message"],
    }
    refusals = {
        "400": "Cannot be read, or too large",
        "401": "Unknown write key",
        "429": "More than can be taken for now; try again after Retry-After",
        "503": "Try again after Retry-After",
    }
    return {
        "post": {
            "tags": ["tracking"],
            "summary": summary,
            "security": [{"WriteKey": []}],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": schema, "example": example}},
            },
            "responses": {
                "200": {
                    "description": "Committed. Calls that could not be taken are in the quarantine, and named",
                    "content": {"application/json": {"schema": answer}},
                },
                **{
                    code: {"description": text, "content": {"application/json": {"schema": error}}}
                    for code, text in refusals.items()
                },
            },
        }
    }


_CALL = {
    "type": "object",
    "properties": {
        "messageId": {"type": "string", "maxLength": tracking.MAX_MESSAGE_ID},
        "userId": {"type": "string"},
        "anonymousId": {"type": "string"},
        "timestamp": {"type": "string", "format": "date-time"},
        "sentAt": {"type": "string", "format": "date-time"},
        "context": {"type": "object"},
        "event": {"type": "string"},
        "name": {"type": "string"},
        "groupId": {"type": "string"},
        "previousId": {"type": "string"},
        "properties": {"type": "object"},
        "traits": {"type": "object"},
    },
}
_TYPED = {
    **_CALL,
    "properties": {**_CALL["properties"], "type": {"enum": list(CALL_TYPES)}},  # type: ignore[dict-item]
    "required": ["type"],
}
_EXAMPLES: dict[str, dict[str, Any]] = {
    "track": {"userId": "anna", "event": "Product Viewed", "properties": {"product_id": "p1"}},
    "identify": {"userId": "anna", "anonymousId": "device-1", "traits": {"email": "anna@example.com"}},
    "page": {"anonymousId": "device-1", "name": "Home"},
    "screen": {"anonymousId": "device-1", "name": "Home"},
    "group": {"userId": "anna", "groupId": "club", "traits": {"tier": "gold"}},
    "alias": {"userId": "anna", "previousId": "anna-old"},
}

OPENAPI_PATHS: dict[str, Any] = {
    "/v1/batch": _described(
        "Take a batch of calls, up to 500 KB",
        {"batch": [{"type": name, **example} for name, example in _EXAMPLES.items()]},
        {"type": "object", "properties": {"batch": {"type": "array", "items": _TYPED}}, "required": ["batch"]},
    ),
    **{f"/v1/{name}": _described(f"Take a {name} call", example, _CALL) for name, example in _EXAMPLES.items()},
}
"""What the raw routes add to the OpenAPI document."""

OPENAPI_SECURITY = {
    "WriteKey": {"type": "http", "scheme": "basic", "description": "A source's write key as user, no password"}
}
