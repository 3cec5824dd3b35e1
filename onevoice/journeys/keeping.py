"""How the tick keeps what it does: enrolments of one shape, rows appended once, decisions with their reason."""

from datetime import timedelta

import ibis
import ibis.expr.types as ir

from onevoice.journeys import moment
from onevoice.journeys.facts import DECISIONS, ENROLMENTS
from onevoice.warehouse import Facts, Warehouse

LATEST = timedelta(days=3)
"""What should have been done so long ago (the journey was paused, the engine stood still) is not done any more."""

WOKEN = ibis.table({"enrolment_id": "string", "happened_at": "timestamp(6)"}, name="tick_woken")
"""Scratch table of the tick: those for whom it has happened, in time, what they waited for."""

SHAPE = ibis.schema({name: ibis.dtype(kind)(nullable=True) for name, kind in ENROLMENTS.columns.items()})
"""How a table of enrolments looks, whatever it was made of."""


def append_new(warehouse: Warehouse, facts: Facts, rows: ir.Table, key: str) -> None:
    """Appends rows, on a store without transactions only those that are not there."""
    if not warehouse.is_duckdb:
        held = warehouse.table(facts)
        rows = warehouse.stage("to_append", rows.anti_join(held, key))
    warehouse.append(facts, rows)


def record(warehouse: Warehouse, rows: ir.Table, reason: str, outcome: str = "skip") -> None:
    """A decision about enrolments on which no channel was reached."""
    bar = ibis.literal("|")
    made = rows.select("enrolment_id", "identifier_id", "customer_id", "journey", "step").mutate(
        decision_id=warehouse.digest(rows.enrolment_id + bar + moment.stamp() + ibis.literal(f"|{reason}")),
        channel=ibis.literal(""),
        decided_at=moment.at(),
        outcome=ibis.literal(outcome),
        reason=ibis.literal(reason),
        message_id=ibis.null("string"),
        seen=ibis.literal("{}"),
        passes=ibis.null("int64"),
    )
    append_new(warehouse, DECISIONS, made.select(*DECISIONS.columns), "decision_id")


def passes(rows: ir.Table) -> ir.IntegerValue:
    """How often each has jumped."""
    return ibis.coalesce(rows.passes, 0)


def later(at: ir.TimestampValue, wait: timedelta) -> ir.TimestampValue:
    """The instant so long after `at`."""
    return at + ibis.interval(seconds=int(wait.total_seconds())) if wait else at
