"""What the raw routes of events add to the OpenAPI document: the tracking API as its clients see it."""

from typing import Any

from onevoice.events import tracking
from onevoice.events.routes import PATHS
from onevoice.events.vocabulary import CALL_TYPES

SECURITY = {
    "WriteKey": {"type": "http", "scheme": "basic", "description": "A source's write key as user, no password"},
    "WriteKeyInQuery": {"type": "apiKey", "in": "query", "name": "writeKey", "description": "For pixel and sendBeacon"},
}
_EITHER: list[dict[str, list[str]]] = [{"WriteKey": []}, {"WriteKeyInQuery": []}]

_ERROR = {
    "type": "object",
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
    "required": ["code", "message"],
}
_ANSWER = {
    "type": "object",
    "properties": {
        "success": {"type": "boolean"},
        "accepted": {"type": "integer", "minimum": 0},
        "deduplicated": {"type": "integer", "minimum": 0, "description": "Taken before, by messageId; not kept again"},
        "quarantined": {"type": "integer", "minimum": 0, "description": "The three are all calls of the request"},
        "report": {
            "type": "array",
            "description": "Calls deduplicated or quarantined, each with its place in the batch and its reason",
            "items": {
                "type": "object",
                "properties": {
                    "index": {"type": "integer", "minimum": 0},
                    "code": {"type": "string", "enum": sorted([*tracking.REASONS, tracking.DUPLICATE])},
                    "message": {"type": "string"},
                },
                "required": ["index", "code", "message"],
            },
        },
    },
    "required": ["success", "accepted", "deduplicated", "quarantined", "report"],
}
_OBJECT = {"type": "object", "additionalProperties": True}
_CALL: dict[str, Any] = {
    "type": "object",
    "properties": {
        "messageId": {"type": "string", "maxLength": tracking.MAX_MESSAGE_ID},
        "userId": {"type": "string"},
        "anonymousId": {"type": "string"},
        "timestamp": {"type": "string", "format": "date-time"},
        "sentAt": {"type": "string", "format": "date-time"},
        "context": _OBJECT,
        "event": {"type": "string"},
        "name": {"type": "string"},
        "groupId": {"type": "string"},
        "previousId": {"type": "string"},
        "properties": _OBJECT,
        "traits": _OBJECT,
        "writeKey": {"type": "string", "description": "Where there is no Basic authorization"},
    },
}
_BATCH = {
    "type": "object",
    "properties": {
        "batch": {
            "type": "array",
            "items": {
                **_CALL,
                "properties": {**_CALL["properties"], "type": {"enum": list(CALL_TYPES)}},
                "required": ["type"],
            },
        },
        "sentAt": {"type": "string", "format": "date-time"},
        "context": _OBJECT,
        "writeKey": {"type": "string", "description": "Where there is no Basic authorization"},
    },
    "required": ["batch"],
}
_EXAMPLES: dict[str, dict[str, Any]] = {
    "track": {"userId": "anna", "event": "Product Viewed", "properties": {"product_id": "p1"}},
    "identify": {"userId": "anna", "anonymousId": "device-1", "traits": {"email": "anna@example.com"}},
    "page": {"anonymousId": "device-1", "name": "Home"},
    "screen": {"anonymousId": "device-1", "name": "Home"},
    "group": {"userId": "anna", "groupId": "club", "traits": {"tier": "gold"}},
    "alias": {"userId": "anna", "previousId": "anna-old"},
}
_OF_BATCH = {"batch": [{"type": name, **example} for name, example in _EXAMPLES.items()]}
_SUMMARIES = {
    "/v1/batch": "Take a batch of calls, up to 500 KB",
    "/v1/b": "Take a batch of calls, as analytics.js sends it",
    "/v1/import": "Take a batch of old calls; the same as /v1/batch",
    "/beacon/v1/batch": "Take a batch that a page sends while it closes; the write key may be in the query",
    "/v1/merge": "RudderStack's merge, which it has withdrawn: the call goes to the quarantine; send alias",
}


