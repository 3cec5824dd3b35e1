"""Topics: what customers can choose to hear about, with their titles in each language. YAML documents, kind `topic`."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from onevoice.customers.models import topic
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.locales import LOCALES


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A document of the kind `topic`. Where a language has no title the English one is shown, else any."""

    name: str
    kind: Literal["topic"] = "topic"
    titles: dict[str, str] = {}
    descriptions: dict[str, str] = {}
    position: int = 0  # in the list; then by name

    def title(self, locale: str) -> str:
        """What the topic is called."""
        return self.titles.get(locale) or self.titles.get("en") or next(iter(self.titles.values()), self.name)

    def description(self, locale: str) -> str:
        """What it is about, in a sentence; may be empty."""
        return self.descriptions.get(locale) or self.descriptions.get("en", "")


def save(connection: Connection, document: dict[str, Any], now: datetime) -> tuple[int, bool]:
    """Saves a document; returns (version, changed). Raises InvalidInput naming what is wrong."""
    try:
        read = msgspec.convert(document, Topic)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"Topic {document.get('name', '')}: {error}") from error
    if unknown := {*read.titles, *read.descriptions} - set(LOCALES):
        raise InvalidInput(
            f"Topic {read.name}: unknown language {', '.join(sorted(unknown))}; use {', '.join(LOCALES)}"
        )
    if not read.name.strip() or "|" in read.name or read.name == "*":
        raise InvalidInput(f"Topic {read.name!r}: a name is a word without `|`, and not `*`, which stands for all")
    held = connection.execute(select(topic).where(topic.c.name == read.name)).one_or_none()
    if held is not None and held.definition == document:
        return held.version, False
    version: int = held.version + 1 if held is not None else 1
    row = {"version": version, "definition": document, "updated_at": now}
    statement = insert(topic).values(name=read.name, **row)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=row))
    return version, True


def listed(connection: Connection) -> list[Topic]:
    """All topics in the order in which customers see them."""
    found = [msgspec.convert(definition, Topic) for (definition,) in connection.execute(select(topic.c.definition))]
    return sorted(found, key=lambda one: (one.position, one.name))


def named(connection: Connection, name: str) -> Topic:
    """The topic of that name; one without titles where there is none."""
    definition = connection.scalar(select(topic.c.definition).where(topic.c.name == name))
    return msgspec.convert(definition, Topic) if definition else Topic(name)
