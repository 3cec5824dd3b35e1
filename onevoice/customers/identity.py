"""Who is who: customers as the connected parts of a graph of identifiers, kept in the warehouse as links come and go.

A link joins two identifiers and knows its event, source and trust. Which links count is decided by `grouping.py` from
the links and people's decisions alone, not from the order in which they came; so taking one away again (an unmerge)
gives exactly what would be without it. A customer's id is that of its first identifier by `precedence`, then by number.

Only the clusters that a new link or decision touches are looked at, all of them at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onevoice.customers import evidence, refusals
from onevoice.customers.facts import IDENTIFIERS, IDENTITY_DECISIONS, IDENTITY_LINKS
from onevoice.customers.grouping import Edges, grouped, least, parts
from onevoice.customers.identifiers import ANONYMOUS, DEVICE, PROVEN, RULES, USER, Identifier, Rules
from onevoice.kernel.ids import fact_id
from onevoice.warehouse import Facts, Warehouse, remembered

__all__ = ["ANONYMOUS", "USER", "Identifier", "Link", "precedence", "resolve"]

_TIMES = {"seen_at": "timestamp(6)", "known_at": "timestamp(6)"}
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


def precedence(namespace: str, rules: Rules) -> int:
    """Which namespace names the customer: the lowest."""
    return 0 if namespace == USER else 2 if rules.of(namespace).trust == DEVICE else 1


def resolve(
    warehouse: Warehouse,
    seen: Mapping[Identifier, datetime],
    links: Sequence[Link],
    revision: int,
    projected: Sequence[Facts],
    rules: Rules = RULES,
    decided: pa.Table | None = None,
) -> tuple[dict[int, int], set[int]]:
    """Takes identifiers (with the time first seen), links and decisions (columns of IDENTITY_DECISIONS) in.

    Returns each seen identifier's customer, and the set of customers, old ids and new ones, that gained or lost an
    identifier or were seen earlier than was known. The rows of the `projected` tables follow their identifiers to the
    new customers. To be called within a transaction.
    """
    if not seen and decided is None:
        return {}, set()
    batch = warehouse.stage("seen_identifiers", _seen_table(seen, revision))
    _take_seen(warehouse, batch)
    touched = [_take_links(warehouse, links)] if links else []
    explicit = [warehouse.read(_decided_ends(warehouse, decided))] if decided is not None and decided.num_rows else []
    explicit += [_proven_aliases(links), warehouse.read(_awaited(warehouse))]
    changed: set[int] = set()
    ends = pa.concat_tables([*touched, *explicit])
    if ends.num_rows:
        same = _same_anew(warehouse, pa.concat_tables(explicit))
        changed = _regroup(warehouse, pa.concat_tables([ends, same]), revision, projected, rules)
    known = ibis.table({"identifier_id": "int64", "is_new": "boolean", **_TIMES}, name="known_identifiers")
    found = warehouse.read(_customers(known, warehouse.table(IDENTIFIERS)))
    changed |= set(found.filter(pc.equal(found["is_news"], 1))["customer_id"].to_pylist())
    return dict(zip(found["identifier_id"].to_pylist(), found["customer_id"].to_pylist(), strict=True)), changed


def regroup(
    warehouse: Warehouse, ids: Sequence[int], revision: int, projected: Sequence[Facts], rules: Rules = RULES
) -> set[int]:
    """Groups anew the identifiers `ids` and all they are linked to, after links of theirs were removed.

    Returns the customers that changed. To be called within the transaction that removes.
    """
    if not ids:
        return set()
    _take_seen(warehouse, warehouse.stage("seen_identifiers", _seen_table({}, revision)))  # nobody new
    ends = pa.table({"identifier_id": pa.array(ids, pa.int64())})
    ends = pa.concat_tables([ends, _same_anew(warehouse, ends)])
    return _regroup(warehouse, ends, revision, projected, rules)


def rebuild(warehouse: Warehouse, revision: int, projected: Sequence[Facts], rules: Rules) -> set[int]:
    """Groups everybody anew, after the rules have changed; returns the customers that changed.

    What comes out is what these rules would have made of the same links from the start. To be called within a
    transaction.
    """
    everybody = warehouse.read(warehouse.table(IDENTIFIERS).select("identifier_id"))
    if everybody.num_rows == 0:
        return set()
    _take_seen(warehouse, warehouse.stage("seen_identifiers", _seen_table({}, revision)))  # nobody new
    return _regroup(warehouse, everybody, revision, projected, rules)


@remembered
def _customers(known: ir.Table, identifiers: ir.Table) -> ir.Table:
    """Each seen identifier's customer, and whether there is something new about the identifier itself."""
    is_news = (known.is_new | ibis.coalesce(known.seen_at < known.known_at, False)).cast("int8")
    rows = known.select("identifier_id", is_news=is_news)
    rows = rows.join(identifiers.select("identifier_id", "customer_id"), "identifier_id")
    return rows.select("identifier_id", "customer_id", "is_news")


