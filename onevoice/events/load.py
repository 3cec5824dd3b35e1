"""Events on their way into the warehouse: decoded once, deduplicated, joined to customers; sales go to `commerce`.

Works on a batch as columns. What it writes it writes in the caller's transaction; the same batch twice is once.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

import msgspec

from onevoice.customers import identity, profiles, refusals
from onevoice.customers.arrivals import Link
from onevoice.customers.facts import TRAITS
from onevoice.customers.identifiers import ANONYMOUS, RULES, USER, Identifier, Rules, identifier
from onevoice.customers.naming import UNIDENTIFIED, country_of, trust
from onevoice.customers.refusals import Blocked
from onevoice.database.inbox import Entry
from onevoice.events import commerce, door
from onevoice.events.facts import EVENTS
from onevoice.events.rows import Row, as_table
from onevoice.events.vocabulary import Call, Context, text
from onevoice.kernel.clock import naive
from onevoice.warehouse import Facts, Warehouse

LOYALTY_CARD = "loyalty_card"
"""The namespace of the card that an order at the till names."""

CHANNELS = {"web": "web", "app": "app", "till": "offline"}
"""The channel of an event by its source's kind; other kinds are `server`."""

_mapping = msgspec.json.Decoder(dict[str, msgspec.Raw])
_empty = msgspec.Raw(b"{}")


class Event(msgspec.Struct):
    """An entry of the inbox (vocabulary.EventEntry) with its call read too."""

    type: str
    message_id: str
    occurred_at: datetime
    call: Call
    context: Context | None = None


_event = msgspec.json.Decoder(Event, strict=False)

LinkKey = tuple[int, int, str, int]
"""Both identifiers in order, the kind and the source; these say the trust too."""

IsErased = Callable[[int, datetime], bool]
"""Whether an identifier was erased at or after an instant."""


@dataclass(slots=True)
class Batch:
    """A batch in the making: plain rows per table, and the identifiers and links seen.

    The same visitor comes with each of its events, so what was found out of a value or a pair is remembered here.
    """

    source_kinds: Mapping[int, str]
    rules: Rules
    is_erased: IsErased | None = None
    revision: int = 0
    seen: dict[Identifier, datetime] = field(default_factory=dict)
    links: dict[LinkKey, Link] = field(default_factory=dict)  # of those alike the first
    blocked: list[Blocked] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    traits: list[Row] = field(default_factory=list)
    described: set[int] = field(default_factory=set)  # the identifiers of which traits were told
    sales: list[commerce.Told] = field(default_factory=list)
    named: dict[tuple[str, str, str], Identifier | None] = field(default_factory=dict)
    trusts: dict[tuple[str, str, int], str | None] = field(default_factory=dict)


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
    batch = Batch(source_kinds, rules, is_erased, revision)
    known: set[str] = set()
    for entry in entries:
        received_at = naive(entry.received_at)
        for event in _event.decode_lines(entry.payload):
            event_id = door.key(entry.source_id, event.message_id).hex()
            # The door lets an event in once; what was told otherwise may come twice in one batch.
            if event_id not in known:
                known.add(event_id)
                _take(batch, event_id, entry.source_id, received_at, event)
    customers, changed = identity.resolve(warehouse, batch.seen, list(batch.links.values()), revision, projected, rules)
    refusals.take_blocked(warehouse, batch.blocked)
    warehouse.append(EVENTS, as_table(EVENTS, batch.events, customers))
    profiles.take_traits(warehouse, as_table(TRAITS, batch.traits, customers))
    commerce.load(warehouse, batch.sales, customers)
    profiles.rebuild(warehouse, changed | {customers[one] for one in batch.described}, secret)


