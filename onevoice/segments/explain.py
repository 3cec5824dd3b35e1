"""Why a customer is in a segment or not: the tree, and at each leaf whether it holds and the values it saw."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa

from onevoice.customers.facts import PROFILES
from onevoice.segments.compiler import evaluated, members
from onevoice.segments.narrowed import Narrowed
from onevoice.segments.sentence import said
from onevoice.segments.tree import All, Any_, Condition, Leaf, Not, kind_of
from onevoice.warehouse import Warehouse


def explain(
    condition: Condition, warehouse: Warehouse, now: datetime, customer_id: int, locale: str = "en"
) -> dict[str, Any]:
    """The tree as plain values: `holds` at every node; at a leaf what is `asked`, also in words (`said`), and `seen`.

    Nothing seen: there is no fact of the kind.
    """
    narrowed = Narrowed(warehouse)
    members(condition, narrowed, now)  # tells which tables are asked
    narrowed.fill(pa.array([customer_id], pa.int64()), [*narrowed.asked.values(), PROFILES])
    return _node(condition, warehouse, narrowed, now, customer_id, locale)


def _node(
    condition: Condition, warehouse: Warehouse, narrowed: Narrowed, now: datetime, customer_id: int, locale: str
) -> dict[str, Any]:
    match condition:
        case All(conditions) | Any_(conditions):
            inner = [_node(one, warehouse, narrowed, now, customer_id, locale) for one in conditions]
            word, holds = ("all", all) if isinstance(condition, All) else ("any", any)
            return {"kind": word, "holds": holds(one["holds"] for one in inner), "conditions": inner}
        case Not(only):
            node = _node(only, warehouse, narrowed, now, customer_id, locale)
            return {"kind": "not", "holds": not node["holds"], "conditions": [node]}
    kind = kind_of(condition)
    # Whoever is compared with the population is measured beside all of it.
    where = warehouse if kind.is_population_relative(condition) else narrowed
    found = evaluated(condition, where, now, customer_id)
    seen = {name: _plain(value) for name, value in found.seen.items()}
    words = {"asked": asked(condition), "said": said(condition, locale)}
    return {"kind": kind.name, "holds": found.holds, **words, "seen": seen}


def asked(leaf: Leaf) -> dict[str, Any]:
    """A leaf's parameters as a document has them, without those left as they are by default."""
    values: dict[str, Any] = msgspec.to_builtins(leaf)
    defaults = {field.name: field.default for field in msgspec.structs.fields(leaf)}
    return {name: value for name, value in values.items() if value != defaults[name] and value != {}}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat() + "Z"
    return float(value) if isinstance(value, Decimal) else value