# -- taking in


def _take_seen(warehouse: Warehouse, batch: ir.Table) -> None:
    """An identifier never seen before is a customer of its own until a link says otherwise."""
    identifiers = warehouse.table(IDENTIFIERS)
    known = warehouse.stage("known_identifiers", _known(identifiers, batch))
    warehouse.append(IDENTIFIERS, warehouse.stage("newcomers", _newcomers(known)))
    earlier = warehouse.stage("earlier_identifiers", _earlier(known))
    if warehouse.count(earlier):
        warehouse.replace(IDENTIFIERS, ["identifier_id"], _with_earlier(identifiers, earlier))


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


def _awaited(warehouse: Warehouse) -> ir.Table:
    """Both ends of decisions about identifiers that come only now."""
    return _decided(ibis.table({"identifier_id": "int64"}, name="newcomers"), warehouse.table(IDENTITY_DECISIONS))


@remembered
def _decided(new: ir.Table, decisions: ir.Table) -> ir.Table:
    of_one = decisions.semi_join(new, "identifier_id")
    about = of_one.union(decisions.semi_join(new, decisions.other_id == new.identifier_id))
    ends = evidence.ends(about.select(left_id=about.identifier_id, right_id=about.other_id))
    return ends.filter(ends.identifier_id != 0)


def _take_links(warehouse: Warehouse, links: Sequence[Link]) -> pa.Table:
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


def _proven_aliases(links: Sequence[Link]) -> pa.Table:
    told = [link for link in links if link.kind == "alias" and link.trust == PROVEN]
    ids = [end.id for link in told for end in (link.left, link.right)]
    return pa.table({"identifier_id": pa.array(ids, pa.int64())})


def _decided_ends(warehouse: Warehouse, decided: pa.Table) -> ir.Table:
    """Keeps decisions; the identifiers that they are about, or that those they undo were about."""
    table = warehouse.table(IDENTITY_DECISIONS)
    fresh = warehouse.stage("fresh_decisions", decided)
    warehouse.append(IDENTITY_DECISIONS, warehouse.stage("new_decisions", fresh.anti_join(table, "decision_id")))
    undone = table.semi_join(fresh, table.decision_id == fresh.undoes)
    about = fresh.union(undone.select(*fresh.columns))
    ends = evidence.ends(about.select(left_id=about.identifier_id, right_id=about.other_id))
    return ends.filter(ends.identifier_id != 0)


