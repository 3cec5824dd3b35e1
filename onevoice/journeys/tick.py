"""The tick: moves everybody who is due, in a handful of expressions a position, whoever and how many they are.

All of a tick is one warehouse transaction and every id in it is made from what it stands for, so a tick that is cut off
has not been, and a second one at the same time finds nobody due.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import ibis
import ibis.expr.types as ir

from onevoice.catalog.facts import ORDERS
from onevoice.delivery.facts import MESSAGES
from onevoice.events.facts import EVENTS
from onevoice.journeys.document import Document, Plan, Position, plan
from onevoice.journeys.facts import DECISIONS, ENROLMENTS
from onevoice.journeys.policy import decide, seen
from onevoice.journeys.service import SavedJourney
from onevoice.kernel.clock import naive
from onevoice.kernel.ids import identifier_id
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.warehouse import Warehouse

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

PRIME = 2_147_483_647
"""2^31 - 1: the arm's hash multiplies by the journey's salt modulo this prime."""


@dataclass
class TickReport:
    """What a tick did, per journey."""

    entered: dict[str, int] = field(default_factory=dict)
    planned: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Journey:
    """A live journey in the tick."""

    version: int
    document: Document
    plan: Plan
    now: datetime
    tick: int

    @property
    def at(self) -> ir.TimestampScalar:
        return ibis.timestamp(naive(self.now)).cast("timestamp(6)")


def tick(warehouse: Warehouse, journeys: Sequence[SavedJourney], now: datetime) -> TickReport:
    """Moves the journeys on to `now`: entries, goals, then each position in order."""
    report = TickReport()
    messages = warehouse.table(MESSAGES)
    with warehouse.transaction():
        last = warehouse.rows(messages.aggregate(tick=messages.tick.max()))[0]["tick"] or 0
        # Told by the clock, so that no number comes again after messages were erased or the warehouse was restored.
        number = max(last + 1, (now - EPOCH) // timedelta(microseconds=1))
        for saved in journeys:
            document = saved.document
            journey = _Journey(saved.version, document, plan(document), now, number)
            report.entered[saved.name] = _enter(warehouse, journey)
            _leave_by_merge(warehouse, journey)
            _leave_by_edit(warehouse, journey)
            if document.goal:
                _leave_by_goal(warehouse, journey, document.goal.event)
            report.planned[saved.name] = _move(warehouse, journey)
    return report


def in_holdout(customer_id: ir.IntegerColumn, journey: str, share: float) -> ir.BooleanColumn:
    """Whether a customer is in a journey's hold-out: the same for ever, and independent between journeys.

    The id is a hash already; multiplying it by the journey's salt modulo a prime deals the customers anew for each.
    """
    salt = identifier_id("journey", journey) % (PRIME - 2) + 1
    return ((customer_id % PRIME) * salt) % PRIME < round(share * PRIME)


def _enter(warehouse: Warehouse, journey: _Journey) -> int:
    """The segment's members who have never been in, with their arm; the hold-out's enrolment is over at once."""
    document, now = journey.document, journey.at
    members, enrolments = warehouse.table(SEGMENT_MEMBERS), warehouse.table(ENROLMENTS)
    inside = members.filter(members.segment == document.entry.segment).select("customer_id")
    before = enrolments.filter(enrolments.journey == document.name).select("customer_id")
    new = inside.anti_join(before, "customer_id")
    held = in_holdout(new.customer_id, document.name, document.holdout)
    new = new.mutate(
        enrolment_id=warehouse.digest(ibis.literal(f"{document.name}|") + new.customer_id.cast("string")),
        journey=ibis.literal(document.name),
        journey_version=ibis.literal(journey.version, "int64"),
        identifier_id=new.customer_id,
        arm=ibis.ifelse(held, "holdout", "treated"),
        step=ibis.literal(journey.plan.positions[0].key),
        state=ibis.ifelse(held, "done", "active"),
        reason=ibis.ifelse(held, "holdout", ""),
        entered_at=now,
        due_at=_later(now, journey.plan.positions[0].delay),
        updated_at=now,
    )
    entered = warehouse.stage("entered", new)
    count = warehouse.count(entered)
    if count:
        warehouse.append(ENROLMENTS, entered)
        _record(warehouse, journey, entered.filter(entered.arm == "holdout"), "holdout")
    return count


def _leave_by_goal(warehouse: Warehouse, journey: _Journey, event: str) -> None:
    """Whoever did the goal's event since entering is out, due or not."""
    active = _active(warehouse, journey)
    facts, moment = (ORDERS, "ordered_at") if event == "Order Completed" else (EVENTS, "occurred_at")
    did = warehouse.table(facts)
    if facts is EVENTS:
        did = did.filter(did.name == event)
    last = did.semi_join(active, "customer_id").group_by("customer_id").aggregate(done_at=did[moment].max())
    _end(warehouse, journey, active.join(last, "customer_id").filter(lambda row: row.done_at > row.entered_at), "goal")


