"""Who is who: customers as the connected parts of a graph of identifiers, kept in the warehouse as links come and go.

A link joins two identifiers and knows its event, source and trust. Which links count is decided by `grouping.py` from
the links and people's decisions alone, not from the order in which they came; so taking one away again (an unmerge)
gives exactly what would be without it. A customer's id is that of its first identifier by `clusters.precedence`, then
by number.

Only the clusters that a new link or decision touches are looked at, all of them at once.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from onevoice.customers import arrivals, clusters, evidence
from onevoice.customers.arrivals import Link
from onevoice.customers.facts import IDENTIFIERS, IDENTITY_DECISIONS
from onevoice.customers.grouping import least, parts
from onevoice.customers.identifiers import PROVEN, RULES, Identifier, Rules
from onevoice.warehouse import Facts, Warehouse, remembered


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
    known = arrivals.take_seen(warehouse, seen, revision)
    touched = [arrivals.take_links(warehouse, links)] if links else []
    explicit = [warehouse.read(_decided_ends(warehouse, decided))] if decided is not None and decided.num_rows else []
    explicit += [_proven_aliases(links), warehouse.read(_awaited(warehouse))]
    changed: set[int] = set()
    ends = pa.concat_tables([*touched, *explicit])
    if ends.num_rows:
        same = _same_anew(warehouse, pa.concat_tables(explicit))
        changed = clusters.regroup(warehouse, pa.concat_tables([ends, same]), revision, projected, rules)
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
    arrivals.take_seen(warehouse, {}, revision)  # nobody new
    ends = pa.table({"identifier_id": pa.array(ids, pa.int64())})
    ends = pa.concat_tables([ends, _same_anew(warehouse, ends)])
    return clusters.regroup(warehouse, ends, revision, projected, rules)


def rebuild(warehouse: Warehouse, revision: int, projected: Sequence[Facts], rules: Rules) -> set[int]:
    """Groups everybody anew, after the rules have changed; returns the customers that changed.

    What comes out is what these rules would have made of the same links from the start. To be called within a
    transaction.
    """
    everybody = warehouse.read(warehouse.table(IDENTIFIERS).select("identifier_id"))
    if everybody.num_rows == 0:
        return set()
    arrivals.take_seen(warehouse, {}, revision)  # nobody new
    return clusters.regroup(warehouse, everybody, revision, projected, rules)


@remembered
def _customers(known: ir.Table, identifiers: ir.Table) -> ir.Table:
    """Each seen identifier's customer, and whether there is something new about the identifier itself."""
    is_news = (known.is_new | ibis.coalesce(known.seen_at < known.known_at, False)).cast("int8")
    rows = known.select("identifier_id", is_news=is_news)
    rows = rows.join(identifiers.select("identifier_id", "customer_id"), "identifier_id")
    return rows.select("identifier_id", "customer_id", "is_news")


def _awaited(warehouse: Warehouse) -> ir.Table:
    """Both ends of decisions about identifiers that come only now."""
    return _decided(arrivals.NEWCOMERS, warehouse.table(IDENTITY_DECISIONS))


@remembered
def _decided(new: ir.Table, decisions: ir.Table) -> ir.Table:
    of_one = decisions.semi_join(new, "identifier_id")
    about = of_one.union(decisions.semi_join(new, decisions.other_id == new.identifier_id))
    ends = evidence.ends(about.select(left_id=about.identifier_id, right_id=about.other_id))
    return ends.filter(ends.identifier_id != 0)


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
    left, right = clusters.places(ids, edges["left_id"].to_numpy()), clusters.places(ids, edges["right_id"].to_numpy())
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