def _same_anew(warehouse: Warehouse, ends: pa.Table) -> pa.Table:
    """Brings `same_id` up to decisions and proven aliases; returns the identifiers beside those that changed."""
    none = ends.slice(0, 0)
    if ends.num_rows == 0:
        return none
    identifiers = warehouse.table(IDENTIFIERS)
    staged = warehouse.stage("explicit_ends", ends)
    touched = identifiers.semi_join(staged, "identifier_id").select("same_id").distinct()
    members = warehouse.stage(
        "explicit_members", identifiers.semi_join(touched, "same_id").select("identifier_id", "same_id")
    )
    pairs = evidence.pairs(warehouse, members)
    edges = warehouse.read(pairs.filter((pairs.is_alias + pairs.manual) > 0).select("left_id", "right_id"))
    held = warehouse.read(members).sort_by("identifier_id")
    ids, before = held["identifier_id"].to_numpy(), held["same_id"].to_numpy()
    left, right = _places(ids, edges["left_id"].to_numpy()), _places(ids, edges["right_id"].to_numpy())
    inside = (left >= 0) & (right >= 0)
    after = least(parts(len(ids), left[inside], right[inside]), ids)
    news = after != before
    if not news.any():
        return none
    target = warehouse.stage("same_now", pa.table({"identifier_id": ids[news], "same_now": after[news]}))
    following = identifiers.join(target, "identifier_id")
    following = following.mutate(same_id=following.same_now)
    warehouse.replace(IDENTIFIERS, ["identifier_id"], following.select(*IDENTIFIERS.columns))
    neighbours = evidence.neighbours(warehouse, target)
    return warehouse.read(neighbours.select(identifier_id=neighbours.other_id).distinct())


# -- grouping


def _regroup(warehouse: Warehouse, ends: pa.Table, revision: int, projected: Sequence[Facts], rules: Rules) -> set[int]:
    """Groups anew all that the identifiers `ends` are or become linked to; returns the customers that changed."""
    identifiers = warehouse.table(IDENTIFIERS)
    touched = warehouse.stage("touched", ends.group_by("identifier_id").aggregate([]))
    shared = evidence.shared(warehouse, touched, rules)
    freed = shared.filter(pc.and_(shared["was_shared"], pc.invert(shared["is_shared"])))
    if freed.num_rows:  # their neighbours may join again
        near = evidence.neighbours(warehouse, warehouse.stage("freed", freed.select(["identifier_id"])))
        more = warehouse.read(near.select(identifier_id=near.other_id))
        touched = warehouse.stage("touched", pa.concat_tables([ends, more]).group_by("identifier_id").aggregate([]))
    members = warehouse.stage("touched_identifiers", _members(identifiers, touched))
    dead = warehouse.stage("shared_now", shared.filter(shared["is_shared"]).select(["identifier_id"]))
    edges = warehouse.stage("touched_pairs", _counting(evidence.pairs(warehouse, members), dead))
    parted = _parted(evidence.verdicts(warehouse.table(IDENTITY_DECISIONS)), members)
    found = _grouping(
        warehouse.read(_both_ends(identifiers, members, edges)),
        warehouse.read(edges),
        warehouse.read(parted),
        shared,
        rules,
    )
    refusals.write(warehouse, members, found.refused, found.shared)
    moved = found.rows.filter(pc.not_equal(found.rows["old_customer_id"], found.rows["customer_id"]))
    if found.rows.num_rows:
        _write(warehouse, found.rows, revision)
    if moved.num_rows:
        _move(warehouse, moved, projected)
    return set(moved["old_customer_id"].to_pylist()) | set(moved["customer_id"].to_pylist())


@remembered
def _members(identifiers: ir.Table, touched: ir.Table) -> ir.Table:
    """All that the touched identifiers are linked to so far."""
    clusters = identifiers.semi_join(touched, "identifier_id").select("cluster_id").distinct()
    return identifiers.semi_join(clusters, "cluster_id").select(
        "identifier_id", "namespace", "customer_id", "cluster_id", "is_shared"
    )


@remembered
def _counting(pairs: ir.Table, dead: ir.Table) -> ir.Table:
    is_dead = pairs.left_id.isin(dead.identifier_id) | pairs.right_id.isin(dead.identifier_id)
    return pairs.filter((pairs.manual > 0) | ~is_dead)


