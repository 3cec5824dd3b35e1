"""Who may ask: every route but tracking, webhooks and ingest wants an API key, in a header or in the page's cookie."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer
from sqlalchemy import Engine

from onevoice.api import keys
from onevoice.engine.client import EngineClient
from onevoice.kernel.errors import InvalidInput, Unauthorized
from onevoice.kernel.locales import negotiated

COOKIE = "onevoice_key"

_bearer = HTTPBearer(auto_error=False, description="An API key; the first is in data/api-key")
_header = APIKeyHeader(name="X-API-Key", auto_error=False)


def key_of(request: Request) -> str:
    """The key a request brings, or an empty text."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return request.headers.get("x-api-key") or request.cookies.get(COOKIE, "")


def is_allowed(request: Request) -> bool:
    """Whether the request brings a key that is known."""
    key = key_of(request)
    if not key:
        return False
    with database(request).connect() as connection:
        return keys.is_known(connection, key)


def require_key(request: Request, _b: Any = Depends(_bearer), _h: Any = Depends(_header)) -> None:
    """Raises Unauthorized without a known key."""
    if not is_allowed(request):
        raise Unauthorized("Send an API key: `Authorization: Bearer KEY`. The first one is in the file data/api-key")


def require_known_query(request: Request) -> None:
    """Raises InvalidInput for a query parameter that the route does not have: a filter with a slip in its name would
    otherwise answer with everything."""
    known = _query_names(request.scope["route"])
    unknown = sorted(request.query_params.keys() - known)
    if unknown:
        there = f"it has {', '.join(sorted(known))}" if known else "it has none"
        raise InvalidInput(f"No parameter {', '.join(unknown)} here; {there}")


def _query_names(route: APIRoute) -> frozenset[str]:
    parts, names = [route.dependant], set[str]()
    while parts:
        part = parts.pop()
        names.update(one.alias for one in part.query_params)
        parts += part.dependencies
    return frozenset(names)


def database(request: Request) -> Engine:
    """The application's pool of connections."""
    engine: Engine = request.app.state.database
    return engine


def engine_client(request: Request) -> EngineClient:
    """The application's way to the engine."""
    client: EngineClient = request.app.state.engine
    return client


def now(request: Request) -> datetime:
    """The instant, by the application's clock."""
    at: datetime = request.app.state.clock.now()
    return at


def caller(request: Request) -> str:
    """The name of the key a request brings, for the record of who did what."""
    with database(request).connect() as connection:
        return keys.name_of(connection, key_of(request))


def spoken(
    request: Request, locale: Annotated[str, Query(description="Language of the sentences", max_length=35)] = ""
) -> str:
    """The language asked for, else the best of those that the header `Accept-Language` names."""
    return locale or negotiated(request.headers.get("accept-language"))


Database = Annotated[Engine, Depends(database)]
Ask = Annotated[EngineClient, Depends(engine_client)]
Now = Annotated[datetime, Depends(now)]
Caller = Annotated[str, Depends(caller)]
Locale = Annotated[str, Depends(spoken)]
