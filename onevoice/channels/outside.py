"""HTTP to addresses that others have named (a browser's endpoint, a marketer's webhook): never into our own network.

The address is looked at after its name was resolved and that very address is called, so that a name which answers
differently the second time (DNS rebinding) gains nothing. Redirects are not followed.
"""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from onevoice.kernel.network import is_public


class NotOutside(Exception):
    """The name leads to an address that is not public, or to none."""


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects to public addresses only."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        if not addresses or not all(is_public(one) for one in addresses):
            raise NotOutside(f"{host} is not on the public internet")
        return await self._inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def client(timeout_seconds: float, *, anywhere: bool = False) -> httpx.AsyncClient:
    """An HTTP client for such addresses; with `anywhere` the guard is off (tests, an installation within a company)."""
    transport = httpx.AsyncHTTPTransport()
    if not anywhere:
        # httpx has no parameter for it; the pool is httpcore's, whose parameter it is.
        transport._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(), max_connections=100, network_backend=_Guarded()
        )
    return httpx.AsyncClient(transport=transport, timeout=timeout_seconds, follow_redirects=False)