@remembered
def _both_ends(identifiers: ir.Table, members: ir.Table, edges: ir.Table) -> ir.Table:
    """The members, and without a customer those they have a link to that are none."""
    others = identifiers.semi_join(evidence.ends(edges).anti_join(members, "identifier_id"), "identifier_id")
    others = others.select(
        "identifier_id", "namespace", customer_id=ibis.null("int64"), cluster_id="cluster_id", is_shared="is_shared"
    )
    return members.union(others)


@remembered
def _parted(verdicts: ir.Table, members: ir.Table) -> ir.Table:
    parted = verdicts.filter(verdicts.action == evidence.PART)
    return parted.semi_join(members, parted.left_id == members.identifier_id).select("left_id", "right_id")


@dataclass(frozen=True)
class _Found:
    rows: pa.Table  # what changes: identifier_id, old_customer_id, customer_id, cluster_id, is_shared
    refused: pa.Table  # left_id, right_id, rule, namespace
    shared: pa.Table  # identifier_id, namespace: members that join nobody


def _grouping(members: pa.Table, edges: pa.Table, parted: pa.Table, shared: pa.Table, rules: Rules) -> _Found:
    """Connected parts of the members by the links that count, compared with what they are now.

    A row without a customer is no member; it is the other end of a link that cannot count.
    """
    members = members.sort_by("identifier_id")
    ids = members["identifier_id"].to_numpy()
    names = members["namespace"].to_pylist()
    inside = members["customer_id"].is_valid().to_numpy()
    before = members["customer_id"].fill_null(0).to_numpy()
    cluster_before = members["cluster_id"].fill_null(0).to_numpy()
    was_shared = members["is_shared"].fill_null(False).to_numpy(zero_copy_only=False)
    is_shared = was_shared.copy()
    is_shared[_places(ids, shared["identifier_id"].to_numpy())] = shared["is_shared"].to_numpy(zero_copy_only=False)

    left, right = _places(ids, edges["left_id"].to_numpy()), _places(ids, edges["right_id"].to_numpy())
    seen = (left >= 0) & (right >= 0)  # a decision may be about an identifier that never came
    edges, left, right = edges.filter(pa.array(seen)), left[seen], right[seen]
    trust, manual = edges["trust"].to_numpy(), edges["manual"].to_numpy() > 0
    needs_proof = {name for name, rule in rules.namespaces.items() if rule.needs_proof}
    needy = np.fromiter((name in needs_proof for name in names), bool, len(names))
    unproven = (needy[left] | needy[right]) & (trust > 0) & ~manual
    joins = inside[left] & inside[right] & (manual | ~(is_shared[left] | is_shared[right])) & ~unproven
    # A manual link's other end is a member already: both its ends were touched when it was decided.
    counted = Edges(
        left[joins],
        right[joins],
        (edges["is_alias"].to_numpy() > 0)[joins] | manual[joins],
        trust[joins],
        pc.cast(edges["at"], pa.int64()).to_numpy()[joins],
    )
    apart_left, apart_right = _places(ids, parted["left_id"].to_numpy()), _places(ids, parted["right_id"].to_numpy())
    both = (apart_left >= 0) & (apart_right >= 0)
    apart = list(zip(apart_left[both].tolist(), apart_right[both].tolist(), strict=True))
    cluster, group, refused = grouped(ids, names, counted, apart, rules)
    first = {name: precedence(name, rules) for name in set(names)}
    after = _leaders(group, ids, np.fromiter((first[name] for name in names), np.int64, len(names)))
    cluster_after = least(cluster, ids)
    news = inside & ((after != before) | (cluster_after != cluster_before) | (is_shared != was_shared))
    rows = pa.table(
        {
            "identifier_id": ids[news],
            "old_customer_id": before[news],
            "customer_id": after[news],
            "now_cluster": cluster_after[news],
            "now_shared": is_shared[news],
        }
    )
    claims = np.flatnonzero(unproven)
    claimed = [names[right[one] if needy[right[one]] else left[one]] for one in claims]
    told = pa.table(
        {
            "left_id": pa.array([*ids[left[claims]], *(ids[one.left] for one in refused)], pa.int64()),
            "right_id": pa.array([*ids[right[claims]], *(ids[one.right] for one in refused)], pa.int64()),
            "rule": pa.array(["unproven"] * len(claims) + [one.rule for one in refused], pa.string()),
            "namespace": pa.array([*claimed, *(one.namespace for one in refused)], pa.string()),
        }
    )
    shut = np.flatnonzero(inside & is_shared)
    return _Found(
        rows,
        told,
        pa.table(
            {
                "identifier_id": pa.array(ids[shut], pa.int64()),
                "namespace": pa.array([names[one] for one in shut], pa.string()),
            }
        ),
    )


