"""A shop's delivery into the inbox: signature, words, door; all of it in one transaction, twice is once.

A delivery of another shape than its topic promises goes to the quarantine and is answered as taken: the shop would only
send the same again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from onevoice.customers import consent
from onevoice.customers.consent import Consent
from onevoice.customers.identifiers import Identifier
from onevoice.database import inbox
from onevoice.database.inbox import Entry, Kind
from onevoice.events import door, plans, quarantine, tracking
from onevoice.events.plans import Plan
from onevoice.events.quarantine import Refused
from onevoice.events.sources import Source
from onevoice.events.webhooks import FAULTS, Delivery, Json, Permission, Platform, is_signed, platforms
from onevoice.kernel.errors import InvalidInput, NotFound, Unauthorized

REASON = "webhook"
"""The quarantine's word for a delivery that could not be said in our words."""

ALL_TOPICS = "*"
"""A shop asks for one consent, to all it sends."""


class Kept(msgspec.Struct):
    """A delivery in the quarantine."""

    platform: str
    topic: str
    body: msgspec.Raw


@dataclass(frozen=True)
class Taken:
    """What became of a delivery."""

    events: int = 0
    deduplicated: int = 0
    quarantined: int = 0
    products: int = 0
    consents: int = 0


def deliver(
    connection: Connection,
    source: Source,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    planned: Mapping[str, Plan],
) -> Taken:
    """Takes a delivery in; `headers` by names in lower case.

    Raises NotFound where the source takes no webhooks, Unauthorized for a wrong signature, InvalidInput where the body
    is no JSON object.
    """
    platform = platforms().get(source.platform or "")
    if platform is None or source.secret is None or source.is_disabled:
        raise NotFound(f"The source {source.name!r} takes no webhooks; `onevoice source webhooks` sets that up")
    if not is_signed(platform, headers, body, source.secret):
        raise Unauthorized("The signature does not fit the secret of this source")
    if not body.lstrip().startswith(b"{"):
        return Taken()  # WooCommerce greets with a form when a webhook is saved
    try:
        said = msgspec.json.decode(body, type=Json)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(f"The delivery is not the JSON that was expected: {error}") from error
    return take(connection, source.id, platform, headers.get(platform.topic_header, ""), said, now, planned)


def take(
    connection: Connection,
    source_id: int,
    platform: Platform,
    topic: str,
    said: Json,
    now: datetime,
    planned: Mapping[str, Plan],
) -> Taken:
    """Says a delivery in our words and takes these in, within the connection's transaction."""
    try:
        delivery = platform.translate(topic, said)
        permissions = _consents(delivery.permissions) if delivery else []
    except FAULTS as error:
        detail = f"A {platform.name} delivery of {topic or 'no topic'} of another shape: {error!r}"
        kept = msgspec.json.encode(Kept(platform.name, topic, msgspec.Raw(msgspec.json.encode(said))))
        quarantine.add(connection, [Refused(source_id, now, REASON, detail, kept)])
        return Taken(quarantined=1)
    if delivery is None:
        return Taken()
    intake = _intake(delivery, source_id, now, planned)
    brought = intake.brought
    new = door.enter_lines(connection, source_id, now, dict(zip(brought.keys, brought.lines, strict=True)))
    quarantine.add(connection, brought.refused)
    plans.warn(connection, brought.violations, now)
    products = [Entry(source_id, Kind.PRODUCT, now, msgspec.json.encode(one)) for one in delivery.products]
    inbox.append(connection, products)
    recorded = consent.record(connection, permissions, now, source_id)
    return Taken(new, len(brought.keys) - new, len(brought.refused), len(products), recorded)


def _intake(delivery: Delivery, source_id: int, now: datetime, planned: Mapping[str, Plan]) -> tracking.Intake:
    calls = [msgspec.Raw(msgspec.json.encode(call)) for call in delivery.calls]
    return tracking.take(tracking.Request(calls, None, None, None, None), source_id, now, planned)


def _consents(permissions: list[Permission]) -> list[Consent]:
    return [
        Consent(
            Identifier(one.namespace, one.value).id,
            one.channel,
            ALL_TOPICS,
            one.state,
            one.occurred_at,
            "webhook",
            one.evidence,
            one.namespace,
            one.value,
        )
        for one in permissions
    ]
