"""Events on their way into the warehouse: decoded once, deduplicated, joined to customers; sales go to `commerce`.

Works on a batch as columns. What it writes it writes in the caller's transaction; the same batch twice is once.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

import msgspec

from onevoice.customers import identity, profiles, refusals
from onevoice.customers.facts import TRAITS
from onevoice.customers.identifiers import ANONYMOUS, RULES, USER, Identifier, Rules, identifier
from onevoice.customers.identity import Link
from onevoice.customers.naming import UNIDENTIFIED, country_of, trust
from onevoice.customers.refusals import Blocked
from onevoice.database.inbox import Entry
from onevoice.events import commerce
from onevoice.events.facts import EVENTS
from onevoice.events.rows import Row, as_table
from onevoice.events.vocabulary import Call, Context, EventEntry, text
from onevoice.kernel.clock import naive
from onevoice.kernel.ids import fact_id
from onevoice.warehouse import Facts, Warehouse

LOYALTY_CARD = "loyalty_card"
"""The namespace of the card that an order at the till names."""

CHANNELS = {"web": "web", "app": "app", "till": "offline"}
"""The channel of an event by its source's kind; other kinds are `server`."""

_entry = msgspec.json.Decoder(EventEntry)
_call = msgspec.json.Decoder(Call, strict=False)
_context = msgspec.json.Decoder(Context, strict=False)
_mapping = msgspec.json.Decoder(dict[str, msgspec.Raw])
_empty = msgspec.Raw(b"{}")

IsErased = Callable[[int, datetime], bool]
"""Whether an identifier was erased at or after an instant."""


@dataclass(slots=True)
class Batch:
    """A batch in the making: plain rows per table, and the identifiers and links seen."""

    seen: dict[Identifier, datetime] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    blocked: list[Blocked] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    traits: list[Row] = field(default_factory=list)
    sales: list[commerce.Told] = field(default_factory=list)
    is_erased: IsErased | None = None


def load(
    warehouse: Warehouse,
    entries: Sequence[Entry],
    source_kinds: Mapping[int, str],
    secret: bytes,
    revision: int,
    projected: Sequence[Facts],
    rules: Rules = RULES,
    is_erased: IsErased | None = None,
) -> None:
    """Takes events in. `source_kinds` tells each source's kind, `projected` the tables that follow identity."""
    batch = Batch(is_erased=is_erased)
    for entry in _first_of_each(entries):
        _take(batch, *entry, source_kinds, rules)
    customers, moved = identity.resolve(warehouse, batch.seen, batch.links, revision, projected, rules)
    refusals.take_blocked(warehouse, batch.blocked)
    warehouse.append(EVENTS, as_table(EVENTS, batch.events, customers))
    profiles.take_traits(warehouse, as_table(TRAITS, batch.traits, customers))
    commerce.load(warehouse, batch.sales, customers)
    profiles.rebuild(warehouse, moved | set(customers.values()), secret)


def _first_of_each(entries: Sequence[Entry]) -> Iterable[tuple[str, Entry, EventEntry]]:
    """Each event once. The door lets an event in once; what was told otherwise may come twice in one batch."""
    fresh: dict[str, tuple[Entry, EventEntry]] = {}
    for entry in entries:
        for event in _entry.decode_lines(entry.payload):
            fresh.setdefault(fact_id("event", entry.source_id, event.message_id).hex, (entry, event))
    return ((event_id, *both) for event_id, both in fresh.items())


