"""A warehouse in which only some customers exist: so the same expressions find who of them meets a condition.

The rows of those customers are put aside once, in one scan of each table, and then every condition is asked of these
few rows: hundreds of conditions for thousands of customers cost little more than the first.
"""

from collections.abc import Collection

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.warehouse import Facts, Warehouse

THROUGH = {MESSAGE_EVENTS.name: (MESSAGES, "message_id")}
"""Tables whose rows are a customer's by way of another table's."""


class Narrowed(Warehouse):
    """The same store, with the tables of `fill` in place of the whole ones. One at a time on a connection."""

    def __init__(self, whole: Warehouse) -> None:
        super().__init__(whole.backend)
        self.whole = whole
        self.asked: dict[str, Facts] = {}  # the tables that were asked for

    def table(self, facts: Facts) -> ir.Table:
        self.asked[facts.name] = facts
        if not _is_narrowed(facts):
            return super().table(facts)
        columns = {name: ibis.dtype(kind)(nullable=True) for name, kind in facts.columns.items()}
        return ibis.table(columns, name=_name(facts))

    def fill(self, customers: pa.Array, tables: Collection[Facts]) -> None:
        """Puts the customers' rows of the tables aside."""
        asked = self.whole.stage("narrow_customers", pa.table({"customer_id": customers.cast(pa.int64())}))
        wanted = {facts.name: facts for facts in tables if _is_narrowed(facts)}
        for facts in [THROUGH[name][0] for name in wanted if name in THROUGH]:
            wanted.setdefault(facts.name, facts)
        for facts in sorted(wanted.values(), key=lambda one: one.name in THROUGH):
            rows = self.whole.table(facts)
            if facts.name in THROUGH:
                owner, key = THROUGH[facts.name]
                self.whole.stage(_name(facts), rows.semi_join(self.table(owner), key))
            else:
                self.whole.stage(_name(facts), rows.semi_join(asked, "customer_id"))

    def widened(self, sql: str) -> str:
        """A query of these few rows as one of the whole tables: only their names are others."""
        for facts in self.asked.values():
            sql = sql.replace(f'"{_name(facts)}"', f'"{facts.name}"')
        return sql

    def put(self, facts: Facts, rows: ir.Table) -> None:
        """Puts other rows in place of those of a table."""
        self.whole.stage(_name(facts), rows)


def _is_narrowed(facts: Facts) -> bool:
    return "customer_id" in facts.columns or facts.name in THROUGH


def _name(facts: Facts) -> str:
    return f"narrow_{facts.name}"