def _places(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each wanted id stands in the sorted ids; -1 where it does not."""
    if not len(ids):
        return np.full(len(wanted), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[place] == wanted, place, -1)


def _leaders(group: np.ndarray, ids: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """The id of each group's first identifier, for each member."""
    order = np.lexsort((ids, rank, group))
    starts = np.concatenate(([True], group[order][1:] != group[order][:-1])) if len(order) else np.zeros(0, bool)
    leader = np.zeros(group.max() + 1 if len(group) else 0, dtype=np.int64)
    leader[group[order][starts]] = ids[order][starts]
    return np.asarray(leader[group])


def _write(warehouse: Warehouse, rows: pa.Table, revision: int) -> None:
    """Writes what the links say now beside each identifier; one that stays with its customer keeps its revision."""
    identifiers = warehouse.table(IDENTIFIERS)
    rows = rows.append_column("now_revision", pa.array([revision] * rows.num_rows, pa.int64()))
    target = warehouse.stage("regrouped", rows.rename_columns({"customer_id": "now_customer"}))
    warehouse.replace(IDENTIFIERS, ["identifier_id"], _regrouped(identifiers, target))


@remembered
def _regrouped(identifiers: ir.Table, target: ir.Table) -> ir.Table:
    following = identifiers.join(target, "identifier_id")
    is_moved = following.now_customer != following.old_customer_id
    following = following.mutate(
        customer_id=following.now_customer,
        cluster_id=following.now_cluster,
        is_shared=following.now_shared,
        revision=ibis.ifelse(is_moved, following.now_revision, following.revision),
    )
    return following.select(*IDENTIFIERS.columns)


def _move(warehouse: Warehouse, moved: pa.Table, projected: Sequence[Facts]) -> None:
    """Lets the rows of every projected table follow. An identifier that came just now has none yet."""
    new = ibis.table({"identifier_id": "int64"}, name="newcomers")
    staged = warehouse.stage("moved", moved.select(["identifier_id", "customer_id"]))
    target = warehouse.stage("moved_identifiers", staged.anti_join(new, "identifier_id"))
    if not warehouse.count(target):
        return
    tables = [warehouse.table(facts) for facts in projected]
    held = {row["name"] for row in warehouse.rows(_concerned(target, *tables)) if row["rows"]} if tables else set()
    for facts in projected:
        if facts.name in held:
            following = _following(warehouse.table(facts), target)
            warehouse.replace(facts, ["identifier_id"], warehouse.stage(f"new_{facts.name}", following))


@remembered
def _concerned(moved: ir.Table, *tables: ir.Table) -> ir.Table:
    """How many rows of moved identifiers each table holds, asked all at once."""
    counts = []
    for table in tables:
        rows = table.semi_join(moved, "identifier_id")
        counts.append(rows.aggregate(rows=rows.count()).mutate(name=ibis.literal(table.get_name())))
    return ibis.union(*counts)


@remembered
def _following(rows: ir.Table, target: ir.Table) -> ir.Table:
    return rows.drop("customer_id").join(target, "identifier_id").select(*rows.columns)


# -- as tables


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
