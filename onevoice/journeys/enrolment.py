"""Who comes into a journey and who goes out of it before its end; what lies between is the tick's."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir

from onevoice.catalog.facts import ORDERS
from onevoice.catalog.orders import made
from onevoice.events.facts import EVENTS
from onevoice.journeys.document import Document
from onevoice.journeys.facts import DECISIONS, ENROLMENTS
from onevoice.journeys.positions import Plan
from onevoice.kernel.clock import naive
from onevoice.kernel.ids import identifier_id
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.warehouse import Warehouse

PRIME = 2_147_483_647
"""2^31 - 1: the arm's hash multiplies by the journey's salt modulo this prime."""


@dataclass(frozen=True)
class Moving:
    """A live journey in the tick."""

    version: int
    document: Document
    plan: Plan
    now: datetime
    tick: int  # its number, which its messages carry to the hand-off

    @property
    def at(self) -> ir.TimestampScalar:
        """The tick's instant, as the warehouse has it."""
        return ibis.timestamp(naive(self.now)).cast("timestamp(6)")


def in_holdout(customer_id: ir.IntegerColumn, journey: str, share: float) -> ir.BooleanColumn:
    """Whether a customer is in a journey's hold-out: the same for ever, and independent between journeys.

    The id is a hash already; multiplying it by the journey's salt modulo a prime deals the customers anew for each.
    """
    salt = identifier_id("journey", journey) % (PRIME - 2) + 1
    return ((customer_id % PRIME) * salt) % PRIME < round(share * PRIME)


def enter(warehouse: Warehouse, journey: Moving) -> int:
    """The segment's members who have never been in, with their arm; the hold-out's enrolment is over at once."""
    document, now = journey.document, journey.at
    members, enrolments = warehouse.table(SEGMENT_MEMBERS), warehouse.table(ENROLMENTS)
    inside = members.filter(members.segment == document.entry.segment).select("customer_id")
    before = enrolments.filter(enrolments.journey == document.name).select("customer_id")
    new = warehouse.stage("newcomers", inside.anti_join(before, "customer_id"))
    count = warehouse.count(new)
    if not count:
        return 0
    held = in_holdout(new.customer_id, document.name, document.holdout)
    enrolled = new.mutate(
        enrolment_id=warehouse.digest(ibis.literal(f"{document.name}|") + new.customer_id.cast("string")),
        journey=ibis.literal(document.name),
        journey_version=ibis.literal(journey.version, "int64"),
        identifier_id=new.customer_id,
        arm=ibis.ifelse(held, "holdout", "treated"),
        step=ibis.literal(journey.plan.positions[0].key),
        state=ibis.ifelse(held, "done", "active"),
        reason=ibis.ifelse(held, "holdout", ""),
        entered_at=now,
        due_at=later(now, journey.plan.positions[0].delay),
        updated_at=now,
    )
    entered = warehouse.stage("entered", enrolled)
    warehouse.append(ENROLMENTS, entered)
    _record(warehouse, journey, entered.filter(entered.arm == "holdout"), "holdout")
    return count


def leave_by_goal(warehouse: Warehouse, journey: Moving, event: str) -> None:
    """Whoever did the goal's event since entering is out, due or not."""
    standing = active(warehouse, journey)
    facts, moment = (ORDERS, "ordered_at") if event == "Order Completed" else (EVENTS, "occurred_at")
    did = warehouse.table(facts)
    did = made(did) if facts is ORDERS else did.filter(did.name == event)
    last = did.semi_join(standing, "customer_id").group_by("customer_id").aggregate(done_at=did[moment].max())
    reached = standing.join(last, "customer_id")
    _end(warehouse, journey, reached.filter(reached.done_at > reached.entered_at), "goal")


def leave_by_merge(warehouse: Warehouse, journey: Moving) -> None:
    """Of customers who entered as several and turned out to be one, a single enrolment goes on: if one of them is in
    the hold-out, that; else the oldest."""
    enrolments = warehouse.table(ENROLMENTS)
    mine = enrolments.filter(enrolments.journey == journey.document.name)
    # Each entered as its own customer, so of two that are now one, one at least has changed its customer.
    merged = mine.filter(mine.identifier_id != mine.customer_id).select("customer_id").distinct()
    rivals = mine.semi_join(merged, "customer_id")
    first = (rivals.arm != "holdout").cast("int8")
    rank = ibis.row_number().over(group_by="customer_id", order_by=[first, rivals.entered_at, rivals.enrolment_id])
    ranked = rivals.mutate(rank=rank)
    _end(warehouse, journey, ranked.filter(ranked.rank > 0, ranked.state == "active"), "merged")


def leave_by_edit(warehouse: Warehouse, journey: Moving) -> None:
    """Whoever stands at a position that a newer version has no more is out."""
    standing = active(warehouse, journey)
    there = [position.key for position in journey.plan.positions]
    _end(warehouse, journey, standing.filter(standing.step.notin(there)), "step_removed")


def _end(warehouse: Warehouse, journey: Moving, leaving: ir.Table, reason: str) -> None:
    """Takes enrolments out of the journey before its end, and keeps why."""
    leaving = warehouse.stage("leaving", leaving.select(*ENROLMENTS.columns))
    if warehouse.count(leaving):
        _record(warehouse, journey, leaving, reason)
        ended = leaving.mutate(state=ibis.literal("exited"), reason=ibis.literal(reason), updated_at=journey.at)
        warehouse.replace(ENROLMENTS, ["enrolment_id"], ended.select(*ENROLMENTS.columns))


def active(warehouse: Warehouse, journey: Moving) -> ir.Table:
    """The enrolments that have not ended."""
    enrolments = warehouse.table(ENROLMENTS)
    return enrolments.filter(enrolments.journey == journey.document.name, enrolments.state == "active")


def later(at: ir.TimestampScalar, wait: timedelta) -> ir.TimestampScalar:
    """The instant so long after `at`."""
    return at + ibis.interval(seconds=int(wait.total_seconds()))


def _record(warehouse: Warehouse, journey: Moving, rows: ir.Table, reason: str) -> None:
    """A decision about enrolments on which no channel was reached."""
    made = rows.select("enrolment_id", "identifier_id", "customer_id", "step").mutate(
        decision_id=warehouse.digest(rows.enrolment_id + ibis.literal(f"|{journey.now.isoformat()}|{reason}")),
        journey=ibis.literal(journey.document.name),
        channel=ibis.literal(""),
        decided_at=journey.at,
        outcome=ibis.literal("skip"),
        reason=ibis.literal(reason),
        message_id=ibis.null("string"),
        seen=ibis.literal("{}"),
    )
    warehouse.append(DECISIONS, made.select(*DECISIONS.columns))
