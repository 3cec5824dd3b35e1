"""The application: mounts each domain's routes, turns errors into responses in one place, describes itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import sqlalchemy.exc
import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

import onevoice
from onevoice import database
from onevoice.api import (
    backtests,
    consents,
    contact,
    content_versions,
    customers,
    delivery,
    entries,
    exports,
    health,
    identity,
    imports,
    inbound,
    journeys,
    keys,
    kpis,
    matches,
    page,
    plans,
    privacy,
    quarantine,
    results,
    segments,
    sources,
    template_page,
    templates,
    versions,
    webhooks,
)
from onevoice.api.access import require_key, require_known_query
from onevoice.api.carrying import Carrying
from onevoice.channels import providers
from onevoice.delivery import consent_routes, push_scripts
from onevoice.delivery import routes as delivery_routes
from onevoice.engine.client import EngineClient
from onevoice.events import browser, openapi
from onevoice.events import routes as event_routes
from onevoice.events.committer import Committer
from onevoice.events.plans import Plans
from onevoice.events.sources import Sources
from onevoice.kernel import garbage
from onevoice.kernel.errors import InvalidInput, OneVoiceError, Unavailable
from onevoice.kernel.log import logger
from onevoice.kernel.settings import Settings

log = logger("api")


KEYED = (
    inbound,
    delivery,
    entries,
    exports,
    imports,
    consents,
    contact,
    customers,
    segments,
    journeys,
    backtests,
    versions,
    results,
    templates,
    content_versions,
    kpis,
    sources,
    plans,
    quarantine,
    identity,
    matches,
    privacy,
)
"""What wants an API key."""


def application(settings: Settings) -> FastAPI:
    """The FastAPI application; reads the settings once. `app.state.front` serves the tracking API before it."""
    clock = settings.clock()
    pool = database.engine(settings)
    committer = Committer(settings, clock)
    adapters = providers.built(settings.channels)
    carrying = Carrying(settings, pool)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await committer.start()
        keys.first(pool, settings)
        carrying.start()
        garbage.look_seldom()
        yield
        await carrying.stop()
        await committer.stop()
        pool.dispose()

    app = FastAPI(
        title="OneVoice",
        version=onevoice.__version__,
        summary="One voice to every customer, on every channel.",
        lifespan=lifespan,
        responses={"4XX": {"description": "`code` for programs, `message` for people, as JSON"}},
    )
    app.state.database, app.state.engine, app.state.settings = pool, EngineClient(settings), settings
    app.state.clock = clock
    app.add_exception_handler(OneVoiceError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _no_route)
    for unstorable in (sqlalchemy.exc.DataError, psycopg.DataError):
        app.add_exception_handler(unstorable, _unstorable)
    for away in (sqlalchemy.exc.OperationalError, sqlalchemy.exc.TimeoutError, psycopg.OperationalError):
        app.add_exception_handler(away, _away)
    known, planned = Sources(pool), Plans(pool)
    tracked = event_routes.routes(committer, known, clock, planned)
    app.router.routes.extend(tracked)
    app.state.front = event_routes.in_front(app, tracked)
    app.router.routes.extend(browser.routes(committer, known, clock, planned, settings.base_url))
    app.router.routes.extend(delivery_routes.routes(committer, pool, settings, adapters))
    app.router.routes.extend(consent_routes.routes(pool, settings))
    app.router.routes.extend(push_scripts.routes(adapters))
    app.include_router(page.router)
    app.include_router(template_page.router)
    app.include_router(health.router)
    app.include_router(webhooks.router)
    app.include_router(entries.public)
    for part in KEYED:
        app.include_router(part.router, dependencies=[Depends(require_key), Depends(require_known_query)])
    _describe(
        app,
        {**openapi.PATHS_DESCRIBED, **delivery_routes.OPENAPI_PATHS, **push_scripts.OPENAPI_PATHS},
        openapi.SECURITY,
    )
    return app


def run(settings: Settings) -> None:
    """Serves until SIGTERM."""
    uvicorn.run(
        application(settings).state.front,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=10,
    )


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OneVoiceError)
    headers = {"retry-after": str(error.retry_after)} if error.retry_after else None
    return JSONResponse({"code": error.code, "message": error.message}, error.status, headers)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    return JSONResponse({"code": "invalid_input", "message": faults}, 400)


async def _no_route(_request: Request, error: Exception) -> JSONResponse:
    """No such path or method: with a code too, since rudder-sdk-python repeats for ever what has none."""
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "error")
    return JSONResponse({"code": code, "message": f"{error.detail}; see /docs"}, error.status_code, error.headers)


async def _unstorable(request: Request, error: Exception) -> JSONResponse:
    """A value that no check of ours caught and the database cannot hold, such as a NUL in a text."""
    log.warning("unstorable", path=request.url.path, error=str(error))
    told = "A value cannot be stored: a NUL character in a text, or a number too large; leave it out"
    return JSONResponse({"code": InvalidInput.code, "message": told}, InvalidInput.status)


async def _away(request: Request, error: Exception) -> JSONResponse:
    log.error("database away", path=request.url.path, error=str(error))
    told = "The database does not answer; try again"
    return JSONResponse({"code": Unavailable.code, "message": told}, Unavailable.status, {"retry-after": "1"})


def _describe(app: FastAPI, further: dict[str, Any], security: dict[str, Any]) -> None:
    """Adds the paths of the raw routes to the OpenAPI document that FastAPI makes of its own."""
    own = app.openapi

    def openapi() -> dict[str, Any]:
        document = own()
        for path, item in further.items():
            document["paths"].setdefault(path, item)
        document.setdefault("components", {}).setdefault("securitySchemes", {}).update(security)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
