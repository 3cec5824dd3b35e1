"""Bounces of servers that keep to no standard: what subject and text say, in the words that mail servers use. Pure.

A person who writes about a parcel uses some of the same words ("the delivery failed"), so of a sender like any other
more is asked: a failing subject, and in the text what only mail servers write.
"""

import re
from typing import NamedTuple

LONGEST = 20_000
"""Characters of a text that are looked at."""

FAILED = re.compile(
    r"undeliver|non-?deliver|not (be )?deliver(ed)?|(could|can) ?(not|n.t) (be )?(deliver|sen[dt])"
    r"|unable to (deliver|send)|deliver\w* .{0,40}(fail|error|problem)|(fail|error|problem)\w* .{0,40}deliver"
    r"|failure notice|fatal error|returned (mail|to sender|message)|permanent(ly)? (error|fail)|mail error"
    r"|delivery status notification|mailbox (is )?(full|unavailable|exceeded)|wasn.t found at|error code"
    r"|メールエラー|送信できませんでした",
    re.IGNORECASE,
)
STILL_TRIED = re.compile(
    r"\bdelay(ed)?\b|not yet (been )?deliver|still (being )?(tr(y|ied)|attempt)|will (be )?(retr|keep|continue)"
    r"|attempts will continue|you do not need to resend|only a warning|could not send message for past",
    re.IGNORECASE,
)
GIVEN_UP = re.compile(
    r"giv(en?|ing) up|permanent|returned mail|has been removed|no longer|fatal|undeliverable", re.IGNORECASE
)
STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
REPLY = re.compile(r"(?<![\d.])[45]\d\d[ -]|\b[45]\.\d{1,3}\.\d{1,3}\b|SMTP error", re.IGNORECASE)
SERVERS_ALONE = re.compile(r"\b[45]\.\d{1,3}\.\d{1,3}\b|\bSMTP\b|\bRCPT TO\b|\bMAIL FROM\b", re.IGNORECASE)
ORIGINAL = re.compile(
    r"^\W*(original|returned|unsent|undelivered) (message|mail)|^\W*(below|this|here) is a copy|^\W*header of the"
    r"|^\W*message headers? follow|^Received: ",
    re.IGNORECASE | re.MULTILINE,
)
"""Where the message begins that is given back; what stands in it is not the server's."""


class Told(NamedTuple):
    """What a server said of a message."""

    is_delayed: bool
    status: str  # enhanced status code (RFC 3463); 5.0.0 where it says none
    said: str


def read(subject: str, text: str, *, is_servers: bool, is_returned: bool) -> Told | None:
    """What is said of a message's delivery; None where none is spoken of.

    `is_servers`: a mail server sent it; `is_returned`: it came to a return path, where nobody writes but machines.
    """
    text = text[:LONGEST]
    original = ORIGINAL.search(text)
    if original and original.start():
        text = text[: original.start()]
    reply, whole = REPLY.search(text), f"{subject}\n{text}"
    if is_servers:
        is_failure = bool(reply or FAILED.search(whole) or STILL_TRIED.search(whole))
    else:
        is_failure = bool(FAILED.search(subject) and (is_returned or SERVERS_ALONE.search(text)))
    if not is_failure:
        return None
    if STILL_TRIED.search(whole) and not GIVEN_UP.search(whole):
        return Told(True, "", subject)
    status = STATUS.search(text)
    begin = text.rfind("\n", 0, reply.start()) + 1 if reply else 0
    return Told(False, status[1] if status else "5.0.0", text[begin:].strip())
