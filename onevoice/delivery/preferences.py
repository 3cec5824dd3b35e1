"""A customer's choices, topic by topic and channel by channel: what holds, and what a visit to their page changes.

Each change is a row of the ledger with the very text that stood on the page.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from onevoice.customers import consent
from onevoice.customers.consent import Consent, topics
from onevoice.customers.consent.policies import ALL
from onevoice.customers.consent.topics import Topic
from onevoice.database import driver
from onevoice.delivery.page import channel_name
from onevoice.delivery.preferences_words import words

ORDER = ("email", "sms", "whatsapp", "push")
"""In which channels are shown; others follow by name."""


@dataclass(frozen=True)
class Choice:
    """One switch: whether we may write about the topic on the channel."""

    topic: Topic
    channel: str
    on: bool
    state: str  # of consent.Permission

    @property
    def key(self) -> str:
        """What stands for it in a form."""
        return f"{self.topic.name}|{self.channel}"


def choices(
    connection: Connection, identifier_id: int, own: tuple[str, str], channels: Collection[str], now: datetime
) -> list[Choice]:
    """All switches of a customer, topic by topic; `own` is channel and topic of the message that led here.

    The shop's topics, and those without a title that the customer has said something about.
    """
    channel, topic = own
    listed = topics.listed(connection)
    known = {one.name for one in listed}
    said = {topic, *_topics_said(connection, identifier_id)} - known - {ALL}
    shown = [*listed, *(Topic(name) for name in sorted(said))]
    places = sorted({*channels, channel}, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    pairs = [(one, place) for one in shown for place in places]
    permissions = consent.permissions(connection, [(identifier_id, place, one.name) for one, place in pairs], now)
    return [
        Choice(one, place, permission.permitted, permission.state)
        for (one, place), permission in zip(pairs, permissions, strict=True)
    ]


def change(
    connection: Connection,
    identifier_id: int,
    held: Sequence[Choice],
    shown: Collection[str],
    wanted: Collection[str],
    locale: str,
    evidence: Mapping[str, Any],
    now: datetime,
) -> list[Consent]:
    """Writes down what the visitor has changed on the page; returns the words written.

    `shown` are the switches that were on when the page was made: what was not touched there is not changed here, though
    it may have changed since. Keys that are none of the customer's switches count for nothing.
    """
    said = []
    for choice in held:
        was, is_now = choice.key in shown, choice.key in wanted
        if was == is_now or choice.on == is_now:
            continue
        said.append(
            Consent(
                identifier_id=identifier_id,
                channel=choice.channel,
                topic=choice.topic.name,
                state="granted" if is_now else "withdrawn",
                occurred_at=now,
                origin="preference_page",
                evidence=evidence,
                text=text(choice, is_now, locale),
                locale=locale,
            )
        )
    consent.record(connection, said, now)
    return said


def stop_all(
    connection: Connection,
    identifier_id: int,
    held: Sequence[Choice],
    locale: str,
    evidence: Mapping[str, Any],
    now: datetime,
) -> list[Consent]:
    """Withdraws everything on every channel, unless that has been said and nothing is on since."""
    (all_of_it,) = consent.permissions(connection, [(identifier_id, ALL, ALL)], now)
    if all_of_it.state == "withdrawn" and not any(choice.on for choice in held):
        return []
    shown = f"{words(locale).all_explained}\n[{words(locale).all}]"
    said = Consent(
        identifier_id, ALL, ALL, "withdrawn", now, "preference_page", evidence=evidence, text=shown, locale=locale
    )
    consent.record(connection, [said], now)
    return [said]


def text(choice: Choice, on: bool, locale: str) -> str:
    """What the page said about the switch and how it was set, as it is kept."""
    own, topic = words(locale), choice.topic
    described = (
        f"{topic.title(locale)}: {topic.description(locale)}" if topic.description(locale) else topic.title(locale)
    )
    position = own.on if on else own.off
    return f"{own.meaning}\n{described}\n{channel_name(choice.channel, locale)}: {position}"


def _topics_said(connection: Connection, identifier_id: int) -> list[str]:
    with driver(connection) as raw:
        rows = raw.execute(
            """
            SELECT DISTINCT ledger.topic FROM consent_ledger ledger WHERE ledger.identifier_id IN (
                SELECT %(id)s::bigint
                UNION
                SELECT peer.identifier_id FROM identifier own JOIN identifier peer USING (customer_id)
                WHERE own.identifier_id = %(id)s)
            """,
            {"id": identifier_id},
        )
        return [row[0] for row in rows]
