"""What a shop has decided about consents: when they grow too old, and where they must be confirmed (double opt-in).

Written as YAML documents of the kind `consent_policy`, kept in the database, and told to the warehouse by the inbox.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from onevoice.customers.models import consent_policy
from onevoice.customers.schemas import ConsentExpiry
from onevoice.database import inbox
from onevoice.database.inbox import INTERNAL_SOURCE, Entry, Kind
from onevoice.kernel.errors import InvalidInput

ALL = "*"
"""Stands for every country, channel or topic."""


class DoubleOptIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whether a grant must be confirmed through its own channel."""

    country: str = ALL
    channel: str = ALL
    topic: str = ALL
    required: bool = True


CONFIRMED_BY_DEFAULT = (DoubleOptIn("DE", "email"),)
"""German courts take nothing less as proof that it was the address's owner who consented (marketing-boerse.de)."""


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A document of the kind `consent_policy`."""

    kind: Literal["consent_policy"]
    name: str
    expiry: tuple[ConsentExpiry, ...] = ()
    double_opt_in: tuple[DoubleOptIn, ...] = ()


def save(connection: Connection, document: dict[str, Any], now: datetime) -> tuple[int, bool]:
    """Saves a document and tells the warehouse; returns (version, changed). InvalidInput says what to mend."""
    try:
        read = msgspec.convert(document, Document)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"Consent policy {document.get('name', '')}: {error}") from error
    held = connection.execute(select(consent_policy).where(consent_policy.c.name == read.name)).one_or_none()
    if held is not None and held.definition == document:
        return held.version, False
    version: int = held.version + 1 if held is not None else 1
    row = {"version": version, "definition": document, "updated_at": now}
    statement = insert(consent_policy).values(name=read.name, **row)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=row))
    payload = msgspec.json.encode(expiries(connection))
    inbox.append(connection, [Entry(INTERNAL_SOURCE, Kind.CONSENT_POLICY, now, payload)])
    return version, True


def expiries(connection: Connection) -> list[ConsentExpiry]:
    """When consents grow too old, of all documents."""
    return [rule for document in _documents(connection) for rule in document.expiry]


def must_confirm(connection: Connection, country: str, channel: str, topic: str) -> bool:
    """Whether a grant must be confirmed there: as the documents say, the strictest of them, else as by default."""
    asked = (country.upper(), channel, topic)
    own = [rule for document in _documents(connection) for rule in document.double_opt_in if _meets(rule, asked)]
    return any(rule.required for rule in own or [rule for rule in CONFIRMED_BY_DEFAULT if _meets(rule, asked)])


def matching(rules: Iterable[ConsentExpiry], channel: str, topic: str, state: str) -> list[ConsentExpiry]:
    """Those that can hold for a word of this state when somebody asks for the channel and topic, in any country."""
    return [
        rule
        for rule in rules
        if rule.channel in (channel, ALL) and rule.topic in (topic, ALL) and rule.state in (state, ALL)
    ]


def cutoff(now: datetime, months: int) -> datetime:
    """The instant so many calendar months before; words from then or earlier are too old."""
    count = now.year * 12 + now.month - 1 - months
    year, month = divmod(count, 12)
    # The 31st has no counterpart in a shorter month: the month's last day then.
    for day in range(now.day, 0, -1):
        try:
            return now.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    raise AssertionError("every month has a first day")


def _documents(connection: Connection) -> Sequence[Document]:
    rows = connection.execute(select(consent_policy.c.definition).order_by(consent_policy.c.name))
    return [msgspec.convert(definition, Document) for (definition,) in rows]


def _meets(rule: DoubleOptIn, asked: tuple[str, str, str]) -> bool:
    return all(
        own in (ALL, wanted) for own, wanted in zip((rule.country, rule.channel, rule.topic), asked, strict=True)
    )
