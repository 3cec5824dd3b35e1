"""How the api asks the engine: local HTTP, one path per question, with a key made of the installation's secret.

Both run on one machine or in one private network; customers never reach this port. Imports nothing of the engine, so
that the api and the command line start without the warehouse's libraries.
"""

import hmac
from collections.abc import Iterator
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
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{settings.engine_port}",
            headers={HEADER: engine_key(settings.secret())},
        )

    def ask(self, question: str, patience: float = 30.0, **arguments: Any) -> Any:
        """The answer, as plain JSON values, waited for `patience` seconds.

        Raises Unavailable where no engine answers, or the engine's own error.
        """
        try:
            body = msgspec.json.encode(arguments)
            response = self._http.post(f"/ask/{question}", content=body, timeout=patience)
        except httpx.TransportError as error:
            raise Unavailable("The engine does not answer; start it with `onevoice serve`") from error
        if response.status_code == 200:
            return msgspec.json.decode(response.content)
        raise _error(response)

    def export(self, **wanted: Any) -> Iterator[bytes]:
        """An export's bytes, piece by piece; `wanted` are the fields of `exports.Export`.

        Raises as `ask` does, before the first piece; Unavailable also where the engine goes away in the middle.
        """
        request = self._http.build_request("POST", "/export", content=msgspec.json.encode(wanted), timeout=300.0)
        try:
            response = self._http.send(request, stream=True)
        except httpx.TransportError as error:
            raise Unavailable("The engine does not answer; start it with `onevoice serve`") from error
        if response.status_code != 200:
            response.read()
            response.close()
            raise _error(response)
        return _pieces(response)


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
