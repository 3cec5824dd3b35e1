"""Who comes into a journey: by which way, whether they may (again), and into which arm they are dealt."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.customers.contact import ControlGroup
from onevoice.journeys import calendars, moment
from onevoice.journeys.asking import Question, asked
from onevoice.journeys.facts import ENROLMENTS
from onevoice.journeys.hashing import in_control, in_holdout
from onevoice.journeys.keeping import LATEST, SHAPE, append_new, later, record
from onevoice.journeys.laid import Laid
from onevoice.journeys.matching import matching
from onevoice.journeys.news import News
from onevoice.journeys.spans import duration
from onevoice.kernel.clock import naive
from onevoice.segments.conditions.values import Where
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.segments.membership import LEFT
from onevoice.warehouse import Warehouse, remembered

REQUESTED, SCANNED = "Journey Entry Requested", "Code Scanned"
"""Events of ours that let somebody in: by the API, and by a link or code. Their `journey` says which, `key` the key."""

CANDIDATE = ibis.schema({"customer_id": "int64", "at": "timestamp(6)", "key": "string", "token": "string"})
"""Somebody who is to come in: since when, with which key, and what tells this entry from another of theirs."""

NO_CONTROL = ControlGroup()

FOR_EVER = datetime(2999, 1, 1)
"""Later than any enrolment."""


def enter(
    warehouse: Warehouse, journeys: Sequence[Laid], news: News, now: datetime, control: ControlGroup = NO_CONTROL
) -> dict[str, int]:
    """Lets in whoever comes, with their arm; gives how many by journey. Of each journey only the newest version."""
    found = dict.fromkeys((journey.name for journey in journeys), 0)
    by_segment = _by_segment(warehouse, [one for one in journeys if one.document.entry.segment], now)
    calendar = calendars.calendar(warehouse, journeys)
    for journey in journeys:
        entry = journey.document.entry
        if entry.segment is not None:
            if journey.name in by_segment:
                rows = NEWCOMERS.filter(NEWCOMERS.journey == journey.name).select(*CANDIDATE.names)
                found[journey.name] = _enrol(warehouse, journey, rows, now, control, is_alike=True)
        elif entry.schedule is not None or entry.date is not None:
            rows_or_none = calendars.candidates(warehouse, journey, calendar, now)
            if rows_or_none is not None:
                found[journey.name] = _enrol(warehouse, journey, rows_or_none, now, control, is_alike=False)
        elif pattern(journey)[0] in news.names:
            told = news.of(journey)
            build = partial(_by_event, warehouse, journey, told)
            is_alike = told.op() == news.events.op()  # in every tick
            rows = journey.remembered(("candidates", warehouse.is_duckdb), build) if is_alike else build()
            found[journey.name] = _enrol(warehouse, journey, rows, now, control, is_alike)
    return found


NEWCOMERS = ibis.table({"journey": "string", **dict(CANDIDATE.items())}, name="segment_newcomers")


def pattern(journey: Laid) -> tuple[str, Where, str | None]:
    """The event by which one comes in: its name, what is asked of it, and the property that is the key."""
    entry = journey.document.entry
    if entry.event is not None:
        return entry.event.name, entry.event.where, entry.event.key
    if entry.left is not None:
        return LEFT, {"segment": entry.left}, None
    return REQUESTED if entry.api else SCANNED, {"journey": journey.name}, "key"


def _by_segment(warehouse: Warehouse, journeys: Sequence[Laid], now: datetime) -> set[str]:
    """Puts the members of the journeys' segments who may come in into NEWCOMERS, all journeys at once."""
    if not journeys:
        return set()
    rules = warehouse.stage(
        "entry_rules",
        pa.table(
            {
                "journey": [one.name for one in journeys],
                "segment": [one.document.entry.segment for one in journeys],
                "rule": [_rule(one) for one in journeys],
                "before": pa.array([_before(one, now) for one in journeys], pa.timestamp("us")),
            }
        ),
    )
    found = [_never_in(warehouse, rules)]
    if any(_rule(one) != "never" for one in journeys):
        found.append(_again(warehouse, rules))
    warehouse.stage("segment_newcomers", ibis.union(*found) if len(found) > 1 else found[0])
    counts = warehouse.rows(NEWCOMERS.group_by("journey").aggregate(n=NEWCOMERS.count()))
    return {row["journey"] for row in counts}


def _rule(journey: Laid) -> str:
    rule = journey.document.entry.rule
    return rule if rule in ("never", "always", "per key") else "after"


def _before(journey: Laid, now: datetime) -> datetime:
    """An enrolment must have begun before then, for somebody to come in again."""
    rule = journey.document.entry.rule
    return naive(now - duration(rule, "")) if _rule(journey) == "after" else FOR_EVER


def _never_in(warehouse: Warehouse, rules: ir.Table) -> ir.Table:
    members, enrolments = warehouse.table(SEGMENT_MEMBERS), warehouse.table(ENROLMENTS)
    inside = members.join(rules.filter(rules.rule == "never"), "segment").select("journey", "customer_id")
    new = inside.anti_join(enrolments, ["journey", "customer_id"])
    return new.select("journey", "customer_id", at=moment.at(), key=ibis.literal(""), token=ibis.literal(""))