def _take(batch: Batch, event_id: str, source_id: int, received_at: datetime, event: Event) -> None:
    call, context = event.call, event.call.context
    shared = event.context
    if shared is not None:  # the batch's context fills in what the call's own does not say
        if context is None:
            context = shared
        else:
            context.external_ids = context.external_ids or shared.external_ids
            context.traits = _given(context.traits) or shared.traits
    at = naive(event.occurred_at)
    kind = batch.source_kinds.get(source_id, "")
    is_commerce = event.type == "track" and call.event in commerce.EVENTS
    properties = bytes(_given(call.properties) or _empty)
    card = commerce.loyalty_card(properties) if is_commerce else ""
    identifiers = _identifiers(batch, event_id, source_id, at, call, context, card)
    if batch.is_erased is not None and any(batch.is_erased(one.id, event.occurred_at) for one in identifiers):
        return  # an old fact come again must not bring back who was erased
    primary, seen = identifiers[0], batch.seen
    for one in identifiers:
        held = seen.get(one)
        if held is None or at < held:
            seen[one] = at
    for other in identifiers[1:]:
        _link(batch, event_id, source_id, event.type, primary, other, at, kind)
    channel = CHANNELS.get(kind, "server")
    if event.type in ("identify", "group"):
        properties = bytes(_traits_of(call, context))
        if event.type == "identify":
            batch.described.add(primary.id)
            for name, value in told_traits(properties):
                batch.traits.append((primary.id, primary.id, name, value, at, event_id))
    name = (call.event if event.type == "track" else call.name) or ""
    written = properties.decode()
    row = (event_id, source_id, event.type, name, channel, primary.id, primary.id, at, received_at, written)
    batch.events.append((*row, batch.revision))
    if is_commerce:
        told = commerce.Told(name, event_id, source_id, primary.id, channel, at, received_at, properties)
        batch.sales.append(told)


def _identifiers(
    batch: Batch, event_id: str, source_id: int, at: datetime, call: Call, context: Context | None, card: str
) -> list[Identifier]:
    """What names the customer in this call, the strongest first: user id, external ids, loyalty card, anonymous id.

    Where nothing does, the event is nobody's and kept under an id of its own.
    """
    source = batch.rules.source(source_id)
    told_of = context.external_ids if context else []
    externals = [(e.type, text(e.id)) for e in told_of if e.collection == "users"] if told_of else []
    traits = _mapping.decode(_traits_of(call, context)) if externals or source.traits else {}
    named = [(name, _words(traits[name])) for name in source.traits if name in traits]
    found = [(USER, text(call.user_id)), *externals, (LOYALTY_CARD, card), *named]
    found += [(ANONYMOUS, text(call.anonymous_id)), (USER, text(call.previous_id))]
    country = source.country or (country_of({name: _words(value) for name, value in traits.items()}) if traits else "")
    made: list[Identifier] = []
    for namespace, value in found:
        if not value:
            continue
        key = (namespace, value, country)
        if key not in batch.named:
            batch.named[key] = identifier(namespace, value, batch.rules, country)
        one = batch.named[key]
        if one is None:
            batch.blocked.append(Blocked(namespace, value, source_id, event_id, at))
        elif one not in made:
            made.append(one)
    return made or [Identifier(UNIDENTIFIED, event_id)]


def _words(value: msgspec.Raw) -> str:
    """A trait's text or number; empty for other JSON."""
    found = msgspec.json.decode(value)
    return text(found) if isinstance(found, str | int | float) and not isinstance(found, bool) else ""


def _link(
    batch: Batch,
    event_id: str,
    source_id: int,
    call_type: str,
    left: Identifier,
    right: Identifier,
    at: datetime,
    source_kind: str,
) -> None:
    """Notes what the event says of two identifiers; nothing where the device is one that many people use."""
    key = (left.namespace, right.namespace, source_id)
    if key not in batch.trusts:
        batch.trusts[key] = trust(left, right, source_kind, batch.rules.source(source_id), batch.rules)
    sure = batch.trusts[key]
    if sure is None:
        return
    kind = (
        "alias"
        if call_type == "alias"
        else "identify"
        if ANONYMOUS in (left.namespace, right.namespace)
        else "external"
    )
    pair = (left.id, right.id) if left.id < right.id else (right.id, left.id)
    held = batch.links.get((*pair, kind, source_id))
    if held is None or (at, event_id) < (held.linked_at, held.event_id):
        batch.links[(*pair, kind, source_id)] = Link(left, right, kind, sure, source_id, event_id, at)


def _traits_of(call: Call, context: Context | None) -> msgspec.Raw:
    return _given(call.traits) or (_given(context.traits) if context else None) or _empty


def told_traits(properties: bytes) -> Iterator[tuple[str, str | None]]:
    """The names and values of the traits that an identify call told, as they are kept."""
    for name, value in _mapping.decode(properties).items():
        yield snake(name), _trait(bytes(value))


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
