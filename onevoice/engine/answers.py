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

STOPPING_SECONDS = 5
"""How long answers under way are waited for at a stop."""


async def _left(request: Request) -> None:
    """Returns when whoever asked has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Answers(uvicorn.Server):
    """The server, in a thread of its own."""

    def begin(self) -> None:
        """Returns when it answers."""
        self._thread = threading.Thread(target=self.run, name="answers", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self.started and time.monotonic() < deadline:
            time.sleep(0.02)

    def stop(self) -> None:
        """Returns when no thread is left that holds the warehouse."""
        self.should_exit = True
        self._thread.join(2 * STOPPING_SECONDS)


def serve(engine: Engine) -> Answers:
    """Answers in a thread of its own until the returned server is told to stop."""
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
    config = uvicorn.Config(
        app,
        "127.0.0.1",
        settings.engine_port,
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=STOPPING_SECONDS,
    )
    server = Answers(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # signals are the role's
    server.begin()
    return server
