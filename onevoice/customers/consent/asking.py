"""A customer's consents as people ask for them: by any identifier, for all that they have said something about."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from onevoice.customers.consent.rule import Permission, permissions
from onevoice.customers.identifiers import identifier as spelled
from onevoice.customers.models import consent_ledger, identifier
from onevoice.kernel.errors import InvalidInput, NotFound


def identifiers_of(connection: Connection, customer_id: int | None, namespace: str = "", value: str = "") -> list[int]:
    """All identifiers of the customer with this id, or with this identifier. Raises NotFound where there is none."""
    if customer_id is None:
        found = spelled(namespace, value)
        if found is None:
            raise InvalidInput("Say who: a customer's id, or a namespace and a value")
        customer_id = connection.scalar(select(identifier.c.customer_id).where(identifier.c.identifier_id == found.id))
        if customer_id is None:  # not published yet, or never seen otherwise
            return [found.id]
    ids = connection.scalars(select(identifier.c.identifier_id).where(identifier.c.customer_id == customer_id)).all()
    if not ids:
        raise NotFound(f"There is no customer {customer_id}; it may have been merged: search by an identifier")
    return list(ids)


def standing(
    connection: Connection, identifier_ids: Sequence[int], now: datetime, asked: Sequence[tuple[str, str]] | None = None
) -> list[tuple[str, str, Permission]]:
    """What holds for each channel and topic asked about; else for each the customer has said something about."""
    if asked is None:
        rows = connection.execute(
            select(consent_ledger.c.channel, consent_ledger.c.topic)
            .where(consent_ledger.c.identifier_id.in_(identifier_ids))
            .distinct()
            .order_by(consent_ledger.c.channel, consent_ledger.c.topic)
        )
        asked = [(row.channel, row.topic) for row in rows]
    found = permissions(connection, [(identifier_ids[0], channel, topic) for channel, topic in asked], now)
    return [(channel, topic, one) for (channel, topic), one in zip(asked, found, strict=True)]