def _json(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_WAIT = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}
_REFUSALS = {
    "400": _json(_ERROR, "Cannot be read, or too large; repeating it is of no use"),
    "401": _json(_ERROR, "Unknown write key"),
    "404": _json(_ERROR, "The source is disabled"),
    "429": {**_json(_ERROR, "Too much at once: try again after Retry-After"), "headers": _WAIT},
    "503": {**_json(_ERROR, "Could not be committed: try again after Retry-After"), "headers": _WAIT},
}


def _posted(path: str, call_type: str | None) -> dict[str, Any]:
    short = f"Take a {call_type} call" + (", as analytics.js sends it" if len(path) == len("/v1/t") else "")
    content = {"schema": _BATCH, "example": _OF_BATCH}
    if call_type is not None:
        content = {"schema": _CALL, "example": _EXAMPLES.get(call_type, _EXAMPLES["alias"])}
    return {
        "post": {
            "tags": ["tracking"],
            "summary": _SUMMARIES.get(path, short),
            "description": "JSON, whatever the content type says; gzip by its first bytes, whatever the encoding says.",
            "security": [*_EITHER, {}],
            "requestBody": {"required": True, "content": {"application/json": content}},
            "responses": {
                "200": _json(_ANSWER, "Committed. Calls that could not be taken are in the quarantine, and named"),
                **_REFUSALS,
            },
        }
    }


def _read(summary: str, answers: dict[str, Any], *parameters: dict[str, Any], secured: bool = True) -> dict[str, Any]:
    return {
        "get": {
            "tags": ["tracking"],
            "summary": summary,
            "security": _EITHER if secured else [],
            "parameters": list(parameters),
            "responses": answers,
        }
    }


def _parameter(name: str, place: str, description: str) -> dict[str, Any]:
    required = {"required": True} if place == "path" else {}
    return {"name": name, "in": place, "description": description, "schema": {"type": "string"}, **required}


def _pixel(call_type: str) -> dict[str, Any]:
    gif = {"content": {"image/gif": {"schema": {"type": "string", "format": "binary"}}}}
    why = {"x-onevoice-code": {"description": "Why the call was not accepted", "schema": {"type": "string"}}}
    statuses = {
        "200": "Committed",
        "400": "`data` cannot be read",
        "401": "Unknown write key",
        "404": "The source is disabled",
        "429": "Too much at once",
        "503": "Could not be committed",
    }
    return _read(
        f"Take a {call_type} call by the address of a picture",
        {status: {"description": text, "headers": why, **gif} for status, text in statuses.items()},
        _parameter("data", "query", "The call's JSON in base64 (Segment's pixel)"),
        _parameter("userId", "query", "A field of the call (RudderStack's pixel); so with every other field"),
        _parameter("anonymousId", "query", "The device"),
        _parameter("event", "query", "The event's name, for track"),
        _parameter("name", "query", "The page's name"),
        _parameter("properties.value", "query", "Dots go deeper"),
    )


_SETTINGS = {
    "200": _json(_OBJECT, "The settings"),
    "401": _json(_ERROR, "Unknown write key"),
    "404": _json(_ERROR, "Unknown write key, or the source is disabled"),
    "503": {**_json(_ERROR, "The database is away: try again"), "headers": _WAIT},
}

PATHS_DESCRIBED: dict[str, Any] = {
    **{path: _posted(path, call_type) for path, call_type in PATHS.items()},
    "/v1/projects/{write_key}/settings": _read(
        "Settings for analytics.js", _SETTINGS, _parameter("write_key", "path", "A source's write key"), secured=False
    ),
    "/sourceConfig": _read("Settings for RudderStack's browser client", _SETTINGS),
    "/sourceConfig/": _read("Settings for RudderStack's browser client", _SETTINGS),
    "/v1/m": {
        "post": {
            "tags": ["tracking"],
            "summary": "Take analytics.js' own performance figures, and forget them",
            "requestBody": {"content": {"application/json": {"schema": _OBJECT}}},
            "responses": {
                "200": _json({"type": "object", "properties": {"success": {"const": True}}}, "Read and forgotten"),
                "400": _json(_ERROR, "Larger than 64 KB"),
            },
        }
    },
    **{f"/v1/pixel/{name}": _pixel(name) for name in CALL_TYPES},
    **{f"/pixel/v1/{name}": _pixel(name) for name in ("track", "page")},
}
"""Every path of the tracking API, by OpenAPI's rules."""
