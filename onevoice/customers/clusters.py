"""Clusters of identifiers grouped anew: all that some are linked to is looked at, at once, and what changed is written.

Which customer an identifier is of follows from the links and decisions alone; the rows of other tables move with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onevoice.customers import evidence, refusals
from onevoice.customers.arrivals import NEWCOMERS
from onevoice.customers.facts import IDENTIFIERS, IDENTITY_DECISIONS
from onevoice.customers.grouping import Edges, grouped, least
from onevoice.customers.identifiers import DEVICE, USER, Rules
from onevoice.warehouse import Facts, Warehouse, remembered


def precedence(namespace: str, rules: Rules) -> int:
    """Which namespace names the customer: the lowest."""
    return 0 if namespace == USER else 2 if rules.of(namespace).trust == DEVICE else 1


def regroup(warehouse: Warehouse, ends: pa.Table, revision: int, projected: Sequence[Facts], rules: Rules) -> set[int]:
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
    is_shared[places(ids, shared["identifier_id"].to_numpy())] = shared["is_shared"].to_numpy(zero_copy_only=False)

    left, right = places(ids, edges["left_id"].to_numpy()), places(ids, edges["right_id"].to_numpy())
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
    apart_left, apart_right = places(ids, parted["left_id"].to_numpy()), places(ids, parted["right_id"].to_numpy())
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


def places(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
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
    staged = warehouse.stage("moved", moved.select(["identifier_id", "customer_id"]))
    target = warehouse.stage("moved_identifiers", staged.anti_join(NEWCOMERS, "identifier_id"))
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
