"""How the api asks the engine: local HTTP, one path per question, with a key made of the installation's secret.

Both run on one machine or in one private network; customers never reach this port. Imports nothing of the engine, so
that the api and the command line start without the warehouse's libraries.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256
from typing import Any

import httpx
import msgspec

from onevoice.kernel.errors import OneVoiceError, Unavailable
from onevoice.kernel.settings import Settings

HEADER = "x-onevoice-engine"


class EngineClient:
    """The api's way to the engine."""

    def __init__(self, settings: Settings) -> None:
        self._base_url = f"http://127.0.0.1:{settings.engine_port}"
        self._headers = {HEADER: engine_key(settings.secret())}
        self._http = httpx.Client(base_url=self._base_url, headers=self._headers)

    def ask(self, question: str, patience: float = 30.0, **arguments: Any) -> Any:
        """The answer, as plain JSON values, waited for `patience` seconds.

        Raises Unavailable where no engine answers, or the engine's own error.
        """
        try:
            body = msgspec.json.encode(arguments)
            response = self._http.post(f"/ask/{question}", content=body, timeout=patience)
        except httpx.TransportError as error:
            raise Unavailable(SILENT) from error
        return _answer(response)

    async def ask_while(self, is_wanted: Callable[[], Awaitable[bool]], question: str, **arguments: Any) -> Any:
        """As `ask`; given up, and the engine's query with it, when the answer is wanted no more: then None."""
        async with httpx.AsyncClient(base_url=self._base_url, headers=self._headers, timeout=30.0) as http:
            asking = asyncio.ensure_future(http.post(f"/ask/{question}", content=msgspec.json.encode(arguments)))
            while not (await asyncio.wait({asking}, timeout=LOOK_SECONDS))[0]:
                if not await is_wanted():
                    asking.cancel()
                    return None
            try:
                return _answer(asking.result())
            except httpx.TransportError as error:
                raise Unavailable(SILENT) from error

    def export(self, **wanted: Any) -> Iterator[bytes]:
        """An export's bytes, piece by piece; `wanted` are the fields of `exports.Export`.

        Raises as `ask` does, before the first piece; Unavailable also where the engine goes away in the middle.
        """
        request = self._http.build_request("POST", "/export", content=msgspec.json.encode(wanted), timeout=300.0)
        try:
            response = self._http.send(request, stream=True)
        except httpx.TransportError as error:
            raise Unavailable(SILENT) from error
        if response.status_code != 200:
            response.read()
            response.close()
            raise _error(response)
        return _pieces(response)


SILENT = "The engine does not answer; start it with `onevoice serve`"

LOOK_SECONDS = 0.05
"""How often it is looked whether an answer is still wanted."""


def _answer(response: httpx.Response) -> Any:
    if response.status_code == 200:
        return msgspec.json.decode(response.content)
    raise _error(response)


def _pieces(response: httpx.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_raw()
    except httpx.TransportError as error:
        raise Unavailable("The engine went away in the middle of the export; what has come is not whole") from error
    finally:
        response.close()


def _error(response: httpx.Response) -> OneVoiceError:
    try:
        body = response.json()
    except ValueError:
        return Unavailable(f"The engine failed with HTTP {response.status_code}; its log says why")
    error = OneVoiceError(str(body.get("message", "")))
    error.code, error.status = str(body.get("code", "error")), response.status_code
    return error


def engine_key(secret: bytes) -> str:
    """What opens the engine's port."""
    return hmac.new(secret, b"engine", sha256).hexdigest()