def _take(
    batch: Batch, event_id: str, entry: Entry, event: EventEntry, source_kinds: Mapping[int, str], rules: Rules
) -> None:
    call = _call.decode(event.call)
    context = call.context
    if event.context is not msgspec.UNSET:  # the batch's context fills in what the call's own does not say
        shared = _context.decode(event.context)
        if context is None:
            context = shared
        else:
            context.external_ids = context.external_ids or shared.external_ids
            context.traits = _given(context.traits) or shared.traits
    at = naive(event.occurred_at)
    kind = source_kinds.get(entry.source_id, "")
    is_commerce = event.type == "track" and call.event in commerce.EVENTS
    card = commerce.loyalty_card(bytes(_given(call.properties) or _empty)) if is_commerce else ""
    identifiers = _identifiers(batch, event_id, entry, at, call, context, card, rules)
    if batch.is_erased is not None and any(batch.is_erased(one.id, event.occurred_at) for one in identifiers):
        return  # an old fact come again must not bring back who was erased
    primary = identifiers[0]
    for one in identifiers:
        batch.seen[one] = min(at, batch.seen.get(one, at))
    for other in identifiers[1:]:
        if link := _link(event_id, entry, event, primary, other, at, kind, rules):
            batch.links.append(link)
    channel = CHANNELS.get(kind, "server")
    properties = _given(call.properties) or _empty
    if event.type in ("identify", "group"):
        properties = _traits_of(call, context)
        if event.type == "identify":
            for name, value in _mapping.decode(properties).items():
                batch.traits.append((primary.id, primary.id, snake(name), _trait(bytes(value)), at, event_id))
    name = (call.event if event.type == "track" else call.name) or ""
    batch.events.append(
        (
            event_id,
            entry.source_id,
            event.type,
            name,
            channel,
            primary.id,
            primary.id,
            at,
            naive(entry.received_at),
            bytes(properties).decode(),
        )
    )
    if is_commerce:
        told = commerce.Told(
            name, event_id, entry.source_id, primary.id, channel, at, naive(entry.received_at), bytes(properties)
        )
        batch.sales.append(told)


def _identifiers(
    batch: Batch,
    event_id: str,
    entry: Entry,
    at: datetime,
    call: Call,
    context: Context | None,
    card: str,
    rules: Rules,
) -> list[Identifier]:
    """What names the customer in this call, the strongest first: user id, external ids, loyalty card, anonymous id.

    Where nothing does, the event is nobody's and kept under an id of its own.
    """
    source = rules.source(entry.source_id)
    externals = [(e.type, text(e.id)) for e in (context.external_ids if context else []) if e.collection == "users"]
    traits = _mapping.decode(_traits_of(call, context)) if externals or source.traits else {}
    named = [(name, _words(traits[name])) for name in source.traits if name in traits]
    found = [(USER, text(call.user_id)), *externals, (LOYALTY_CARD, card), *named]
    found += [(ANONYMOUS, text(call.anonymous_id)), (USER, text(call.previous_id))]
    country = source.country or country_of({name: _words(value) for name, value in traits.items()})
    made: dict[Identifier, None] = {}
    for namespace, value in found:
        if one := identifier(namespace, value, rules, country):
            made[one] = None
        elif value:
            batch.blocked.append(Blocked(namespace, value, entry.source_id, event_id, at))
    return list(made) or [Identifier(UNIDENTIFIED, event_id)]


def _words(value: msgspec.Raw) -> str:
    """A trait's text or number; empty for other JSON."""
    found = msgspec.json.decode(value)
    return text(found) if isinstance(found, str | int | float) and not isinstance(found, bool) else ""


def _link(
    event_id: str,
    entry: Entry,
    event: EventEntry,
    left: Identifier,
    right: Identifier,
    at: datetime,
    source_kind: str,
    rules: Rules,
) -> Link | None:
    """What the event says of two identifiers; nothing where the device is one that many people use."""
    sure = trust(left, right, source_kind, rules.source(entry.source_id), rules)
    if sure is None:
        return None
    kind = (
        "alias"
        if event.type == "alias"
        else "identify"
        if ANONYMOUS in (left.namespace, right.namespace)
        else "external"
    )
    return Link(left, right, kind, sure, entry.source_id, event_id, at)


def _traits_of(call: Call, context: Context | None) -> msgspec.Raw:
    return _given(call.traits) or (_given(context.traits) if context else None) or _empty


def _trait(raw: bytes) -> str | None:
    """A trait's JSON, its letters unescaped, so that one text has one spelling; None: the trait is deleted."""
    if b"\\" in raw:
        raw = msgspec.json.encode(msgspec.json.decode(raw))
    return None if raw == b"null" else raw.decode()


def _given(value: msgspec.Raw | msgspec.UnsetType) -> msgspec.Raw | None:
    """The value, unless it is absent or null."""
    return None if value is msgspec.UNSET or bytes(value) == b"null" else value


@lru_cache(maxsize=10_000)
def snake(name: str) -> str:
    """A trait's name in snake_case: `firstName` and `first_name` are one trait."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).replace(" ", "_").lower()
