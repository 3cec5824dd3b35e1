"""An SMTP server that keeps what it is sent: counts every message, by id, so that lost and doubled ones show."""

import asyncio
import email
import email.policy
import itertools
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import cast

CUT = "cut"
"""An answer that is none: the connection is cut off."""

Answers = Callable[[str, str], str | None]
"""(`RCPT` or `END`, recipient) -> the reply to give instead of the usual one, CUT, or None."""

_ID = re.compile(rb"^Message-ID:\s*<([^@>\s]+)", re.IGNORECASE | re.MULTILINE)
_PATH = re.compile(r"<([^>]*)>")
_OFFERED = b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"
_END = b"\r\n.\r\n"


@dataclass(frozen=True)
class Mail:
    """One message as it arrived."""

    id: str  # the part of Message-ID before the @: the message's id
    recipient: str
    raw: bytes

    def parsed(self) -> EmailMessage:
        """The message, read."""
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    def part(self, kind: str) -> str:
        """The text of the `plain` or `html` part."""
        found = self.parsed().get_body((kind,))
        return str(found.get_content()) if found is not None else ""


class SmtpSink:
    """The server. `received` counts deliveries per message id; `mails` keeps them in order where `keep` is set."""

    def __init__(
        self,
        port: int = 0,
        *,
        keep: bool = True,
        delay_seconds: float = 0.0,
        pipelining: bool = True,
        answers: Answers = lambda _verb, _argument: None,
    ) -> None:
        self.port = port
        self.keep, self.delay_seconds, self.answers, self.pipelining = keep, delay_seconds, answers, pipelining
        self.received: Counter[str] = Counter()
        self.mails: list[Mail] = []
        self.numbers = itertools.count(1)
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()

    @property
    def duplicates(self) -> int:
        """Messages that came more often than once, counted for each time too many."""
        return self.received.total() - len(self.received)

    async def start(self) -> None:
        """Listens; `port` is then the real one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Closes the port and all connections."""
        if self._server is not None:
            self._server.close()
            for connection in list(self._open):
                connection.cut()
            await self._server.wait_closed()

    def take(self, recipient: str, raw: bytes) -> None:
        """Counts and keeps a message; from here on it has been received."""
        found = _ID.search(raw)
        message_id = found[1].decode() if found else ""
        self.received[message_id] += 1
        if self.keep:
            self.mails.append(Mail(message_id, recipient, raw))


class _Connection(asyncio.Protocol):
    """One client's session."""

    def __init__(self, sink: SmtpSink) -> None:
        self.sink = sink
        self.buffer = b""
        self.in_data = self.delayed = False
        self.recipient = ""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self.sink._open.add(self)
        self.transport.write(b"220 sink.example ESMTP\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self.sink._open.discard(self)

    def cut(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self._work()

    def _work(self) -> None:
        """Takes what has come, in order; what is behind a delayed answer waits."""
        while not self.delayed:
            if self.in_data:
                # The end may lie at the very start: an empty message.
                end = 0 if self.buffer.startswith(b".\r\n") else self.buffer.find(_END) + 2
                if end == 1:
                    return
                message, self.buffer = self.buffer[:end], self.buffer[end + 3 :]
                self.in_data = False
                self._message(message)
            else:
                line, found, rest = self.buffer.partition(b"\r\n")
                if not found:
                    return
                self.buffer = rest
                self._command(line.decode("utf-8", "replace"))

    def _command(self, line: str) -> None:
        verb = line[:4].upper()
        if verb in ("MAIL", "RCPT"):
            found = _PATH.search(line)
            argument = found[1] if found else ""
            if verb == "RCPT":
                self.recipient = argument
                self._say(self.sink.answers("RCPT", argument) or "250 2.1.5 ok")
            else:
                self.recipient = ""
                self._say("250 2.1.0 ok")
        elif verb == "DATA":
            if self.recipient and not self.sink.answers("RCPT", self.recipient):
                self.in_data = True
                self._say("354 go on")
            else:
                self._say("554 5.5.1 no valid recipients")
        elif verb == "EHLO":
            self._write(_OFFERED if self.sink.pipelining else _OFFERED.replace(b"250-PIPELINING\r\n", b""))
        elif verb == "QUIT":
            self._say("221 2.0.0 bye")
            if self.transport is not None:
                self.transport.close()
        else:
            self._say("250 2.0.0 ok")

    def _message(self, message: bytes) -> None:
        answer = self.sink.answers("END", self.recipient)
        if answer is None:
            self.sink.take(self.recipient, message.replace(b"\r\n..", b"\r\n."))
            answer = f"250 2.0.0 ok: queued as {next(self.sink.numbers):X}"
        if self.sink.delay_seconds:
            self.delayed = True
            asyncio.get_running_loop().call_later(self.sink.delay_seconds, self._say_late, answer)
        else:
            self._say(answer)

    def _say_late(self, answer: str) -> None:
        self.delayed = False
        self._say(answer)
        self._work()

    def _say(self, answer: str) -> None:
        if answer == CUT:
            self.cut()
        else:
            self._write(answer.encode() + b"\r\n")

    def _write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)
