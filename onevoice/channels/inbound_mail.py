"""What an e-mail that comes back to us is: a bounce, a complaint, an automatic answer, or a person's words. Pure.

Read are delivery reports (RFC 3464), abuse reports (RFC 5965), the marks of automatic answers (RFC 3834 and what is
used beside it), and by their words (bounce_words.py, flufl.bounce) the bounces of servers that write as they please.
Which message of ours a report is about is told only by what we have signed: the return path (VERP), or the unsubscribe
link in the part that came back. A Message-ID can be guessed, so it does no more than name what a person answers.
"""

import email
import email.policy
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage, Message
from email.utils import getaddresses, parsedate_to_datetime
from enum import StrEnum

from flufl.bounce import all_failures

from onevoice.channels import bounce_words

LARGEST = 20_000_000  # bytes; a larger one is not read

_TOKEN = re.compile(r"\bb\+([a-z2-7]{20})@", re.IGNORECASE)
_UNSUBSCRIBE = re.compile(r"/u/([A-Za-z0-9_-]{16})(?![A-Za-z0-9_-])")
_ID = re.compile(r"<([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})@", re.IGNORECASE)
_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_AUTOMATIC_SUBJECT = re.compile(
    r"^\s*(auto(matic|matische)?[ -]?(reply|response|antwort)|out of (the )?office|risposta automatica|fuori sede"
    r"|r[ăa]spuns automat|balasan otomatis|رد تلقائي|abwesenheit)",
    re.IGNORECASE,
)
_QUOTE = re.compile(
    r"^(>.*|On .{5,200}wrote:|Il .{5,200}ha scritto:|Pe .{5,200}a scris:|Pada .{5,200}menulis:|كتب.{0,200}:"
    r"|-{2,} ?(Original Message|Messaggio originale|Mesaj original|Pesan asli).*|_{10,})\s*$",
    re.IGNORECASE,
)
_COMPLAINT_SUBJECT = re.compile(r"\s*complaint about message from ", re.IGNORECASE)
"""Outlook.com's complaints are no reports of RFC 5965: a subject, and the message."""

_COMPLAINTS = ("abuse", "fraud", "other", "virus", "opt-out", "opt-out-list")

_ABOUT_ADDRESS = frozenset(("5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1", "5.4.4", "5.5.0"))
"""The address or its domain is none (RFC 3463). Other failures, 5.2.2 (full) and 5.7.x (refused), may pass."""


class What(StrEnum):
    """What came."""

    HARD_BOUNCE = "hard_bounce"  # the address is none
    SOFT_BOUNCE = "soft_bounce"  # this message did not arrive; another may
    DELAY = "delay"  # it is still tried
    DELIVERED = "delivered"  # a receipt that somebody asked for
    COMPLAINT = "complaint"
    AUTO_REPLY = "auto_reply"
    REPLY = "reply"  # a person wrote


@dataclass(frozen=True)
class InboundMail:
    """An e-mail, read."""

    what: What
    occurred_at: datetime
    id: str  # makes a repetition recognisable
    return_token: str = ""  # of our message: from the return path
    unsubscribe_token: str = ""  # of our message: from its unsubscribe link
    status: str = ""  # enhanced status code (RFC 3463) of a bounce
    said: str = ""  # in the server's words
    sender: str = ""  # of a reply
    subject: str = ""
    text: str = ""  # of a reply, without what it quotes
    answers: str = ""  # the id of the message that a reply names


