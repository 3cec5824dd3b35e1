"""Who is who: customers as the connected parts of a graph of identifiers.

A link joins two identifiers and knows its event, source and trust. A customer is a connected part; its id is that of
its first identifier by `PRECEDENCE`, then by number. That depends on the links alone, not on the order in which they
came, so taking links away again (an unmerge) gives exactly what would be without them.

A device never merges people: an anonymous id seen with more than one user id, and a value seen with too many of them,
joins nobody (`LIMITS`); its links are kept and count again when the excess is gone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from onevoice.customers.facts import IDENTIFIERS, IDENTITY_LINKS
from onevoice.kernel.ids import identifier_id
from onevoice.warehouse import Facts, Warehouse

USER = "user_id"
ANONYMOUS = "anonymous_id"

PRECEDENCE = {USER: 0, ANONYMOUS: 2}
"""Which namespace names the customer: the lowest; a namespace not listed here has 1."""

LIMITS = {ANONYMOUS: 1}
"""How many user ids an identifier of a namespace may join; a namespace not listed here may join `OTHER_LIMIT`."""

OTHER_LIMIT = 5

_SEEN = {"identifier_id": "!int64", "namespace": "!string", "value": "!string", "seen_at": "!timestamp(6)"}


@dataclass(frozen=True, slots=True)
class Identifier:
    """A namespace (user_id, anonymous_id, loyalty_card, ...) and a value in it."""

    namespace: str
    value: str

    @property
    def id(self) -> int:
        """Its number everywhere."""
        return identifier_id(self.namespace, self.value)


@dataclass(frozen=True, slots=True)
class Link:
    """Two identifiers that one event showed to belong together."""

    link_id: str
    left: Identifier
    right: Identifier
    kind: str  # identify, external, alias
    trust: str  # proven, claimed, device
    source_id: int
    event_id: str
    linked_at: datetime


def resolve(
    warehouse: Warehouse,
    seen: Mapping[Identifier, datetime],
    links: Sequence[Link],
    revision: int,
    projected: Sequence[Facts],
) -> tuple[dict[int, int], set[int]]:
    """Takes identifiers (with the time first seen) and links in; returns each seen identifier's customer.

    The second value is the set of customers, old ids and new ones, that gained or lost an identifier. The rows of the
    `projected` tables follow their identifiers to the new customers. To be called within a transaction.
    """
    if not seen:
        return {}, set()
    batch = warehouse.stage("seen_identifiers", _seen_table(seen))
    if links:
        known = warehouse.table(IDENTITY_LINKS)
        fresh = warehouse.stage("fresh_links", _link_table(links))
        new_links = fresh.anti_join(known.semi_join(fresh, "left_id"), "link_id")
        warehouse.append(IDENTITY_LINKS, warehouse.stage("new_links", new_links))
    identifiers = warehouse.table(IDENTIFIERS)
    _insert_new(warehouse, batch, revision)
    changed: set[int] = set()
    if links:
        moved = _regrouped(warehouse)
        if moved.num_rows:
            changed = set(moved["old_customer_id"].to_pylist()) | set(moved["customer_id"].to_pylist())
            _move(warehouse, moved, revision, projected)
    found = warehouse.read(identifiers.semi_join(batch, "identifier_id").select("identifier_id", "customer_id"))
    customers = dict(zip(found["identifier_id"].to_pylist(), found["customer_id"].to_pylist(), strict=True))
    return customers, changed


def _insert_new(warehouse: Warehouse, batch: ir.Table, revision: int) -> None:
    """An identifier never seen before is a customer of its own until a link says otherwise."""
    new = batch.anti_join(warehouse.table(IDENTIFIERS), "identifier_id")
    warehouse.append(
        IDENTIFIERS,
        warehouse.stage(
            "new_identifiers",
            new.select(
                "identifier_id",
                "namespace",
                "value",
                customer_id=new.identifier_id,
                first_seen_at=new.seen_at,
                revision=ibis.literal(revision, "int64"),
            ),
        ),
    )


def _regrouped(warehouse: Warehouse) -> pa.Table:
    """Identifiers whose customer is not the one their links now say: identifier_id, old_customer_id, customer_id."""
    identifiers, links = warehouse.table(IDENTIFIERS), warehouse.table(IDENTITY_LINKS)
    fresh = ibis.table({"left_id": "int64", "right_id": "int64"}, name="fresh_links")
    touched = identifiers.semi_join(_ends(fresh), "identifier_id").select("customer_id").distinct()
    members = warehouse.stage(
        "touched_identifiers",
        identifiers.semi_join(touched, "customer_id").select("identifier_id", "namespace", "customer_id"),
    )
    # A link between a touched and another customer is one that LIMITS forbids; it counts for that still.
    pairs = links.select(
        left_id=ibis.least(links.left_id, links.right_id), right_id=ibis.greatest(links.left_id, links.right_id)
    )
    of_left = pairs.semi_join(members, pairs.left_id == members.identifier_id)
    of_right = pairs.semi_join(members, pairs.right_id == members.identifier_id)
    edges = warehouse.stage("touched_links", of_left.union(of_right, distinct=True))
    others = identifiers.semi_join(_ends(edges).anti_join(members, "identifier_id"), "identifier_id")
    others = others.select("identifier_id", "namespace", customer_id=ibis.null("int64"))
    return _components(warehouse.read(members.union(others)), warehouse.read(edges))


def _ends(links: ir.Table) -> ir.Table:
    """The identifiers that links join."""
    return links.select(identifier_id=links.left_id).union(links.select(identifier_id=links.right_id), distinct=True)


def _components(members: pa.Table, edges: pa.Table) -> pa.Table:
    """Connected parts of the members, without the edges that `LIMITS` forbids, compared with what they are now.

    A row without a customer is only there to be counted: it is the other end of a forbidden edge.
    """
    members = members.sort_by("identifier_id")
    ids = members["identifier_id"].to_numpy()
    namespaces = np.array(members["namespace"].to_pylist(), dtype=object)
    inside = members["customer_id"].is_valid().to_numpy()
    before = members["customer_id"].fill_null(0).to_numpy()
    left = np.searchsorted(ids, edges["left_id"].to_numpy())
    right = np.searchsorted(ids, edges["right_id"].to_numpy())
    joins = inside & ~_over_limit(namespaces, left, right)
    allowed = joins[left] & joins[right]
    left, right = left[allowed], right[allowed]
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(len(ids), len(ids)))
    _, label = connected_components(graph, directed=False)
    precedence = np.array([PRECEDENCE.get(namespace, 1) for namespace in namespaces])
    first = np.lexsort((ids, precedence, label))  # each part's first identifier leads its run
    starts = np.concatenate(([True], label[first][1:] != label[first][:-1])) if len(first) else np.zeros(0, bool)
    leader = np.zeros(label.max() + 1 if len(label) else 0, dtype=np.int64)
    leader[label[first][starts]] = ids[first][starts]
    after = leader[label]
    moved = inside & (after != before)
    return pa.table({"identifier_id": ids[moved], "old_customer_id": before[moved], "customer_id": after[moved]})


def _over_limit(namespaces: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Which identifiers are linked to more user ids than their namespace may join."""
    is_user = namespaces == USER
    users = np.zeros(len(namespaces), dtype=np.int64)
    np.add.at(users, left, is_user[right])
    np.add.at(users, right, is_user[left])
    limit = np.array([LIMITS.get(namespace, OTHER_LIMIT) for namespace in namespaces])
    return np.asarray(~is_user & (users > limit))


