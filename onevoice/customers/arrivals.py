"""What comes in of identity: identifiers never seen before, and links between two of them, each kept once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.customers import evidence
from onevoice.customers.facts import IDENTIFIERS, IDENTITY_LINKS
from onevoice.customers.identifiers import Identifier
from onevoice.kernel.ids import fact_id
from onevoice.warehouse import Warehouse, remembered

NEWCOMERS = ibis.table({"identifier_id": "int64"}, name="newcomers")
"""The identifiers that came just now, staged by `take_seen`."""

_SEEN = {
    "identifier_id": "!int64",
    "namespace": "!string",
    "value": "!string",
    "seen_at": "!timestamp(6)",
    "revision": "!int64",
}


@dataclass(frozen=True, slots=True)
class Link:
    """Two identifiers that one event showed to belong together."""

    left: Identifier
    right: Identifier
    kind: str  # identify, external, alias
    trust: str  # proven, claimed, device
    source_id: int
    event_id: str
    linked_at: datetime


def take_seen(warehouse: Warehouse, seen: Mapping[Identifier, datetime], revision: int) -> ir.Table:
    """Takes identifiers in; one never seen before is a customer of its own until a link says otherwise.

    Returns them (identifier_id, seen_at) with what was held: known_at, is_new.
    """
    batch = warehouse.stage("seen_identifiers", _seen_table(seen, revision))
    identifiers = warehouse.table(IDENTIFIERS)
    known = warehouse.stage("known_identifiers", _known(identifiers, batch))
    warehouse.append(IDENTIFIERS, warehouse.stage("newcomers", _newcomers(known)))
    earlier = warehouse.stage("earlier_identifiers", _earlier(known))
    if warehouse.count(earlier):
        warehouse.replace(IDENTIFIERS, ["identifier_id"], _with_earlier(identifiers, earlier))
    return known


@remembered
def _known(identifiers: ir.Table, batch: ir.Table) -> ir.Table:
    """The seen identifiers with what is held of them."""
    held = identifiers.semi_join(batch, "identifier_id")
    joined = batch.left_join(held, "identifier_id")
    return joined.select(*batch.columns, known_at=held.first_seen_at, is_new=held.identifier_id.isnull())


@remembered
def _newcomers(known: ir.Table) -> ir.Table:
    new = known.filter(known.is_new)
    return new.select(
        "identifier_id",
        "namespace",
        "value",
        customer_id=new.identifier_id,
        first_seen_at=new.seen_at,
        revision=new.revision,
        cluster_id=new.identifier_id,
        same_id=new.identifier_id,
        is_shared=ibis.literal(False),
    )


@remembered
def _earlier(known: ir.Table) -> ir.Table:
    return known.filter(~known.is_new & (known.seen_at < known.known_at)).select("identifier_id", "seen_at")


@remembered
def _with_earlier(identifiers: ir.Table, earlier: ir.Table) -> ir.Table:
    following = identifiers.join(earlier, "identifier_id")
    return following.mutate(first_seen_at=following.seen_at).select(*IDENTIFIERS.columns)


def take_links(warehouse: Warehouse, links: Sequence[Link]) -> pa.Table:
    """Keeps of each link the first event that said so; returns the ends of those that are news."""
    known = warehouse.table(IDENTITY_LINKS)
    fresh = warehouse.stage("fresh_links", _link_table(links))
    news = warehouse.stage("new_links", _new_links(known, fresh))
    earlier = news.filter(news.is_earlier).select("link_id")
    if warehouse.count(earlier):
        warehouse.delete(IDENTITY_LINKS, earlier)
    warehouse.append(IDENTITY_LINKS, news.select(*IDENTITY_LINKS.columns))
    return warehouse.read(evidence.ends(news))


@remembered
def _new_links(known: ir.Table, fresh: ir.Table) -> ir.Table:
    held = known.semi_join(fresh, "left_id").select("link_id", held_at=known.linked_at, held_event=known.event_id)
    compared = fresh.left_join(held, "link_id")
    is_new = compared.held_at.isnull()
    is_earlier = (compared.linked_at < compared.held_at) | (
        (compared.linked_at == compared.held_at) & (compared.event_id < compared.held_event)
    )
    return compared.filter(is_new | is_earlier).select(*IDENTITY_LINKS.columns, is_earlier=~is_new)


def _seen_table(seen: Mapping[Identifier, datetime], revision: int) -> pa.Table:
    """The revision is a column here and not a word of the statements, so that those are compiled once."""
    schema = ibis.schema(_SEEN).to_pyarrow()
    columns = [
        [identifier.id for identifier in seen],
        [identifier.namespace for identifier in seen],
        [identifier.value for identifier in seen],
        list(seen.values()),
        [revision] * len(seen),
    ]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _link_table(links: Sequence[Link]) -> pa.Table:
    """Links as rows of IDENTITY_LINKS, their ends in order; of those alike the first."""
    alike: dict[tuple[object, ...], tuple[int, int, Link]] = {}
    for link in links:
        low, high = sorted((link.left.id, link.right.id))
        key = (low, high, link.kind, link.trust, link.source_id)
        held = alike.get(key)
        if held is None or (link.linked_at, link.event_id) < (held[2].linked_at, held[2].event_id):
            alike[key] = (low, high, link)
    found = [link for *_, link in alike.values()]
    return IDENTITY_LINKS.arrow(
        {
            "link_id": [fact_id("link", *key).hex for key in alike],
            "left_id": [low for low, *_ in alike.values()],
            "right_id": [high for _, high, _ in alike.values()],
            "kind": [link.kind for link in found],
            "trust": [link.trust for link in found],
            "source_id": [link.source_id for link in found],
            "event_id": [link.event_id for link in found],
            "linked_at": [link.linked_at for link in found],
        }
    )