def _again(warehouse: Warehouse, rules: ir.Table) -> ir.Table:
    """Those in it who come back: `always` when they have entered the segment anew, else after their time."""
    members, enrolments = warehouse.table(SEGMENT_MEMBERS), warehouse.table(ENROLMENTS)
    several = rules.filter(rules.rule != "never")
    inside = members.join(several, "segment").drop("segment")
    mine = enrolments.semi_join(several, "journey")
    last = mine.group_by("journey", "customer_id").aggregate(
        last=mine.entered_at.max(), active=(mine.state == "active").cast("int64").max()
    )
    rows = inside.left_join(last, ["journey", "customer_id"]).drop("journey_right", "customer_id_right")
    is_new = (rows.rule == "always") & (rows.entered_at > rows["last"])
    is_back = (rows.active == 0) & (is_new | ((rows.rule == "after") & (rows["last"] <= rows.before)))
    new = rows.filter(rows["last"].isnull() | is_back)
    return new.select("journey", "customer_id", at=moment.at(), key=ibis.literal(""), token=moment.stamp())


def _by_event(warehouse: Warehouse, journey: Laid, told: ir.Table) -> ir.Table:
    """Whoever has done the entry's event, as far as this journey has not heard of it. What is old lets nobody in."""
    name, where, key = pattern(journey)
    events = matching(warehouse, told, name, where)
    events = events.filter(events.occurred_at > later(moment.at(), -LATEST))
    if key is not None:
        events = events.mutate(key=warehouse.json_text(events.properties, key))
        if journey.document.entry.event is not None:
            events = events.filter(events.key.notnull())
    else:
        events = events.mutate(key=ibis.null("string"))
    return events.select(
        "customer_id",
        at=ibis.least(events.occurred_at, moment.at()),
        key=events.key.fill_null(""),
        token=events.event_id,
    )


def _enrol(
    warehouse: Warehouse, journey: Laid, rows: ir.Table, now: datetime, control: ControlGroup, is_alike: bool
) -> int:
    """Enrols the candidates (of the shape CANDIDATE) whom the rule lets in; who is held out has ended at once.

    `is_alike` says that the expression of the candidates is the same in every tick.
    """
    document = journey.document
    if document.entry.who is not None:
        rows = warehouse.stage("candidates", rows.cast(CANDIDATE))
        question = journey.remembered("who", lambda: Question(document.entry.who or {}))
        answers = asked(warehouse, {"who": question}, rows, now, "entry_answers")
        rows = rows.semi_join(answers, "customer_id")
    share = control.share if document.control and not document.transactional else 0.0

    def build() -> ir.Table:
        return _entering(warehouse, journey, _let_in(warehouse, journey, rows.cast(CANDIDATE)), control.salt, share)

    key = ("entered", warehouse.is_duckdb, rows.op(), control.salt, share)
    entered = warehouse.stage("entered", journey.remembered(key, build) if is_alike else build())
    arms = {row["arm"]: row["n"] for row in warehouse.rows(_by_arm(entered))}
    if arms:
        append_new(warehouse, ENROLMENTS, entered, "enrolment_id")
    for arm, reason in (("holdout", "holdout"), ("control", "control_group")):
        if arms.get(arm):
            record(warehouse, entered.filter(entered.arm == arm), reason)
    return sum(arms.values())


@remembered
def _by_arm(entered: ir.Table) -> ir.Table:
    return entered.group_by("arm").aggregate(n=entered.count())


def _entering(warehouse: Warehouse, journey: Laid, new: ir.Table, salt: str, share: float) -> ir.Table:
    """Their enrolments: treated, held out, or of the control group, a `share` of all."""
    held = in_holdout(new.customer_id, journey.name, journey.document.holdout)
    controlled = in_control(new.customer_id, salt, share)
    left_out = held | controlled
    unique = ibis.literal(f"{journey.name}|") + new.customer_id.cast("string")
    return new.select(
        enrolment_id=warehouse.digest(unique + ibis.ifelse(new.token == "", "", ibis.literal("|") + new.token)),
        journey=ibis.literal(journey.name),
        journey_version=ibis.literal(journey.version, "int64"),
        identifier_id=new.customer_id,
        customer_id=new.customer_id,
        arm=ibis.cases((controlled, "control"), (held, "holdout"), else_="treated"),
        step=ibis.literal(journey.graph.first),
        state=ibis.ifelse(left_out, "done", "active"),
        reason=ibis.cases((controlled, "control_group"), (held, "holdout"), else_=""),
        entered_at=new["at"],
        due_at=new["at"],
        updated_at=moment.at(),
        key=new.key,
        reached_at=new["at"],
        passes=ibis.literal(0, "int64"),
    ).cast(SHAPE)


def _let_in(warehouse: Warehouse, journey: Laid, rows: ir.Table) -> ir.Table:
    """Of the candidates those who may come in, of several entries of one at once the first."""
    rule = _rule(journey)
    held = warehouse.table(ENROLMENTS)
    held = held.filter(held.journey == journey.name)
    one = ["customer_id", "key"] if rule == "per key" else ["customer_id"]
    first = rows.mutate(rank=ibis.row_number().over(group_by=one, order_by=[rows["at"], rows.token]))
    rows = first.filter(first["rank"] == 0).drop("rank")
    if rule == "per key":
        rows = rows.mutate(token=rows.key)
        return rows.anti_join(held.mutate(key=held.key.fill_null("")), one)
    if rule == "never":
        return rows.mutate(token=ibis.literal("")).anti_join(held, one)
    bars = held.state == "active"
    if rule == "after":
        bars |= held.entered_at > later(moment.at(), -duration(journey.document.entry.rule, ""))
    barred = held.filter(bars)
    rows = rows.anti_join(barred, one)
    if journey.document.entry.segment is None:  # the same event, occurrence or day again is no new entry
        tokens = held.select("enrolment_id")
        unique = ibis.literal(f"{journey.name}|") + rows.customer_id.cast("string") + ibis.literal("|") + rows.token
        rows = rows.mutate(enrolment_id=warehouse.digest(unique)).anti_join(tokens, "enrolment_id")
        rows = rows.drop("enrolment_id")
    return rows
