"""The client's side of one SMTP connection (RFC 5321), with pipelining (RFC 2920), STARTTLS and AUTH PLAIN."""

import asyncio
import re
import ssl
from base64 import b64encode
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple, cast

CUT = (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError)
"""What is raised when a connection cannot be made, breaks, or stays silent too long."""

_ENHANCED = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")


class Reply(NamedTuple):
    """A server's answer: three digits and the text of its lines."""

    code: int
    text: str

    @property
    def status(self) -> str:
        """The enhanced status code (RFC 3463) where there is one, else the three digits."""
        found = _ENHANCED.search(self.text)
        return found[1] if found else str(self.code)


class Refused(Exception):
    """The server does not want this session; says what it answered."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.code} {reply.text}")
        self.reply = reply


@dataclass(frozen=True)
class Server:
    """Where to connect and how. `security` is none, starttls, tls, or auto: STARTTLS where it is offered."""

    host: str
    port: int
    security: str
    username: str
    password: str
    local_hostname: str
    timeout_seconds: float


class Session(asyncio.Protocol):
    """A connection that has been greeted. Write commands, then await as many replies."""

    def __init__(self) -> None:
        self.pipelining = False
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._lines: list[str] = []
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._deadline, self._watching = 0.0, False
        self._lost: Exception | None = None
        self._timeout_seconds = 60.0

    @classmethod
    async def open(cls, server: Server) -> "Session":
        """Connects and says hello. Raises one of CUT, or Refused."""
        loop = asyncio.get_running_loop()
        context = ssl.create_default_context() if server.security == "tls" else None
        async with asyncio.timeout(server.timeout_seconds):
            transport, session = await loop.create_connection(cls, server.host, server.port, ssl=context)
        session._timeout_seconds = server.timeout_seconds
        try:
            await session._expect(220)
            offered = await session._hello(server.local_hostname)
            if server.security == "starttls" or (server.security == "auto" and "STARTTLS" in offered):
                session.write(b"STARTTLS\r\n")
                await session._expect(220)
                context = ssl.create_default_context()
                async with asyncio.timeout(server.timeout_seconds):
                    session._transport = await loop.start_tls(transport, session, context, server_hostname=server.host)
                offered = await session._hello(server.local_hostname)
            session.pipelining = "PIPELINING" in offered
            if server.username:
                proof = b64encode(f"\0{server.username}\0{server.password}".encode())
                session.write(b"AUTH PLAIN " + proof + b"\r\n")
                await session._expect(235)
        except BaseException:
            session.close()
            raise
        return session

    def write(self, data: bytes) -> None:
        """Sends; does not wait."""
        if self._transport is not None:
            self._transport.write(data)

    async def reply(self) -> Reply:
        """The next reply. Raises one of CUT."""
        while not self._replies:
            if self._lost is not None:
                raise self._lost
            loop = asyncio.get_running_loop()
            self._waiter, self._deadline = loop.create_future(), loop.time() + self._timeout_seconds
            if not self._watching:
                self._watch()
            await self._waiter
        return self._replies.popleft()

    def _watch(self) -> None:
        """Ends a wait that lasts too long; one timer for all waits, because hardly any does."""
        self._watching = self._waiter is not None and not self._waiter.done()
        if self._watching and self._waiter is not None:
            loop = asyncio.get_running_loop()
            if loop.time() >= self._deadline:
                self._waiter.set_exception(TimeoutError(f"no answer for {self._timeout_seconds:g} s"))
                self._watching = False
            else:
                loop.call_at(self._deadline, self._watch)

    def is_open(self) -> bool:
        """Whether the connection still stands, as far as is known."""
        return self._lost is None

    def quit(self) -> None:
        """Ends it in good order; does not wait."""
        if self._transport is not None:
            self._transport.write(b"QUIT\r\n")
            self._transport.close()

    def close(self) -> None:
        """Ends it without a word."""
        self._lost = self._lost or ConnectionError("closed")
        if self._transport is not None:
            self._transport.abort()

    async def _hello(self, name: str) -> set[str]:
        self.write(f"EHLO {name}\r\n".encode())
        reply = await self._expect(250)
        return {line.split(" ")[0].upper() for line in reply.text.split("\n")[1:]}

    async def _expect(self, code: int) -> Reply:
        reply = await self.reply()
        if reply.code != code:
            raise Refused(reply)
        return reply

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        *lines, self._received = (self._received + data).split(b"\n")
        for raw in lines:
            line = raw.decode("utf-8", "replace").rstrip("\r")
            self._lines.append(line[4:])
            if line[3:4] != "-":
                code = int(line[:3]) if line[:3].isdigit() else 500
                self._replies.append(Reply(code, "\n".join(self._lines)))
                self._lines.clear()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = self._lost or exc or ConnectionError("The server closed the connection")
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
