"""E-mail by SMTP: one message to one recipient, over a few connections kept busy by pipelining.

What is known after each step decides the outcome: refused for now is tried again, refused for good has failed, cut off
before the message's final dot went out was not sent, cut off after it may have been.
"""

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from onevoice.channels import mime
from onevoice.channels.adapter import Concern, MessageNews, OutboundMessage, Outcome, Status, WebhookRequest
from onevoice.channels.dkim import Signer
from onevoice.channels.mime import date, header_text
from onevoice.channels.smtp_session import CUT, Refused, Reply, Server, Session
from onevoice.kernel.errors import ConfigurationError, NotFound

IDLE_SECONDS = 30.0
"""An idle connection is closed before the server does it."""

LOGIN_REFUSED = frozenset((530, 534, 535))
"""Authentication is wanted, or was wrong (RFC 4954 §6)."""

_ADDRESS = re.compile(r"[^\s\x00-\x1f\x7f<>(),;:\\\"@\[\]]+@[^\s\x00-\x1f\x7f<>(),;:\\\"@]+")


@dataclass
class _Job:
    """A message on its way, and who waits for its outcome."""

    envelope: tuple[bytes, bytes]  # MAIL and RCPT
    data: bytes
    done: "asyncio.Future[Outcome]"
    begun_anew: bool = False

    def settle(self, outcome: Outcome) -> None:
        if not self.done.done():
            self.done.set_result(outcome)


