"""Which links count: pairs of identifiers with all that events and people said of them, and who is seen with too many.

Only reads; what is made of it, and written, is in `identity.py`.
"""

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from onevoice.customers.facts import IDENTIFIERS, IDENTITY_DECISIONS, IDENTITY_LINKS
from onevoice.customers.identifiers import PROVEN, TRUSTS, USER, Rules
from onevoice.warehouse import Warehouse, remembered

MERGE, PART, BLOCK, UNDO, REBUILD = "merge", "part", "block", "undo", "rebuild"


@remembered
def ends(links: ir.Table) -> ir.Table:
    """The identifiers that links join."""
    return links.select(identifier_id=links.left_id).union(links.select(identifier_id=links.right_id), distinct=True)


@remembered
def live(decisions: ir.Table) -> ir.Table:
    """Decisions that were not undone, with their ends in order."""
    undone = decisions.filter(decisions.action == UNDO).select(decision_id="undoes")
    live = decisions.filter(decisions.action != UNDO).anti_join(undone, "decision_id")
    return live.mutate(
        left_id=ibis.least(live.identifier_id, live.other_id), right_id=ibis.greatest(live.identifier_id, live.other_id)
    )


@remembered
def verdicts(decisions: ir.Table) -> ir.Table:
    """The newest decision about each pair."""
    told = live(decisions)
    told = told.filter(told.action.isin([MERGE, PART]))
    newest = ibis.row_number().over(
        group_by=["left_id", "right_id"], order_by=[ibis.desc(told.decided_at), ibis.desc(told.decision_id)]
    )
    ranked = told.mutate(rank=newest)
    return ranked.filter(ranked.rank == 0)


def pairs(warehouse: Warehouse, among: ir.Table) -> ir.Table:
    """Pairs with an end among identifiers: strongest trust, earliest time, and whether people or aliases said so."""
    return _pairs_of(warehouse.table(IDENTITY_LINKS), warehouse.table(IDENTITY_DECISIONS), among)


@remembered
def _pairs_of(links: ir.Table, decisions: ir.Table, among: ir.Table) -> ir.Table:
    decided = verdicts(decisions)
    merges = decided.filter(decided.action == MERGE)
    trust = ibis.cases(*((links.trust == name, rank) for rank, name in enumerate(TRUSTS)), else_=len(TRUSTS))
    told = links.select(
        "left_id",
        "right_id",
        trust=trust.cast("int64"),
        at=links.linked_at,
        is_alias=((links.kind == "alias") & (links.trust == PROVEN)).cast("int64"),
        manual=ibis.literal(0, "int64"),
    )
    said = merges.select(
        "left_id",
        "right_id",
        trust=ibis.literal(0, "int64"),
        at=merges.decided_at,
        is_alias=ibis.literal(0, "int64"),
        manual=ibis.literal(1, "int64"),
    )
    rows = told.union(said)
    of_left = rows.semi_join(among, rows.left_id == among.identifier_id)
    of_right = rows.semi_join(among, rows.right_id == among.identifier_id)
    both = of_left.union(of_right)  # a pair of which both ends are among them comes twice, which changes nothing below
    return both.group_by("left_id", "right_id").aggregate(
        trust=both.trust.min(), at=both["at"].min(), is_alias=both.is_alias.max(), manual=both.manual.max()
    )


def neighbours(warehouse: Warehouse, among: ir.Table) -> ir.Table:
    """Each of the identifiers beside each it is linked to, with what `_pairs` says: identifier_id, other_id, ..."""
    return _neighbours_of(pairs(warehouse, among), among)


@remembered
def _neighbours_of(pairs: ir.Table, among: ir.Table) -> ir.Table:
    rest = [name for name in pairs.columns if name not in ("left_id", "right_id")]
    forth = pairs.select(*rest, identifier_id=pairs.left_id, other_id=pairs.right_id)
    back = pairs.select(*rest, identifier_id=pairs.right_id, other_id=pairs.left_id)
    return forth.union(back).semi_join(among, "identifier_id")


def shared(warehouse: Warehouse, touched: ir.Table, rules: Rules) -> pa.Table:
    """Of each touched identifier whether it is seen with too many: identifier_id, is_shared, was_shared.

    People count by the strongest trust among its links: who merely claims a card cannot take it from its owner.
    """
    identifiers = warehouse.table(IDENTIFIERS)
    met = _met(neighbours(warehouse, touched), identifiers)
    needy = [name for name, rule in rules.namespaces.items() if rule.needs_proof]
    met = met.filter((met.trust == 0) | ~(met.namespace.isin(needy) | met.met.isin(needy)))
    met = met.mutate(best=met.trust.min().over(group_by="identifier_id"))
    counted = met.group_by("identifier_id").aggregate(
        people=met.person.nunique(where=(met.met == USER) & (met.trust == met.best)), neighbours=met.other_id.nunique()
    )
    mine = identifiers.semi_join(touched, "identifier_id")
    rows = mine.left_join(counted, "identifier_id").drop("identifier_id_right")
    limits = [(rows.namespace == name, rule.shared_over) for name, rule in rules.namespaces.items() if name != USER]
    limit = ibis.cases((rows.namespace == USER, rules.most_neighbours), *limits, else_=rules.of("").shared_over)
    blocked = live(warehouse.table(IDENTITY_DECISIONS)).filter(lambda row: row.action == BLOCK).select("identifier_id")
    is_blocked = rows.identifier_id.isin(blocked.identifier_id)
    if rules.blocked:  # what was blocked only after it had come; later it is no identifier at all
        is_blocked |= rows.value.lower().isin(sorted(rules.blocked))
    over = (ibis.coalesce(rows.people, 0) > limit) | (ibis.coalesce(rows.neighbours, 0) > rules.most_neighbours)
    was = ibis.coalesce(rows.is_shared, False)
    # As numbers, because ClickHouse's truth values come as such.
    told = warehouse.read(rows.select("identifier_id", now=(over | is_blocked).cast("int8"), was=was.cast("int8")))
    return pa.table(
        {
            "identifier_id": told["identifier_id"],
            "is_shared": pc.equal(told["now"], 1),
            "was_shared": pc.equal(told["was"], 1),
        }
    )


@remembered
def _met(near: ir.Table, identifiers: ir.Table) -> ir.Table:
    """Neighbours that events told of, with both namespaces and whose the other one is."""
    near = near.filter(near.manual == 0)
    own = identifiers.select("identifier_id", "namespace")
    other = identifiers.select(
        other_id=identifiers.identifier_id, met=identifiers.namespace, person=identifiers.same_id
    )
    return near.join(own, "identifier_id").join(other, "other_id")
