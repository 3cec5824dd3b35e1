"""How the engine answers the api: local HTTP, one path per question, signed with the installation's secret.

`ask` is the api's side. Both run on one machine or in one private network; customers never reach this port.
"""

import hmac
import threading
import time
from hashlib import sha256
from typing import Any

import httpx
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from onevoice.engine.engine import Engine
from onevoice.engine.questions import QUESTIONS
from onevoice.kernel.errors import NotFound, OneVoiceError, Unauthorized, Unavailable
from onevoice.kernel.settings import Settings

HEADER = "x-onevoice-engine"


def serve(engine: Engine) -> uvicorn.Server:
    """Answers in a thread of its own until the returned server's `should_exit` is set."""
    settings = engine.settings
    key = _key(settings.secret())
    clock = settings.clock()

    async def answer(request: Request) -> Response:
        try:
            if not hmac.compare_digest(request.headers.get(HEADER, ""), key):
                raise Unauthorized("This port is for OneVoice's own roles")
            question = QUESTIONS.get(request.path_params["question"])
            if question is None:
                raise NotFound("No such question; the api and the engine are of different versions")
            arguments = msgspec.json.decode(await request.body())
            result = await run_in_threadpool(lambda: question(engine.warehouse.reader(), clock.now(), **arguments))
            return Response(msgspec.json.encode(result), media_type="application/json")
        except OneVoiceError as error:
            body = msgspec.json.encode({"code": error.code, "message": error.message})
            return Response(body, error.status, media_type="application/json")

    app = Starlette(routes=[Route("/ask/{question}", answer, methods=["POST"])])
    config = uvicorn.Config(app, "127.0.0.1", settings.engine_port, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # signals are the role's
    threading.Thread(target=server.run, name="answers", daemon=True).start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    return server


class EngineClient:
    """The api's way to the engine."""

    def __init__(self, settings: Settings) -> None:
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{settings.engine_port}",
            headers={HEADER: _key(settings.secret())},
            timeout=30.0,
        )

    def ask(self, question: str, **arguments: Any) -> Any:
        """The answer, as plain JSON values. Raises Unavailable where no engine answers, or the engine's own error."""
        try:
            response = self._http.post(f"/ask/{question}", content=msgspec.json.encode(arguments))
        except httpx.TransportError as error:
            raise Unavailable("The engine does not answer; start it with `onevoice serve`") from error
        if response.status_code == 200:
            return msgspec.json.decode(response.content)
        raise _error(response)


def _error(response: httpx.Response) -> OneVoiceError:
    try:
        body = response.json()
    except ValueError:
        return Unavailable(f"The engine failed with HTTP {response.status_code}; its log says why")
    error = OneVoiceError(str(body.get("message", "")))
    error.code, error.status = str(body.get("code", "error")), response.status_code
    return error


def _key(secret: bytes) -> str:
    return hmac.new(secret, b"engine", sha256).hexdigest()
