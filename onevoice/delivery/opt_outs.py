"""Opting out and in by answering: exact words act at once, what only looks so is shown to a person, who decides.

A stop withdraws the consent to all topics of the channel, with the very text as evidence, and puts the address on the
suppression list. A start takes back no more than the stop before it took away. Each that changes something is
confirmed by one message, which no consent is needed for; a word repeated changes nothing and is not answered, so two
machines cannot keep each other busy.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row
from sqlalchemy import Connection

from onevoice.channels.adapter import InboundMessage, News
from onevoice.content import templates
from onevoice.customers import consent, suppression
from onevoice.customers.consent import Consent, topics
from onevoice.customers.consent.policies import ALL
from onevoice.customers.identifiers import Identifier
from onevoice.customers.suppression import Suppressed, address_hash
from onevoice.database import driver, inbox
from onevoice.delivery import queue
from onevoice.delivery.consequences import About
from onevoice.delivery.opt_out_words import Wish, template, wish
from onevoice.delivery.schemas import MessageEntry, QueuedMessage
from onevoice.delivery.settlement import entry
from onevoice.kernel.errors import InvalidInput, NotFound
from onevoice.kernel.ids import fact_id

STEP = "opt_out"
"""What a confirmation's `step` says; its journey is none."""

CONFIRMED_WITHIN = timedelta(minutes=5)
"""A confirmation that could not be sent for so long is not sent any more (47 CFR 64.1200(a)(12))."""

MOST_CONFIRMED = 3
"""Confirmations to one address in a day; whoever plays with the words hears no more."""

ORIGIN = "reply"


def heed(
    connection: Connection,
    secret: bytes,
    told: InboundMessage,
    event_id: str,
    who: Identifier,
    about: About | None,
    now: datetime,
) -> Wish:
    """Does what the text wants, or puts it before a person; returns what it is."""
    found = wish(told.text)
    if found is Wish.STOP:
        proof = {"text": told.text, "event": event_id}
        silent = told.is_confirmed
        stop(connection, secret, told.channel, told.sender, who, about, proof, now, silent=silent)
    elif found is Wish.START and not _start(connection, secret, told, event_id, who, about, now):
        found = Wish.NOTHING  # nothing was stopped: to consent for the first time takes more than a word
    elif found is Wish.PERHAPS_STOP:
        _ask(connection, told, event_id, who, about, now)
    return found


def stop(
    connection: Connection,
    secret: bytes,
    channel: str,
    address: str,
    who: Identifier,
    about: About | None,
    evidence: dict[str, Any],
    now: datetime,
    *,
    silent: bool = False,
) -> bool:
    """Withdraws the consent to all that the channel says, and suppresses; False where that changes nothing."""
    listed = suppression.reasons(connection, [(channel, address_hash(secret, channel, address))])
    if consent.permissions(connection, [(who.id, channel, ALL)], now)[0].state == "withdrawn" and listed:
        return False
    permitted = _permitted(connection, who, channel, about, now)
    withdrawal = Consent(
        who.id,
        channel,
        ALL,
        "withdrawn",
        now,
        ORIGIN,
        evidence={**evidence, "permitted": permitted},
        namespace=who.namespace,
        value=who.value,
    )
    consent.record(connection, [withdrawal], now)
    suppression.suppress(connection, secret, [Suppressed(channel, address, "unsubscribed", now)], now)
    if about is not None:
        told = MessageEntry(str(about.id), fact_id("opted out", about.id, withdrawal.id).hex, News.UNSUBSCRIBED, now)
        inbox.append(connection, [entry(told, now)])
    if not silent:
        _confirm(connection, channel, address, who, about, now, stopped=True)
    return True


def _start(
    connection: Connection,
    secret: bytes,
    told: InboundMessage,
    event_id: str,
    who: Identifier,
    about: About | None,
    now: datetime,
) -> bool:
    key = (told.channel, address_hash(secret, told.channel, told.sender))
    if suppression.reasons(connection, [key]).get(key) != "unsubscribed":
        return False
    with driver(connection) as raw:
        row = raw.execute(
            "SELECT evidence FROM consent_ledger WHERE identifier_id = %s AND channel = %s AND topic = %s "
            "AND origin = %s AND state = 'withdrawn' ORDER BY occurred_at DESC LIMIT 1",
            (who.id, told.channel, ALL, ORIGIN),
        ).fetchone()
    if row is None:
        return False
    suppression.release(
        connection, secret, told.channel, told.sender, "the recipient asked for it by answering", now, "customer"
    )
    proof = {"text": told.text, "event": event_id}
    again = [
        Consent(
            who.id,
            told.channel,
            topic,
            "granted",
            now,
            ORIGIN,
            evidence=proof,
            namespace=who.namespace,
            value=who.value,
        )
        for topic in row[0].get("permitted", [])
    ]
    consent.record(connection, again, now)
    if not told.is_confirmed:
        _confirm(connection, told.channel, told.sender, who, about, now, stopped=False)
    return True