class SmtpAdapter:
    """The adapter `smtp`. Reports no delivery: what comes back later are bounces by e-mail (delivery/mailbox.py).

    `bounce_domain`: each message's return path is `b+TOKEN@` it (VERP), so that a bounce names its message. `dkim`: the
    file of the private key per selector; it signs for `dkim_domain`, else the sender's.
    """

    channel = "email"
    tells_delivery = False

    def __init__(
        self,
        host: str = "localhost",
        port: int = 25,
        sender: str = "",
        sender_name: str = "",
        reply_to: str = "",
        security: str = "auto",
        username: str = "",
        password: str = "",
        connections: int = 20,
        timeout_seconds: float = 60.0,
        local_hostname: str = "",
        bounce_domain: str = "",
        dkim: Mapping[str, str] | None = None,
        dkim_domain: str = "",
        price: str = "0",
    ) -> None:
        if not _ADDRESS.fullmatch(sender):
            raise ConfigurationError(f"channels.email: sender is {sender!r}; set it to the address mail comes from")
        if security not in ("none", "starttls", "tls", "auto"):
            raise ConfigurationError(f"channels.email: security is {security!r}; use none, starttls, tls or auto")
        self.price = Decimal(str(price))
        name = local_hostname or socket.getfqdn()
        self._server = Server(host, int(port), security, username, password, name, float(timeout_seconds))
        self._sender, self._bounce_domain = sender, bounce_domain
        self._domain = sender.rpartition("@")[2]
        self._sender_name, self._reply_to = sender_name, [("Reply-To", reply_to)] if reply_to else []
        self._signer = Signer(dkim_domain or self._domain, dkim) if dkim else None
        self._feedback_sender = re.sub(r"[^A-Za-z0-9]+", "-", self._domain)[:15].strip("-")
        self._size = int(connections)
        self.at_once = 2 * self._size  # the next envelope goes out behind a message's data
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._lanes: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Starts the lanes; each connects when it gets its first message."""
        self._jobs = asyncio.Queue()
        self._lanes = [asyncio.create_task(_Lane(self._server, self._jobs).run()) for _ in range(self._size)]

    async def close(self) -> None:
        """Ends the connections."""
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)

    async def send(self, message: OutboundMessage) -> Outcome:
        """Tries once."""
        address = _ascii(message.address)
        if address is None:
            error = f"{message.address!r} is no address that SMTP can carry"
            return Outcome(Status.FAILED, error_code="invalid_address", error=error, address_is_dead=True)
        data = self.encoded(message, address)
        job = _Job(
            (f"MAIL FROM:<{self.return_path(message)}>\r\n".encode(), f"RCPT TO:<{address}>\r\n".encode()),
            data,
            asyncio.Future(),
        )
        self._jobs.put_nowait(job)
        return await job.done

    def encoded(self, message: OutboundMessage, address: str = "") -> bytes:
        """The message as it goes over the wire, from its headers to the final dot."""
        headers = self._headers(message, address or message.address)
        body = mime.body(message.content.get("text", ""), message.content.get("html", ""))
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers]).encode()
        signatures = self._signer.signatures(headers, body, int(time.time())) if self._signer else b""
        return b"%b%b\r\n%b.\r\n" % (signatures, lines, body)

    def return_path(self, message: OutboundMessage) -> str:
        """Where bounces go."""
        if not self._bounce_domain or not message.token:
            return self._sender
        return f"b+{message.token}@{self._bounce_domain}"

    def _headers(self, message: OutboundMessage, address: str) -> list[tuple[str, str]]:
        headers = [
            ("From", _mailbox(self._sender, message.sender_name or self._sender_name)),
            *self._reply_to,
            ("To", address),
            ("Subject", header_text(message.content["subject"])),
            ("Date", date()),
            ("Message-ID", f"<{message.id}@{self._domain}>"),
            ("Auto-Submitted", "auto-generated"),  # RFC 3834, 5: nobody's holiday notice need answer it
        ]
        if message.unsubscribe_url:
            headers.append(("List-Unsubscribe", f"<{message.unsubscribe_url}>"))
            headers.append(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
        if message.group:
            headers.append(("Feedback-ID", _feedback_id(message.group, self._feedback_sender)))
        return headers + list(mime.HEADERS)

    def news(self, request: WebhookRequest) -> list[MessageNews]:
        """SMTP servers call nobody."""
        raise NotFound("The smtp adapter has no webhook")

    def parts(self, content: Mapping[str, str]) -> int:
        """An e-mail is one e-mail."""
        return 1


@lru_cache(maxsize=1_000)
def _feedback_id(group: str, sender: str) -> str:
    """As Gmail's feedback loop counts complaints: up to three names of ours, then the sender's, the same in all mail.

    https://support.google.com/a/answer/6254652
    """
    names = [re.sub(r"[^A-Za-z0-9_-]+", "-", name) for name in group.split(":")[:3]]
    return ":".join([*names, *[""] * (3 - len(names)), sender])


@lru_cache(maxsize=1_000)
def _mailbox(address: str, name: str) -> str:
    """An address with the name to show (RFC 5322 §3.4)."""
    if not name:
        return address
    plain = re.sub(r'[\r\n"\\]', " ", name)
    return f'"{plain}" <{address}>' if plain.isascii() else f"{header_text(plain)} <{address}>"


def _ascii(address: str) -> str | None:
    """The address as SMTP without SMTPUTF8 can carry it, its domain in A-labels; None where that is impossible."""
    if not _ADDRESS.fullmatch(address):
        return None
    if address.isascii():
        return address
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{domain.encode('idna').decode()}" if local.isascii() else None
    except UnicodeError:
        return None


class _Lane:
    """One connection and the task that keeps it busy. The next message's envelope goes out behind this one's data."""

    def __init__(self, server: Server, jobs: "asyncio.Queue[_Job]") -> None:
        self._server, self._jobs = server, jobs
        self._session: Session | None = None

    async def run(self) -> None:
        """Carries messages until it is cancelled."""
        waiting: _Job | None = None
        announced = False
        try:
            while True:
                if waiting is None:
                    waiting, announced = await self._next(), False
                if not announced and not await self._announce(waiting):
                    waiting = None
                    continue
                waiting, announced = await self._carry(waiting)
        finally:
            self._leave()

    async def _next(self) -> _Job:
        if self._session is None:
            return await self._jobs.get()
        try:
            return await asyncio.wait_for(self._jobs.get(), IDLE_SECONDS)
        except TimeoutError:
            self._leave()
            return await self._jobs.get()

    async def _announce(self, job: _Job) -> bool:
        """Sends the envelope, over a new connection where there is none; False where that cannot be had."""
        if self._session is not None and not self._session.is_open():
            self._drop()
        if self._session is None:
            job.begun_anew = True
            try:
                self._session = await Session.open(self._server)
            except Refused as refused:
                job.settle(_session_refused(refused.reply))
                return False
            except (*CUT, ValueError) as error:
                job.settle(_unsent(error))
                return False
        if self._session.pipelining:
            self._session.write(_envelope(job))
        return True

    async def _carry(self, job: _Job) -> tuple[_Job | None, bool]:
        """Brings one message to its outcome; returns what comes next and whether its envelope is sent already."""
        session = self._session
        assert session is not None
        try:
            refusal = await self._envelope_refused(session, job)
        except CUT as error:
            self._drop()
            if not job.begun_anew:  # the server had closed an idle connection; nothing was lost
                return job, False
            job.settle(_unsent(error))
            return None, False
        if refusal is not None:
            job.settle(refusal)
            return None, False
        if session.pipelining and self._jobs.empty():
            await asyncio.sleep(0)  # whoever has just heard of the message before may bring the next
        following = self._following() if session.pipelining else None
        session.write(job.data + _envelope(following) if following else job.data)
        try:
            reply = await session.reply()
        except CUT as error:
            self._drop()
            error_text = str(error) or type(error).__name__
            job.settle(Outcome(Status.IN_DOUBT, error_code="connection_cut", error=error_text))
            return following, False
        job.settle(_after_data(reply))
        if reply.code == 421:
            self._drop()
            return following, False
        return following, following is not None

    def _following(self) -> _Job | None:
        with contextlib.suppress(asyncio.QueueEmpty):
            return self._jobs.get_nowait()
        return None

    async def _envelope_refused(self, session: Session, job: _Job) -> Outcome | None:
        """Waits for the server's word on MAIL, RCPT and DATA; None where it wants the message. Raises one of CUT."""
        mail = recipient = data = Reply(0, "")
        if session.pipelining:
            mail, recipient, data = await session.reply(), await session.reply(), await session.reply()
        else:
            session.write(job.envelope[0])
            mail = await session.reply()
            if mail.code == 250:
                session.write(job.envelope[1])
                recipient = await session.reply()
            if recipient.code in (250, 251):
                session.write(b"DATA\r\n")
                data = await session.reply()
        if mail.code == 250 and recipient.code in (250, 251) and data.code == 354:
            return None
        if data.code == 354:  # RFC 2920 §3.1: a server may want data for nobody; it gets none
            session.write(b".\r\n")
            await session.reply()
        elif 421 in (mail.code, recipient.code, data.code):
            self._drop()
        else:
            session.write(b"RSET\r\n")
            await session.reply()
        if mail.code != 250:
            return _session_refused(mail)
        return _refused(recipient if recipient.code not in (250, 251) else data)

    def _leave(self) -> None:
        if self._session is not None:
            self._session.quit()
            self._session = None

    def _drop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


