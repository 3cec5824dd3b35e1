"""Conditions of segments asked about a few customers in the middle of a tick: their queries compiled once."""

from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from onevoice.segments.compiler import members
from onevoice.segments.tree import condition
from onevoice.warehouse import Warehouse
from onevoice.warehouse.moving import Moving, moving

AMONG = "asked_customers"
"""The scratch table of the customers asked about."""


class Question:
    """A condition tree, and its compiled query."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._condition = condition(document)
        self._moving: dict[bool, Moving | None] = {}

    def query(self, warehouse: Warehouse, now: datetime) -> str:
        """The customers of the table `AMONG` who meet it, as SQL of the store."""
        if warehouse.is_duckdb not in self._moving:
            self._moving[warehouse.is_duckdb] = moving(lambda at: self._compiled(warehouse, at), warehouse.is_duckdb)
        ready = self._moving[warehouse.is_duckdb]
        return ready.at(now) if ready else self._compiled(warehouse, now)

    def _compiled(self, warehouse: Warehouse, now: datetime) -> str:
        among = ibis.table({"customer_id": "int64"}, name=AMONG)
        return str(warehouse.backend.compile(members(self._condition, warehouse, now, among)))


def asked(
    warehouse: Warehouse, questions: dict[str, Question], people: ir.Table, now: datetime, name: str = "answers"
) -> ir.Table:
    """Which of the customers of `people` meet which question: way (the question's key), customer_id."""
    warehouse.stage(AMONG, people.select("customer_id").distinct())
    queries = {key: question.query(warehouse, now) for key, question in questions.items()}
    return warehouse.gather(name, "way", "customer_id", queries)
