"""The tick: moves everybody who is due, in a handful of expressions a position, whoever and how many they are.

All of a tick is one warehouse transaction and every id in it is made from what it stands for, so a tick that is cut off
has not been, and a second one at the same time finds nobody due.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import ibis
import ibis.expr.types as ir

from onevoice.delivery.facts import MESSAGES
from onevoice.journeys.enrolment import Moving, active, enter, later, leave_by_edit, leave_by_goal, leave_by_merge
from onevoice.journeys.facts import DECISIONS, ENROLMENTS
from onevoice.journeys.policy import decide, seen
from onevoice.journeys.positions import Position, plan
from onevoice.journeys.service import SavedJourney
from onevoice.warehouse import Warehouse

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class TickReport:
    """What a tick did, per journey."""

    entered: dict[str, int] = field(default_factory=dict)
    planned: dict[str, int] = field(default_factory=dict)


def tick(warehouse: Warehouse, journeys: Sequence[SavedJourney], now: datetime) -> TickReport:
    """Moves the journeys on to `now`: who enters, who leaves early, then each position in order."""
    report = TickReport()
    messages = warehouse.table(MESSAGES)
    with warehouse.transaction():
        last = warehouse.rows(messages.aggregate(tick=messages.tick.max()))[0]["tick"] or 0
        # Told by the clock, so that no number comes again after messages were erased or the warehouse was restored.
        number = max(last + 1, (now - EPOCH) // timedelta(microseconds=1))
        for saved in journeys:
            document = saved.document
            journey = Moving(saved.version, document, plan(document), now, number)
            report.entered[saved.name] = enter(warehouse, journey)
            leave_by_merge(warehouse, journey)
            leave_by_edit(warehouse, journey)
            if document.goal and document.goal.event:
                leave_by_goal(warehouse, journey, document.goal.event)
            report.planned[saved.name] = _move(warehouse, journey)
    return report


def _move(warehouse: Warehouse, journey: Moving) -> int:
    """Everybody who is due, position by position; who is refused at one goes on to the next. Returns messages planned.

    The enrolments are moved in a scratch table and written once, at the end.
    """
    waiting = active(warehouse, journey)
    standing = warehouse.stage("standing", waiting.filter(waiting.due_at <= journey.at))
    if not warehouse.count(standing):
        return 0
    planned = 0
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
    warehouse.replace(ENROLMENTS, ["enrolment_id"], standing)
    return planned


def _decided(warehouse: Warehouse, journey: Moving, index: int, position: Position, here: ir.Table) -> ir.Table:
    """Those at a position, with the policy's decision."""
    candidates = here.select("enrolment_id", "identifier_id", "customer_id", "entered_at")
    earlier = journey.plan.earlier(index)
    reactions = _reactions(warehouse, journey, position, earlier) if earlier and position.stop_on else None
    document = journey.document
    return decide(warehouse, candidates, reactions, position.channel, document.topic, document.policy, journey.now)


def _reactions(warehouse: Warehouse, journey: Moving, position: Position, earlier: list[str]) -> ir.Table:
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


def _messages(warehouse: Warehouse, sent: ir.Table, journey: Moving, position: Position) -> ir.Table:
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


def _decisions(warehouse: Warehouse, decided: ir.Table, journey: Moving, position: Position) -> ir.Table:
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


def _moved(decided: ir.Table, journey: Moving, index: int, position: Position) -> ir.Table:
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
            (reacted, later(now, beyond.delay if beyond else timedelta())),
            (decided.outcome == "send", later(now, waits)),
            else_=later(now, following.delay if following else timedelta()),
        ),
        updated_at=now,
    ).select(*ENROLMENTS.columns)
