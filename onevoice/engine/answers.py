"""How the engine answers the api: local HTTP, one path per question. The api's side is in client.py."""

import asyncio
import hmac
import threading
import time
from asyncio import FIRST_COMPLETED

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from onevoice.engine import exports
from onevoice.engine.client import HEADER, engine_key
from onevoice.engine.engine import Engine
from onevoice.engine.questions import QUESTIONS
from onevoice.kernel.errors import NotFound, OneVoiceError, Unauthorized
from onevoice.warehouse import INTERRUPTED

NOBODY_LISTENS = 499
"""As nginx has it: whoever asked has gone, such as for a newer preview."""


async def _left(request: Request) -> None:
    """Returns when whoever asked has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def serve(engine: Engine) -> uvicorn.Server:
    """Answers in a thread of its own until the returned server's `should_exit` is set."""
    settings = engine.settings
    key = engine_key(settings.secret())
    clock = settings.clock()

    async def answer(request: Request) -> Response:
        try:
            if not hmac.compare_digest(request.headers.get(HEADER, ""), key):
                raise Unauthorized("This port is for OneVoice's own roles")
            question = QUESTIONS.get(request.path_params["question"])
            if question is None:
                raise NotFound("No such question; the api and the engine are of different versions")
            arguments = msgspec.json.decode(await request.body())
            reader = engine.warehouse.reader()
            asking = asyncio.ensure_future(run_in_threadpool(lambda: question(reader, clock.now(), **arguments)))
            await asyncio.wait({asking, leaving := asyncio.ensure_future(_left(request))}, return_when=FIRST_COMPLETED)
            leaving.cancel()
            if not asking.done():
                reader.interrupt()
            return Response(msgspec.json.encode(await asking), media_type="application/json")
        except INTERRUPTED:
            return Response(status_code=NOBODY_LISTENS)
        except OneVoiceError as error:
            body = msgspec.json.encode({"code": error.code, "message": error.message})
            return Response(body, error.status, media_type="application/json")

    async def export(request: Request) -> Response:
        try:
            if not hmac.compare_digest(request.headers.get(HEADER, ""), key):
                raise Unauthorized("This port is for OneVoice's own roles")
            wanted = msgspec.json.decode(await request.body(), type=exports.Export)
            kind = exports.media_type(wanted)
            pieces = await run_in_threadpool(lambda: exports.stream(engine.warehouse.reader(), wanted))
            return StreamingResponse(pieces, media_type=kind)
        except OneVoiceError as error:
            body = msgspec.json.encode({"code": error.code, "message": error.message})
            return Response(body, error.status, media_type="application/json")

    app = Starlette(
        routes=[
            Route("/ask/{question}", answer, methods=["POST"]),
            Route("/export", export, methods=["POST"]),
        ]
    )
    config = uvicorn.Config(app, "127.0.0.1", settings.engine_port, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # signals are the role's
    threading.Thread(target=server.run, name="answers", daemon=True).start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    return server
