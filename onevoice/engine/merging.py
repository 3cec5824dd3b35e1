"""What a decision about who is who would change, before it is made: the real rules on a copy of what it touches."""

from collections.abc import Mapping, Sequence
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa

from onevoice import warehouse as warehouses
from onevoice.catalog.facts import ORDERS
from onevoice.customers import decisions, identity
from onevoice.customers.facts import (
    CONSENTS,
    IDENTIFIERS,
    IDENTITY_DECISIONS,
    IDENTITY_LINKS,
    IDENTITY_WARNINGS,
    TRAITS,
)
from onevoice.customers.identifiers import Rules
from onevoice.customers.schemas import DecisionEntry
from onevoice.events.facts import EVENTS
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.warehouse import Facts, Warehouse

COPIED = (IDENTIFIERS, IDENTITY_LINKS, IDENTITY_DECISIONS, IDENTITY_WARNINGS)
COUNTED = (EVENTS, ORDERS, CONSENTS, TRAITS)


def preview(warehouse: Warehouse, told: DecisionEntry, rules: Rules) -> dict[str, Any]:
    """Customers before and after with their identifiers, rows that would move, links that would be refused.

    `segments` are those in which the customers touched are now; they are asked anew after the decision.
    """
    decided = decisions.rows([told])
    scratch = warehouses.connect("duckdb://")
    try:
        scratch.create(COPIED)
        _copy(warehouse, scratch, decided)
        before = _groups(scratch)
        refused = _warnings(scratch)
        with scratch.transaction():
            _, changed = identity.resolve(scratch, {}, [], 1, [], rules, decided)
        after = _groups(scratch)
        names = {r["identifier_id"]: f"{r['namespace']}:{r['value']}" for r in scratch.rows(scratch.table(IDENTIFIERS))}
        news = _warnings(scratch) - refused
    finally:
        scratch.close()
    moved = [one for one, customer in after.items() if before[one] != customer]
    return {
        "before": _named(before, names, changed),
        "after": _named(after, names, changed),
        "moved": _counts(warehouse, moved),
        "segments": _segments(warehouse, {before[one] for one in before} & changed),
        "refused": [
            {"rule": rule, "identifiers": [names.get(one, str(one)) for one in ends if one]}
            for rule, *ends in sorted(news)
        ],
    }


def rebuilt(warehouse: Warehouse, rules: Rules) -> dict[str, Any]:
    """What grouping everybody anew by these rules would change: profiles split, profiles merged, rows that move."""
    scratch = warehouses.connect("duckdb://")
    try:
        scratch.create(COPIED)
        for facts in COPIED:
            scratch.append(facts, warehouse.read(warehouse.table(facts)))
        was = scratch.stage(
            "was_grouped", scratch.read(scratch.table(IDENTIFIERS).select("identifier_id", was="customer_id"))
        )
        with scratch.transaction():
            identity.rebuild(scratch, 1, [], rules)
        rows = scratch.table(IDENTIFIERS).select("identifier_id", "customer_id")
        # Kept aside, for the rebuild writes the table anew.
        both = scratch.stage("was_and_is", scratch.read(rows.join(was, "identifier_id")))
        split = both.group_by("was").aggregate(n=both.customer_id.nunique())
        merged = both.group_by("customer_id").aggregate(n=both.was.nunique())
        told = {
            "profiles_before": scratch.count(split),
            "profiles_after": scratch.count(merged),
            "split": scratch.count(split.filter(split.n > 1)),
            "merged": scratch.count(merged.filter(merged.n > 1)),
        }
        moved = scratch.read(both.filter(both.was != both.customer_id).select("identifier_id"))
    finally:
        scratch.close()
    return {**told, "moved": {"identifiers": moved.num_rows, **_counts(warehouse, moved["identifier_id"].to_pylist())}}


def _copy(warehouse: Warehouse, scratch: Warehouse, decided: pa.Table) -> None:
    """Copies the clusters of the decision's ends, all that these are linked to, and what is linked to that."""
    identifiers, links = warehouse.table(IDENTIFIERS), warehouse.table(IDENTITY_LINKS)
    ends = [one for name in ("identifier_id", "other_id") for one in decided[name].to_pylist() if one]
    around = warehouse.stage("preview_around", pa.table({"identifier_id": pa.array(ends, pa.int64())}))
    for _ in range(2):
        clusters = identifiers.semi_join(around, "identifier_id").select("cluster_id").distinct()
        members = identifiers.semi_join(clusters, "cluster_id").select("identifier_id")
        near = _touching(links, members)
        reached = near.select(identifier_id=near.left_id).union(near.select(identifier_id=near.right_id))
        around = warehouse.stage("preview_around", members.union(reached, distinct=True))
    near = _touching(links, around)
    reached = near.select(identifier_id=near.left_id).union(near.select(identifier_id=near.right_id)).union(around)
    scratch.append(IDENTIFIERS, warehouse.read(identifiers.semi_join(reached, "identifier_id")))
    scratch.append(IDENTITY_LINKS, warehouse.read(near))
    for facts in (IDENTITY_DECISIONS, IDENTITY_WARNINGS):
        scratch.append(facts, warehouse.read(warehouse.table(facts)))


def _touching(links: ir.Table, ids: ir.Table) -> ir.Table:
    of_left = links.semi_join(ids, links.left_id == ids.identifier_id)
    return of_left.union(links.semi_join(ids, links.right_id == ids.identifier_id), distinct=True)


def _groups(warehouse: Warehouse) -> dict[int, int]:
    rows = warehouse.rows(warehouse.table(IDENTIFIERS).select("identifier_id", "customer_id"))
    return {row["identifier_id"]: row["customer_id"] for row in rows}


def _warnings(warehouse: Warehouse) -> set[tuple[str, int, int]]:
    rows = warehouse.rows(warehouse.table(IDENTITY_WARNINGS).select("rule", "identifier_id", "other_id"))
    return {(row["rule"], row["identifier_id"], row["other_id"]) for row in rows}


def _named(groups: Mapping[int, int], names: Mapping[int, str], customers: set[int]) -> list[dict[str, Any]]:
    by_customer: dict[int, list[str]] = {}
    for one, customer in groups.items():
        if customer in customers:
            by_customer.setdefault(customer, []).append(names[one])
    return [{"customer_id": str(one), "identifiers": sorted(by_customer[one])} for one in sorted(by_customer)]


def _counts(warehouse: Warehouse, moved: Sequence[int]) -> dict[str, int]:
    ids = warehouse.stage("preview_moved", pa.table({"identifier_id": pa.array(moved, pa.int64())}))
    counted: Sequence[Facts] = COUNTED
    return {facts.name: warehouse.count(warehouse.table(facts).semi_join(ids, "identifier_id")) for facts in counted}


def _segments(warehouse: Warehouse, customers: set[int]) -> dict[str, list[str]]:
    ids = warehouse.stage("preview_moved", pa.table({"customer_id": pa.array(sorted(customers), pa.int64())}))
    found: dict[str, list[str]] = {}
    for row in warehouse.rows(warehouse.table(SEGMENT_MEMBERS).semi_join(ids, "customer_id").order_by("segment")):
        found.setdefault(row["segment"], []).append(str(row["customer_id"]))
    return found
