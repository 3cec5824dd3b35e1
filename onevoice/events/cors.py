"""What a browser is told so that pages of any origin may send: the tracking API is open to every shop's pages.

The origin is named and credentials are allowed, since `sendBeacon` always sends them and a browser then takes no `*`;
nothing is given away by it, as the tracking API reads no cookie.
"""

MAX_AGE_SECONDS = 86_400
"""How long a browser need not ask again."""


def cors(origin: str) -> dict[str, str]:
    """Headers of an answer to a page of that origin; empty where no browser asks."""
    if not origin:
        return {"access-control-allow-origin": "*"}
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        # analytics.js waits as long as Retry-After says, and reads only what is exposed
        "access-control-expose-headers": "retry-after",
        "vary": "origin",
    }


def preflight(origin: str, methods: str, asked_headers: str) -> dict[str, str]:
    """Headers of the answer to a preflight: whatever headers a client wants to send, it may."""
    return {
        **cors(origin),
        "access-control-allow-methods": methods,
        "access-control-allow-headers": asked_headers or "authorization, content-type, content-encoding, x-retry-count",
        "access-control-max-age": str(MAX_AGE_SECONDS),
        "vary": "origin, access-control-request-headers",
    }
