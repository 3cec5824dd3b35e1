"""E-mail that comes back, taken in: by a pipe (`onevoice mail receive`), `POST /v1/mail` or a Maildir.

Twice is once. A bounce or complaint counts only where it carries what we have signed (channels/inbound_mail.py).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from mailbox import Maildir
from pathlib import Path

from sqlalchemy import Connection, Engine

from onevoice.channels.adapter import InboundMessage, MessageNews, News
from onevoice.channels.inbound_mail import InboundMail, What, read
from onevoice.database import inbox
from onevoice.delivery import consequences, inbound
from onevoice.delivery.consequences import About
from onevoice.delivery.schemas import MessageEntry
from onevoice.delivery.settlement import entry
from onevoice.delivery.tokens import Tokens, Use
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.ids import fact_id

CHANNEL = "email"


@dataclass(frozen=True)
class Received:
    """What was made of an e-mail."""

    what: str  # a word of inbound_mail.What, or `foreign`: about no message of ours, left out
    message_id: str = ""
    status: str = ""


def receive(connection: Connection, secret: bytes, raw: bytes, now: datetime, recipient: str = "") -> Received:
    """Takes one e-mail in, one in a transaction; `recipient` is where it was delivered, if the mail server says it."""
    mail = read(raw, now, recipient)
    about = _about(connection, Tokens(secret), mail)
    if mail.what is What.REPLY:
        return _reply(connection, secret, mail, about, now)
    if mail.what in (What.AUTO_REPLY, What.DELAY, What.DELIVERED):
        return Received(mail.what, str(about.id) if about else "", mail.status)
    if about is None:
        return Received("foreign", status=mail.status)
    complained = mail.what is What.COMPLAINT
    soft = mail.what is What.SOFT_BOUNCE
    dead = mail.what is What.HARD_BOUNCE or (
        soft and consequences.count_soft(connection, secret, about, mail.occurred_at, now)
    )
    news = MessageNews(
        message_id=str(about.id),
        news=News.COMPLAINED if complained else News.BOUNCED,
        occurred_at=mail.occurred_at,
        provider_event_id=fact_id("mail", mail.id).hex,
        error_code=mail.status,
        address_is_dead=dead,
        raw={"said": mail.said, "kind": mail.what.value},
    )
    event_id = fact_id("mail", about.id, news.provider_event_id).hex
    told = MessageEntry(
        news.message_id, event_id, news.news, news.occurred_at, error_code=news.error_code, detail=dict(news.raw)
    )
    inbox.append(connection, [entry(told, now)])
    consequences.act(connection, secret, [news], now, "complaint")
    return Received(mail.what, str(about.id), mail.status)


def new_in(folder: Path) -> int:
    """How many mails lie new in a Maildir."""
    return sum(1 for _ in (folder / "new").iterdir()) if (folder / "new").is_dir() else 0


def collect(
    pool: Engine, secret: bytes, folder: Path, now: Callable[[], datetime], advance: Callable[[], None] = lambda: None
) -> Counter[str]:
    """Takes in what lies new in a Maildir, and marks it as read once that is committed; returns how many of each kind.

    Killed in between, a mail is read again, and twice is once. Raises InvalidInput for a folder that is no Maildir.
    """
    if not (folder / "new").is_dir():
        raise InvalidInput(f"{folder} is no Maildir: it has no folder `new`")
    box = Maildir(folder, create=False)
    counts: Counter[str] = Counter()
    for key, mail in sorted(box.items()):
        if mail.get_subdir() != "new":
            continue
        with pool.begin() as connection:
            done = receive(connection, secret, box.get_bytes(key), now())
        mail.set_subdir("cur")
        mail.add_flag("S")
        box[key] = mail
        counts[done.what] += 1
        advance()
    return counts


def _about(connection: Connection, tokens: Tokens, mail: InboundMail) -> About | None:
    """The message it is about, by what we have signed."""
    number = tokens.read_answer(mail.return_token) if mail.return_token else None
    if number is None and mail.unsubscribe_token:
        number = tokens.read_message(mail.unsubscribe_token, Use.UNSUBSCRIBE)
    return About.numbered(connection, number) if number is not None else None


def _reply(connection: Connection, secret: bytes, mail: InboundMail, about: About | None, now: datetime) -> Received:
    if about is None and mail.answers:
        named = About.find(connection, mail.answers)
        if named is not None and named.address.lower() == mail.sender.lower():  # the id alone proves nothing
            about = named
    told = InboundMessage(
        CHANNEL,
        mail.sender,
        mail.text or mail.subject,
        mail.occurred_at,
        mail.id,
        message_id=str(about.id) if about else "",
        raw={"subject": mail.subject},
    )
    inbound.take(connection, secret, told, now)
    return Received(mail.what, told.message_id)