def _move(warehouse: Warehouse, moved: pa.Table, revision: int, projected: Sequence[Facts]) -> None:
    """Writes the identifiers' new customers, and lets every projected table follow."""
    target = warehouse.stage("moved_identifiers", moved.select(["identifier_id", "customer_id"]))
    for facts in (IDENTIFIERS, *projected):
        rows = warehouse.table(facts)
        following = rows.drop("customer_id").join(target, "identifier_id")
        if facts is IDENTIFIERS:
            following = following.mutate(revision=ibis.literal(revision, "int64"))
        warehouse.replace(facts, ["identifier_id"], following.select(*facts.columns))


def _seen_table(seen: Mapping[Identifier, datetime]) -> pa.Table:
    schema = ibis.schema(_SEEN).to_pyarrow()
    columns = [
        [identifier.id for identifier in seen],
        [identifier.namespace for identifier in seen],
        [identifier.value for identifier in seen],
        list(seen.values()),
    ]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _link_table(links: Sequence[Link]) -> pa.Table:
    unique = {link.link_id: link for link in links}.values()
    return IDENTITY_LINKS.arrow(
        {
            "link_id": [link.link_id for link in unique],
            "left_id": [link.left.id for link in unique],
            "right_id": [link.right.id for link in unique],
            "kind": [link.kind for link in unique],
            "trust": [link.trust for link in unique],
            "source_id": [link.source_id for link in unique],
            "event_id": [link.event_id for link in unique],
            "linked_at": [link.linked_at for link in unique],
        }
    )