def _envelope(job: _Job) -> bytes:
    return b"%s%sDATA\r\n" % job.envelope


def _after_data(reply: Reply) -> Outcome:
    if 200 <= reply.code < 300:
        return Outcome(Status.ACCEPTED, provider_id=reply.text.rpartition(" ")[2][:100])
    return _refused(reply)


def _refused(reply: Reply) -> Outcome:
    """What a refused recipient or message means: 4xx later, 5xx never. 5.1.x says that the address is at fault."""
    if reply.code < 500:
        return _not_now(reply)
    dead = reply.status.startswith("5.1.") and reply.status != "5.1.8"  # 5.1.8 is the sender's address (RFC 3463)
    return Outcome(Status.FAILED, error_code=reply.status, error=_said(reply), address_is_dead=dead)


def _not_now(reply: Reply) -> Outcome:
    concerns = Concern.PROVIDER if reply.code == 421 else Concern.MESSAGE
    return Outcome(Status.RETRY, error_code=reply.status, error=_said(reply), concerns=concerns)


def _session_refused(reply: Reply) -> Outcome:
    """A server that refuses the session or the sender, even for good, has said nothing about this message."""
    concerns = Concern.ACCOUNT if reply.code in LOGIN_REFUSED else Concern.PROVIDER
    return Outcome(Status.RETRY, error_code=reply.status, error=_said(reply), concerns=concerns)


def _unsent(error: BaseException) -> Outcome:
    why = str(error) or type(error).__name__
    return Outcome(Status.RETRY, error_code="connection_failed", error=why, concerns=Concern.PROVIDER)


def _said(reply: Reply) -> str:
    return f"{reply.code} {reply.text}"[:500]