def _leave_by_merge(warehouse: Warehouse, journey: _Journey) -> None:
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


def _leave_by_edit(warehouse: Warehouse, journey: _Journey) -> None:
    """Whoever stands at a position that a newer version has no more is out."""
    active = _active(warehouse, journey)
    there = [position.key for position in journey.plan.positions]
    _end(warehouse, journey, active.filter(active.step.notin(there)), "step_removed")


def _end(warehouse: Warehouse, journey: _Journey, leaving: ir.Table, reason: str) -> None:
    """Takes enrolments out of the journey before its end, and keeps why."""
    leaving = warehouse.stage("leaving", leaving.select(*ENROLMENTS.columns))
    if warehouse.count(leaving):
        _record(warehouse, journey, leaving, reason)
        ended = leaving.mutate(state=ibis.literal("exited"), reason=ibis.literal(reason), updated_at=journey.at)
        warehouse.replace(ENROLMENTS, ["enrolment_id"], ended.select(*ENROLMENTS.columns))


def _move(warehouse: Warehouse, journey: _Journey) -> int:
    """Everybody who is due, position by position; who is refused at one goes on to the next. Returns messages planned.

    The enrolments are moved in a scratch table and written once, at the end.
    """
    active = _active(warehouse, journey)
    standing = warehouse.stage("standing", active.filter(active.due_at <= journey.at))
    planned = 0
    moved = False
    for index, position in enumerate(journey.plan.positions):
        at_it = (standing.step == position.key) & (standing.state == "active") & (standing.due_at <= journey.at)
        here = standing.filter(at_it)
        if not warehouse.count(here):
            continue
        decided = warehouse.stage("decided", _decided(warehouse, journey, index, position, here))
        sent = decided.filter(decided.outcome == "send")
        warehouse.append(MESSAGES, _messages(warehouse, sent, journey, position))
        warehouse.append(DECISIONS, _decisions(warehouse, decided, journey, position))
        rest = standing.filter(~at_it).select(*ENROLMENTS.columns)
        standing = warehouse.stage(f"standing_{index % 2}", rest.union(_moved(decided, journey, index, position)))
        planned += warehouse.count(sent)
        moved = True
    if moved:
        warehouse.replace(ENROLMENTS, ["enrolment_id"], standing)
    return planned


def _decided(warehouse: Warehouse, journey: _Journey, index: int, position: Position, here: ir.Table) -> ir.Table:
    """Those at a position, with the policy's decision."""
    candidates = here.select("enrolment_id", "identifier_id", "customer_id", "entered_at")
    earlier = journey.plan.earlier(index)
    reactions = _reactions(warehouse, journey, position, earlier) if earlier and position.stop_on else None
    document = journey.document
    return decide(warehouse, candidates, reactions, position.channel, document.topic, document.policy, journey.now)


def _active(warehouse: Warehouse, journey: _Journey) -> ir.Table:
    enrolments = warehouse.table(ENROLMENTS)
    return enrolments.filter(enrolments.journey == journey.document.name, enrolments.state == "active")


def _reactions(warehouse: Warehouse, journey: _Journey, position: Position, earlier: list[str]) -> ir.Table:
    """Enrolments in which a person did, to an earlier message of the cascade, what stops it."""
    messages = warehouse.table(MESSAGES)
    stops = [messages[f"{reaction}_at"].notnull() for reaction in position.stop_on]
    mine = messages.filter(messages.journey == journey.document.name, messages.step.isin(earlier))
    return mine.filter(ibis.or_(*stops)).select("enrolment_id").distinct()