def read(raw: bytes, received_at: datetime, recipient: str = "") -> InboundMail:
    """Reads an e-mail. `recipient` is the address it was delivered to, where the mail server says it."""
    mail = email.message_from_bytes(raw[:LARGEST], policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    sent_to = " ".join([recipient, *_all(mail, "delivered-to", "x-original-to", "to")])
    returned = _returned(mail)
    token = _TOKEN.search(sent_to) or _TOKEN.search(returned)
    link = _UNSUBSCRIBE.search(returned)
    own_id = _first(mail, "message-id")
    what, status, said = _kind(mail, is_returned=bool(_TOKEN.search(sent_to)))
    at = _when(mail, received_at)
    named = _ID.search(" ".join(_all(mail, "in-reply-to", "references")))
    written = what is What.REPLY
    return InboundMail(
        what,
        at,
        own_id or f"{at.isoformat()} {sent_to}",
        return_token=token[1].lower() if token else "",
        unsubscribe_token=link[1] if link else "",
        status=status,
        said=said[:500],
        sender=_sender(mail),
        subject=_first(mail, "subject"),
        text=_words(mail) if written else "",
        answers=named[1].lower() if named else "",
    )


def _kind(mail: EmailMessage, *, is_returned: bool) -> tuple[What, str, str]:
    """What it is, a bounce's status and words. `is_returned`: it came to a return path, where no person writes."""
    report = mail.get_param("report-type", "") if mail.get_content_type() == "multipart/report" else ""
    if report == "feedback-report" or _part(mail, "message/feedback-report") is not None:
        feedback = _fields(_part(mail, "message/feedback-report"))
        kind = feedback.get("feedback-type", "abuse").lower()
        # RFC 5965, 7.3; not-spam takes a complaint back, which changes nothing here; auth-failure is about DKIM.
        return (What.COMPLAINT if kind in _COMPLAINTS else What.AUTO_REPLY), "", kind
    if _COMPLAINT_SUBJECT.match(_first(mail, "subject")) and _part(mail, "message/rfc822") is not None:
        return What.COMPLAINT, "", "abuse"
    delivery = _part(mail, "message/delivery-status") or _part(mail, "message/global-delivery-status")
    reported = _reported(delivery) if delivery is not None else (What.AUTO_REPLY, "", "")
    if reported[0] is not What.AUTO_REPLY:
        return reported
    is_answered = bool(_AUTOMATIC_SUBJECT.search(_first(mail, "subject")))
    if not is_answered:
        is_servers = _is_from_a_server(mail)
        subject = _first(mail, "subject")
        told = bounce_words.read(subject, _plain(mail), is_servers=is_servers, is_returned=is_returned)
        if told is not None:
            return (What.DELAY, "", told.said) if told.is_delayed else _failure(told.status, told.said)
    if _is_automatic(mail):
        failed = _failures(mail)
        if failed[1]:
            found = _STATUS.search(_plain(mail))
            return _failure(found[1] if found else "5.0.0", _plain(mail).strip())
        if failed[0]:
            return What.DELAY, "", _first(mail, "subject")
        return What.AUTO_REPLY, "", _first(mail, "subject")
    permanent = _failures(mail)[1] if _is_from_a_server(mail) else None
    if permanent:
        found = _STATUS.search(_plain(mail))
        return _failure(found[1] if found else "5.0.0", _plain(mail).strip())
    return (What.AUTO_REPLY if _is_from_a_server(mail) else What.REPLY), "", ""


def _reported(delivery: Message) -> tuple[What, str, str]:
    """What a delivery report says of its first recipient; ours go to one."""
    blocks = delivery.get_payload()
    for block in blocks if isinstance(blocks, list) else [delivery]:
        fields = _fields(block) if isinstance(block, Message) else {}
        if "action" not in fields and "status" not in fields:
            continue
        action = fields.get("action", "failed").split()[0].lower()
        found = _STATUS.search(fields.get("status", ""))
        status = found[1] if found else ""
        said = fields.get("diagnostic-code", "")
        better = _STATUS.search(said)
        if status.endswith(".0.0") and better:  # many write 5.0.0 there and the reason in the text
            status = better[1]
        if action == "delayed" or (status.startswith("4.") and action != "failed"):
            return What.DELAY, status, said
        if action == "failed":
            return _failure(status, said)
        return What.DELIVERED, status, said
    return What.AUTO_REPLY, "", ""


def _failure(status: str, said: str) -> tuple[What, str, str]:
    hard = status in _ABOUT_ADDRESS or (
        status.endswith(".0.0") and status.startswith("5") and bool(_UNKNOWN.search(said))
    )
    return (What.HARD_BOUNCE if hard else What.SOFT_BOUNCE), status or "5.0.0", " ".join(said.split())


_UNKNOWN = re.compile(
    r"(user|mailbox|recipient|account|address|host|domain)[^.\n]{0,40}(unknown|not found|does not exist|doesn't exist"
    r"|no such|invalid|disabled|unavailable)|(no such|unknown|invalid) (user|mailbox|recipient|address|domain|host)",
    re.IGNORECASE,
)


def _failures(mail: EmailMessage) -> tuple[bool, bool]:
    """Whether flufl.bounce finds a temporary or a permanent failure; its detectors stumble over broken headers."""
    try:
        temporary, permanent = all_failures(mail)
    except (LookupError, ValueError, AttributeError, TypeError):
        return False, False
    return bool(temporary), bool(permanent)


def _is_automatic(mail: EmailMessage) -> bool:
    submitted = _first(mail, "auto-submitted").split(";")[0].strip().lower()
    marks = _all(mail, "x-autoreply", "x-autorespond", "x-auto-response-suppress", "x-autoresponder", "x-vacation")
    return (
        (submitted not in ("", "no"))
        or any(mark.strip().lower() != "no" for mark in marks)
        or _first(mail, "precedence").strip().lower() in ("auto_reply", "junk")
        or bool(_AUTOMATIC_SUBJECT.search(_first(mail, "subject")))
        or _first(mail, "return-path").strip() == "<>"
    )


def _is_from_a_server(mail: EmailMessage) -> bool:
    return _sender(mail).partition("@")[0].lower() in ("", "mailer-daemon", "postmaster", "mail-daemon")


def _returned(mail: EmailMessage) -> str:
    """Of our own message, what came back within: its headers, as text."""
    for kind in ("message/rfc822", "text/rfc822-headers", "message/global-headers", "message/rfc822-headers"):
        part = _part(mail, kind)
        if part is None:
            continue
        inner = part.get_payload()
        if isinstance(inner, list) and inner and isinstance(inner[0], Message):
            return "\n".join(f"{name}: {value}" for name, value in inner[0].raw_items())
        decoded = part.get_payload(decode=True)
        return decoded.decode("utf-8", "replace") if isinstance(decoded, bytes) else str(inner)
    return _plain(mail) if _is_from_a_server(mail) or _is_automatic(mail) else ""


def _part(mail: Message, kind: str) -> Message | None:
    """The first part of this kind, without looking into messages within."""
    if mail.get_content_type() == kind:
        return mail
    if not mail.is_multipart() or mail.get_content_maintype() == "message":
        return None
    for part in mail.get_payload():
        found = _part(part, kind) if isinstance(part, Message) else None
        if found is not None:
            return found
    return None


def _fields(part: Message | None) -> dict[str, str]:
    """Header-like lines, by name in lower case; `rfc822;` and its like are taken off."""
    if part is None:
        return {}
    items = list(part.raw_items())
    payload = part.get_payload()
    if not items or part.get_content_type() == "message/feedback-report":
        inner = payload[0] if isinstance(payload, list) and payload else None
        if isinstance(inner, Message):
            items = list(inner.raw_items())
        elif isinstance(payload, str):
            items = list(email.message_from_string(payload).raw_items())
    return {str(name).lower(): re.sub(r"^\s*[\w-]+;\s*", "", " ".join(str(value).split())) for name, value in items}


def _words(mail: EmailMessage) -> str:
    """What a person wrote, without what is quoted below it."""
    lines: list[str] = []
    for line in _plain(mail).splitlines():
        if _QUOTE.match(line.strip()) or line.rstrip("\n") == "-- ":
            break
        lines.append(line.rstrip())
    return "\n".join(lines).strip()


def _plain(mail: EmailMessage) -> str:
    part = mail.get_body(("plain", "html"))
    if part is None:
        return ""
    try:
        text = str(part.get_content())
    except (LookupError, KeyError, ValueError):  # a charset that is none
        payload = part.get_payload(decode=True)
        text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    return re.sub(r"<[^>]*>", " ", text) if part.get_content_subtype() == "html" else text


def _sender(mail: EmailMessage) -> str:
    found = getaddresses(_all(mail, "from"))
    return found[0][1] if found else ""


def _when(mail: EmailMessage, received_at: datetime) -> datetime:
    """The mail's own date, never after it came."""
    try:
        at = parsedate_to_datetime(_first(mail, "date"))
    except (ValueError, TypeError, IndexError):
        return received_at
    return min(at if at.tzinfo else at.replace(tzinfo=UTC), received_at)


def _first(mail: EmailMessage, name: str) -> str:
    found = _all(mail, name)
    return found[0] if found else ""


def _all(mail: EmailMessage, *names: str) -> list[str]:
    """The headers' values; one that cannot be parsed is as it came."""
    found: list[str] = []
    for name, value in mail.raw_items():
        if name.lower() in names:
            try:
                found.append(str(mail.policy.header_fetch_parse(name, value)))
            except (ValueError, IndexError, AttributeError, TypeError):  # the parser's own faults on broken headers
                found.append(str(value))
    return found
