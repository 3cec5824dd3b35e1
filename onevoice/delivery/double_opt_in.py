"""Double opt-in: a grant counts only once it is confirmed through the very address it is about.

Asking writes `pending` into the ledger and queues a transactional message with a link. The link's page asks; only its
button confirms, because scanners open links. A link confirms one asking, once; later it says so, or offers a new one.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from onevoice.content import templates
from onevoice.content.compiling import CONFIRM
from onevoice.customers import consent
from onevoice.customers.consent import Consent, ledger, topics
from onevoice.customers.consent.rule import CONFIRM_WITHIN
from onevoice.database import driver
from onevoice.delivery import queue
from onevoice.delivery.double_opt_in_words import TEMPLATES
from onevoice.delivery.schemas import QueuedMessage
from onevoice.delivery.tokens import Tokens
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.ids import fact_id
from onevoice.kernel.locales import language

STEP = "double_opt_in"
"""What the message's `step` says; its journey is none."""

MOST_ASKED = 3
"""Messages for one channel and topic within CONFIRM_WITHIN; a form must not be a way to pester others."""


class Found(StrEnum):
    """What a link opens."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"
    GONE = "gone"


class Asked(NamedTuple):
    """A double opt-in as its link finds it."""

    id: UUID
    found: Found
    channel: str = ""
    topic: str = ""
    locale: str = "en"
    address: str = ""
    message_number: int = 0
    text: str = ""


def ask(connection: Connection, granted: Consent, address: str, tokens: Tokens, base_url: str, now: datetime) -> UUID:
    """Writes the grant down as pending and queues the message that asks; returns the ledger's row.

    Raises InvalidInput where the channel cannot ask, and once an address has been asked often enough.
    """
    if granted.channel not in TEMPLATES:
        raise InvalidInput(
            f"A consent for {granted.channel} cannot be confirmed by a link; use one of {', '.join(TEMPLATES)}"
        )
    with driver(connection) as raw:
        row = raw.execute(
            "SELECT count(*) FROM message WHERE step = %s AND identifier_id = %s AND channel = %s AND topic = %s "
            "AND not_before > %s",
            (STEP, granted.identifier_id, granted.channel, granted.topic, now - CONFIRM_WITHIN),
        ).fetchone()
    if row and row[0] >= MOST_ASKED:
        raise InvalidInput(f"This address has been asked {MOST_ASKED} times; wait until a link was used or has run out")
    pending = replace(granted, state="pending", occurred_at=now)
    if not consent.record(connection, [pending], now):
        return pending.id  # the same request again
    queue.add(connection, [_message(connection, pending, address, tokens, base_url, now)])
    return pending.id


def find(connection: Connection, asked: UUID, now: datetime) -> Asked:
    """The double opt-in behind a link."""
    row = ledger.one(connection, asked)
    with driver(connection) as raw:
        sent = raw.execute(
            "SELECT address, number, locale FROM message WHERE id = %s", (fact_id(STEP, asked),)
        ).fetchone()
    if row is None or sent is None:
        return Asked(asked, Found.GONE)
    if _is_confirmed(connection, row):
        found = Found.CONFIRMED
    else:
        found = Found.EXPIRED if row["occurred_at"] + CONFIRM_WITHIN <= now else Found.OPEN
    return Asked(asked, found, row["channel"], row["topic"], sent[2], sent[0], sent[1], row["text"] or "")


def confirm(connection: Connection, asked: UUID, text: str, evidence: Mapping[str, Any], now: datetime) -> Asked:
    """Grants what was asked for, unless that is done or too late; returns what the link was before (OPEN: it is done).

    `text` is what stood beside the button, kept where the asking brought no text of its own.
    """
    with driver(connection) as raw:  # two presses at once are still one
        raw.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (str(asked),))
    before = find(connection, asked, now)
    row = ledger.one(connection, asked)
    if before.found is not Found.OPEN or row is None:
        return before
    granted = Consent(
        identifier_id=row["identifier_id"],
        channel=row["channel"],
        topic=row["topic"],
        state="granted",
        occurred_at=now,
        origin="double_opt_in",
        evidence={**evidence, "confirms": str(asked), "asked_at": row["occurred_at"].isoformat()},
        text=row["text"] or text,
        locale=row["locale"] or before.locale,
        country=row["country"],
    )
    consent.record(connection, [granted], now)
    return before


def again(connection: Connection, asked: UUID, tokens: Tokens, base_url: str, now: datetime) -> bool:
    """Sends a new link in place of one that has run out; False where there is nothing to ask any more."""
    before = find(connection, asked, now)
    row = ledger.one(connection, asked)
    if before.found is not Found.EXPIRED or row is None:
        return False
    granted = Consent(
        identifier_id=row["identifier_id"],
        channel=row["channel"],
        topic=row["topic"],
        state="granted",
        occurred_at=now,
        origin=row["origin"],
        evidence={**row["evidence"], "again": str(asked)},
        text=row["text"] or "",
        locale=row["locale"] or before.locale,
        country=row["country"],
    )
    ask(connection, granted, before.address, tokens, base_url, now)
    return True


def _is_confirmed(connection: Connection, row: Mapping[str, Any]) -> bool:
    with driver(connection) as raw:
        return (
            raw.execute(
                "SELECT 1 FROM consent_ledger WHERE identifier_id = %s AND channel = %s AND topic = %s "
                "AND state = 'granted' AND evidence ->> 'confirms' = %s",
                (row["identifier_id"], row["channel"], row["topic"], str(row["id"])),
            ).fetchone()
            is not None
        )


def _message(
    connection: Connection, pending: Consent, address: str, tokens: Tokens, base_url: str, now: datetime
) -> QueuedMessage:
    locale = language(pending.locale)
    template = TEMPLATES[pending.channel]
    version = templates.newest_versions(connection).get(template["name"])  # a shop may have saved its own words
    if version is None:
        version, _ = templates.save(connection, template, now, Path())
    brand = templates.find(connection, template["name"], version, locale, pending.channel).brand
    return QueuedMessage(
        message_id=str(fact_id(STEP, pending.id)),
        journey="",
        step=STEP,
        channel=pending.channel,
        identifier_id=pending.identifier_id,
        address=address,
        template=template["name"],
        template_version=version,
        locale=locale,
        topic=pending.topic,
        variables={
            CONFIRM: f"{brand.get('tracking_url') or base_url}/consent/{tokens.confirmation(pending.id)}",
            "topic": topics.named(connection, pending.topic).title(locale),
        },
        not_before=now,
        expires_at=now + CONFIRM_WITHIN,
        transactional=True,
    )
