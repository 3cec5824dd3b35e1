"""Identity warnings: every link that does not join and the rule that says so, written together with the groups.

A projection over the links like the customers: a warning goes when its reason goes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.customers.facts import IDENTITY_LINKS, IDENTITY_WARNINGS
from onevoice.kernel.ids import identifier_id
from onevoice.warehouse import Warehouse

EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Blocked:
    """A value that names nobody, and who sent it first."""

    namespace: str
    value: str
    source_id: int
    event_id: str
    at: datetime


def write(warehouse: Warehouse, members: ir.Table, refused: pa.Table, shared: pa.Table) -> None:
    """Puts the warnings of the members anew. `refused`: left_id, right_id, rule, namespace; `shared`: identifiers."""
    warnings = warehouse.table(IDENTITY_WARNINGS)
    ids = members.select("identifier_id")
    told = warnings.filter(warnings.rule != "blocked")
    about = told.semi_join(ids, "identifier_id").union(told.semi_join(ids, told.other_id == ids.identifier_id))
    old = warehouse.stage("old_warnings", about.select("identifier_id", "other_id").distinct())
    if warehouse.count(old):
        warehouse.delete(IDENTITY_WARNINGS, old)
    if refused.num_rows:
        warehouse.append(IDENTITY_WARNINGS, warehouse.stage("new_refusals", _of_pairs(warehouse, refused)))
    if shared.num_rows:
        warehouse.append(IDENTITY_WARNINGS, warehouse.stage("new_shared", _of_one(warehouse, shared)))


def take_blocked(warehouse: Warehouse, blocked: Iterable[Blocked]) -> None:
    """Keeps of each blocked value, namespace and source the first event that sent it."""
    first: dict[tuple[str, str, int], Blocked] = {}
    for one in blocked:
        held = first.setdefault((one.namespace, one.value, one.source_id), one)
        if (one.at, one.event_id) < (held.at, held.event_id):
            first[one.namespace, one.value, one.source_id] = one
    if not first:
        return
    rows = list(first.values())
    columns: dict[str, list[object]] = {
        "rule": ["blocked"] * len(rows),
        "namespace": [row.namespace for row in rows],
        "identifier_id": [identifier_id(row.namespace, row.value) for row in rows],
        "other_id": [0] * len(rows),
        "source_id": [row.source_id for row in rows],
        "event_id": [row.event_id for row in rows],
        "occurred_at": [row.at for row in rows],
        "value": [row.value[:100] for row in rows],
    }
    fresh = warehouse.stage("fresh_blocked", IDENTITY_WARNINGS.arrow(columns))
    warnings = warehouse.table(IDENTITY_WARNINGS)
    held = warnings.filter(warnings.rule == "blocked").semi_join(fresh, ["identifier_id", "source_id"])
    both = held.union(fresh)
    key = ["identifier_id", "source_id"]
    order = [both.occurred_at, both.event_id]
    ranked = both.mutate(rank=ibis.row_number().over(group_by=key, order_by=order))
    newest = ranked.filter(ranked.rank == 0).drop("rank")
    warehouse.replace(IDENTITY_WARNINGS, ["rule", *key], newest)


def _of_pairs(warehouse: Warehouse, refused: pa.Table) -> ir.Table:
    pairs, links = warehouse.stage("refused_pairs", refused), warehouse.table(IDENTITY_LINKS)
    told = links.semi_join(pairs, ["left_id", "right_id"])
    ranked = told.mutate(
        rank=ibis.row_number().over(
            group_by=["left_id", "right_id"], order_by=[told.linked_at, told.event_id, told.link_id]
        )
    )
    first = ranked.filter(ranked.rank == 0).select("left_id", "right_id", "source_id", "event_id", "linked_at")
    rows = pairs.left_join(first, ["left_id", "right_id"])
    return rows.select(
        "rule",
        "namespace",
        identifier_id=rows.left_id,
        other_id=rows.right_id,
        source_id=ibis.coalesce(rows.source_id, 0),  # 0 and no event: a person's decision
        event_id=ibis.coalesce(rows.event_id, ""),
        occurred_at=ibis.coalesce(rows.linked_at, ibis.timestamp(EPOCH)),
        value=ibis.null("string"),
    )


def _of_one(warehouse: Warehouse, shared: pa.Table) -> ir.Table:
    """The link that came last says since when a value is shared."""
    ones, links = warehouse.stage("shared_ones", shared), warehouse.table(IDENTITY_LINKS)
    columns = ["source_id", "event_id", "linked_at", "link_id"]
    of_left = links.select(*columns, identifier_id=links.left_id)
    of_right = links.select(*columns, identifier_id=links.right_id)
    told = of_left.union(of_right).semi_join(ones, "identifier_id")
    ranked = told.mutate(
        rank=ibis.row_number().over(
            group_by="identifier_id", order_by=[ibis.desc(told.linked_at), ibis.desc(told.event_id), told.link_id]
        )
    )
    rows = ones.left_join(ranked.filter(ranked.rank == 0).drop("rank"), "identifier_id")
    return rows.select(
        "identifier_id",
        "namespace",
        rule=ibis.literal("shared"),
        other_id=ibis.literal(0, "int64"),
        source_id=ibis.coalesce(rows.source_id, 0),
        event_id=ibis.coalesce(rows.event_id, ""),
        occurred_at=ibis.coalesce(rows.linked_at, ibis.timestamp(EPOCH)),
        value=ibis.null("string"),
    )