def _permitted(connection: Connection, who: Identifier, channel: str, about: About | None, now: datetime) -> list[str]:
    """The topics about which the customer may be contacted there just now."""
    names = [one.name for one in topics.listed(connection)]
    if about is not None and about.topic and about.topic not in names:
        names.append(about.topic)
    found = consent.permissions(connection, [(who.id, channel, name) for name in names], now)
    return [name for name, permission in zip(names, found, strict=True) if permission.permitted]


def _confirm(
    connection: Connection,
    channel: str,
    address: str,
    who: Identifier,
    about: About | None,
    now: datetime,
    *,
    stopped: bool,
) -> None:
    document = template(channel, stopped=stopped)
    if document is None:
        return
    with driver(connection) as raw:
        row = raw.execute(
            "SELECT count(*) FROM message WHERE step = %s AND identifier_id = %s AND channel = %s AND not_before > %s",
            (STEP, who.id, channel, now - timedelta(days=1)),
        ).fetchone()
    if row and row[0] >= MOST_CONFIRMED:
        return
    version = templates.newest_versions(connection).get(document["name"])
    if version is None:
        version, _ = templates.save(connection, document, now, Path())
    message = QueuedMessage(
        message_id=str(fact_id(STEP, channel, address, now.isoformat())),
        journey="",
        step=STEP,
        channel=channel,
        identifier_id=who.id,
        address=address,
        template=document["name"],
        template_version=version,
        locale=about.locale if about is not None else "en",
        topic=about.topic if about is not None else "",
        variables={},
        not_before=now,
        expires_at=now + CONFIRMED_WITHIN,
        transactional=True,
    )
    queue.add(connection, [message])


# -- what a person must look at


def _ask(
    connection: Connection, told: InboundMessage, event_id: str, who: Identifier, about: About | None, now: datetime
) -> None:
    with driver(connection) as raw:
        raw.execute(
            "INSERT INTO opt_out_review "
            "(id, identifier_id, namespace, value, channel, address, message_id, text, received_at) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                UUID(event_id),
                who.id,
                who.namespace,
                who.value,
                told.channel,
                told.sender,
                about.id if about is not None else None,
                told.text.replace("\x00", "")[:2_000],
                now,
            ),
        )


def waiting(connection: Connection, limit: int = 100) -> list[dict[str, Any]]:
    """Texts that nobody has decided on, the oldest first."""
    with driver(connection) as raw, raw.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT id, channel, address, text, received_at, message_id FROM opt_out_review "
            "WHERE decision IS NULL ORDER BY received_at, id LIMIT %s",
            (limit,),
        ).fetchall()


def decide(
    connection: Connection, secret: bytes, ids: Sequence[UUID], wants_no_more: bool, who: str, now: datetime
) -> int:
    """A person's word: the writers want no more (they are opted out as by a word), or they want something else.

    Returns how many are decided by it. Raises NotFound where one is not waiting.
    """
    if not ids:
        raise InvalidInput("Name the texts that are decided on")
    decision = "stopped" if wants_no_more else "dismissed"
    with driver(connection) as raw, raw.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "UPDATE opt_out_review SET decision = %s, decided_by = %s, decided_at = %s "
            "WHERE id = ANY(%s) AND decision IS NULL RETURNING *",
            (decision, who, now, list(ids)),
        ).fetchall()
        if len(rows) < len(set(ids)):
            raise NotFound("One of these texts is not waiting; see `onevoice opt-out list`")
    for row in rows if wants_no_more else ():
        about = About.find(connection, row["message_id"]) if row["message_id"] else None
        evidence = {"text": row["text"], "event": row["id"].hex, "decided_by": who}
        identifier = Identifier(row["namespace"], row["value"])
        stop(connection, secret, row["channel"], row["address"], identifier, about, evidence, now)
    return len(rows)
