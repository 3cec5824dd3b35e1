"""What follows from news of a message besides the news: a dead address is suppressed, a complaint withdraws consent."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from onevoice.channels.adapter import Failure, MessageNews, News
from onevoice.customers import consent, suppression
from onevoice.customers.consent import Consent
from onevoice.customers.suppression import Suppressed, address_hash
from onevoice.database import driver, inbox
from onevoice.delivery.schemas import TEST, MessageEntry
from onevoice.delivery.settlement import entry
from onevoice.kernel.ids import fact_id

SOFT_BOUNCES = 5
SOFT_WITHIN = timedelta(days=30)
"""So many messages that came back within such a time, though the address might be good, make it a dead one."""


class About(NamedTuple):
    """What is known of a message that news are about. Of a test nothing is: what its reader does is no customer's."""

    id: UUID
    channel: str
    identifier_id: int
    address: str
    topic: str
    locale: str
    attempted_at: datetime | None = None

    @classmethod
    def find(cls, connection: Connection, message_id: UUID | str) -> "About | None":
        """By the message's id."""
        return cls._where(connection, "id = %s", message_id)

    @classmethod
    def numbered(cls, connection: Connection, number: int) -> "About | None":
        """By the number that its links carry."""
        return cls._where(connection, "number = %s", number)

    @classmethod
    def _where(cls, connection: Connection, condition: str, value: object) -> "About | None":
        with driver(connection) as raw:
            asked = f"SELECT {COLUMNS} FROM message WHERE {condition} AND step <> %s"  # noqa: S608
            row = raw.execute(asked, (value, TEST)).fetchone()
        return cls(*row) if row else None


COLUMNS = ", ".join(About._fields)


def consequential(news: MessageNews) -> bool:
    """Whether more follows from it than the news itself."""
    return news.address_is_dead or news.news is News.COMPLAINED or news.failure is not Failure.FINAL


def act(connection: Connection, secret: bytes, news: Iterable[MessageNews], now: datetime, origin: str) -> None:
    """Does what follows. Twice is once."""
    for one in news:
        if not one.address_is_dead and one.news is not News.COMPLAINED:
            continue
        about = About.find(connection, one.message_id)
        if about is None:
            continue
        complained = one.news is News.COMPLAINED
        reason = "complained" if complained else "bounced"
        listed = Suppressed(about.channel, about.address, reason, one.occurred_at)
        suppression.suppress(connection, secret, [listed], now)
        if complained:
            withdraw(connection, about, origin, {"message": str(about.id)}, now)


def withdraw(
    connection: Connection, about: About, origin: str, evidence: Mapping[str, Any], now: datetime, shown: str = ""
) -> None:
    """Withdraws the consent of the message's channel and topic, unless that has been done."""
    asked = [(about.identifier_id, about.channel, about.topic)]
    if consent.permissions(connection, asked, now)[0].state == "withdrawn":
        return
    withdrawal = Consent(
        about.identifier_id,
        about.channel,
        about.topic,
        "withdrawn",
        now,
        origin,
        evidence=evidence,
        text=shown,
        locale=about.locale if shown else "",
        actor="system" if origin == "webhook" else "customer",
    )
    consent.record(connection, [withdrawal], now)
    event_id = fact_id("unsubscribed", about.id, now.isoformat()).hex
    inbox.append(connection, [entry(MessageEntry(str(about.id), event_id, News.UNSUBSCRIBED, now), now)])


def count_soft(connection: Connection, secret: bytes, about: About, at: datetime, now: datetime) -> bool:
    """Notes that a message came back from an address that may be good; True where it is one too many."""
    hashed = address_hash(secret, about.channel, about.address)
    with driver(connection) as raw:
        raw.execute(
            "INSERT INTO soft_bounce VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (about.channel, hashed, about.id, at),
        )
        row = raw.execute(
            "SELECT count(*) FROM soft_bounce WHERE channel = %s AND address_hash = %s AND bounced_at > %s",
            (about.channel, hashed, now - SOFT_WITHIN),
        ).fetchone()
    return bool(row and row[0] >= SOFT_BOUNCES)