def _message_id(warehouse: Warehouse, decided: ir.Table, position: Position) -> ir.StringValue:
    """A UUID made of the enrolment and the position: there is one message for the two, however often it is planned."""
    digest = warehouse.digest(decided.enrolment_id + ibis.literal(f"|{position.key}"))
    dash = ibis.literal("-")
    pieces = [digest.substr(start, length) for start, length in ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))]
    return pieces[0] + dash + pieces[1] + dash + pieces[2] + dash + pieces[3] + dash + pieces[4]


def _messages(warehouse: Warehouse, sent: ir.Table, journey: _Journey, position: Position) -> ir.Table:
    """Planned messages of those whom the policy lets through."""
    known = {
        "message_id": _message_id(warehouse, sent, position),
        "journey": ibis.literal(journey.document.name),
        "journey_version": ibis.literal(journey.version, "int64"),
        "step": ibis.literal(position.key),
        "channel": ibis.literal(position.channel),
        "template": ibis.literal(position.template),
        "topic": ibis.literal(journey.document.topic),
        "planned_at": journey.at,
        "tick": ibis.literal(journey.tick, "int64"),
        "status": ibis.literal("planned"),
    }
    later = {
        name: ibis.null(kind)
        for name, kind in MESSAGES.columns.items()
        if name not in known and name not in sent.columns
    }
    planned = sent.mutate(**known, **later).select(*MESSAGES.columns)
    # On a store without transactions a tick that was cut off may have planned some of them.
    held = warehouse.table(MESSAGES)
    here = held.filter(held.journey == journey.document.name, held.step == position.key)
    return planned.anti_join(here, "message_id")


def _decisions(warehouse: Warehouse, decided: ir.Table, journey: _Journey, position: Position) -> ir.Table:
    moment = f"|{position.key}|{journey.now.isoformat()}"
    message_id = _message_id(warehouse, decided, position)
    return decided.mutate(
        decision_id=warehouse.digest(decided.enrolment_id + ibis.literal(moment)),
        journey=ibis.literal(journey.document.name),
        step=ibis.literal(position.key),
        channel=ibis.literal(position.channel),
        decided_at=journey.at,
        message_id=ibis.ifelse(decided.outcome == "send", message_id, ibis.null("string")),
        seen=seen(decided, journey.document.policy),
    ).select(*DECISIONS.columns)


def _moved(decided: ir.Table, journey: _Journey, index: int, position: Position) -> ir.Table:
    """The enrolments after the decision: a deferral stays, a refusal goes on at once, a message after its wait, a
    reaction to the next step."""
    now = journey.at
    following, beyond = journey.plan.after(index), journey.plan.beyond(index)
    deferred, reacted = decided.outcome == "defer", decided.reason == "already_reached"
    goes_on = ibis.ifelse(reacted, ibis.literal(beyond is not None), ibis.literal(following is not None))
    ended = ~deferred & ~goes_on
    waits = position.wait + following.delay if following else timedelta()
    return decided.mutate(
        journey=ibis.literal(journey.document.name),
        journey_version=ibis.literal(journey.version, "int64"),
        arm=ibis.literal("treated"),
        step=ibis.cases(
            (deferred | ended, position.key),
            (reacted, beyond.key if beyond else position.key),
            else_=following.key if following else position.key,
        ),
        state=ibis.ifelse(ended, "done", "active"),
        reason=ibis.cases((~ended, ""), (reacted, "reacted"), else_="completed"),
        due_at=ibis.cases(
            (deferred, decided.quiet_until),
            (reacted, _later(now, beyond.delay if beyond else timedelta())),
            (decided.outcome == "send", _later(now, waits)),
            else_=_later(now, following.delay if following else timedelta()),
        ),
        updated_at=now,
    ).select(*ENROLMENTS.columns)


def _later(at: ir.TimestampScalar, wait: timedelta) -> ir.TimestampScalar:
    return at + ibis.interval(seconds=int(wait.total_seconds()))


def _record(warehouse: Warehouse, journey: _Journey, rows: ir.Table, reason: str) -> None:
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
