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
from onevoice.journeys.hashing import bound, place_of, placed, salt_of
from onevoice.journeys.keeping import LATEST, SHAPE, append_new, later, record
from onevoice.journeys.laid import Laid
from onevoice.journeys.matching import matching
from onevoice.journeys.news import News
from onevoice.journeys.spans import duration
from onevoice.kernel.clock import naive
from onevoice.segments.conditions.values import Where
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.segments.membership import LEFT
from onevoice.warehouse import REMEMBERED, Warehouse, remembered

REQUESTED, SCANNED = "Journey Entry Requested", "Code Scanned"
"""Events of ours that let somebody in: by the API, and by a link or code. Their `journey` says which, `key` the key."""

CANDIDATE = ibis.schema({"customer_id": "int64", "at": "timestamp(6)", "key": "string", "token": "string"})
"""Somebody who is to come in: since when, with which key, and what tells this entry from another of theirs."""

NO_CONTROL = ControlGroup()

FOR_EVER = datetime(2250, 1, 1)
"""Later than any enrolment."""


def enter(
    warehouse: Warehouse, journeys: Sequence[Laid], news: News, now: datetime, control: ControlGroup = NO_CONTROL
) -> dict[str, int]:
    """Lets in whoever comes, with their arm; gives how many by journey. Of each journey only the newest version."""
    found = dict.fromkeys((journey.name for journey in journeys), 0)
    coming = _by_segment(warehouse, [one for one in journeys if one.document.entry.segment], now)
    at_once = [one for one in journeys if one.name in coming and one.document.entry.who is None]
    _enrol(warehouse, at_once, NEWCOMERS, now, control, found)
    calendar = calendars.calendar(warehouse, journeys)
    by_event: dict[str, ir.Table] = {}
    for journey in journeys:
        entry = journey.document.entry
        if entry.segment is not None:
            rows = NEWCOMERS.filter(NEWCOMERS.journey == journey.name) if journey.name in coming else None
            if rows is None or entry.who is None:
                continue
        elif entry.schedule is not None or entry.date is not None:
            rows = calendars.candidates(warehouse, journey, calendar, now)
        elif pattern(journey)[0] not in news.names:
            continue
        else:
            told = news.of(journey)
            build = partial(_by_event, warehouse, journey, told)
            is_alike = told.op() == news.events.op()  # in every tick
            rows = journey.remembered(("candidates", warehouse.is_duckdb), build) if is_alike else build()
            if entry.who is None:
                by_event[journey.name] = rows
                continue
        if rows is not None:
            _enrol(warehouse, [journey], _candidates(warehouse, journey, rows, now), now, control, found)
    if by_event:
        query = " UNION ALL ".join(warehouse.compiled(rows) for rows in by_event.values())
        candidates = warehouse.collect("entry_candidates", query, NEWCOMERS.schema())
        _enrol(warehouse, [one for one in journeys if one.name in by_event], candidates, now, control, found)
    return found


def _candidates(warehouse: Warehouse, journey: Laid, rows: ir.Table, now: datetime) -> ir.Table:
    """Of those who would come (of the shape CANDIDATE) who meets the entry's `who`, in a scratch table."""
    who = journey.document.entry.who
    if who is not None:
        rows = warehouse.stage("candidates", rows.select(*CANDIDATE.names).cast(CANDIDATE))
        question = journey.remembered("who", lambda: Question(who))
        rows = rows.semi_join(asked(warehouse, {"who": question}, rows, now, "entry_answers"), "customer_id")
    return warehouse.stage("entry_candidates", _named(journey, rows))


def _named(journey: Laid, rows: ir.Table) -> ir.Table:
    return rows.select(*CANDIDATE.names).cast(CANDIDATE).select(ibis.literal(journey.name).name("journey"), *CANDIDATE)


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
        "segment_rules",
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
    rows = events.select(
        "customer_id",
        at=ibis.least(events.occurred_at, moment.at()),
        key=events.key.fill_null(""),
        token=events.event_id,
    )
    return _named(journey, rows)


RULES = ibis.table(
    {
        "journey": "string",
        "journey_version": "int64",
        "first": "string",  # the node at which one comes in
        "rule": "string",
        "before": "timestamp(6)",
        "salt": "int64",
        "held_out": "int64",  # whose place is below are the hold-out
        "controlled": "int64",
    },
    name="entry_rules",
)
"""Scratch table: how each journey that takes in lets people in."""


def _enrol(
    warehouse: Warehouse,
    journeys: Sequence[Laid],
    candidates: ir.Table,
    now: datetime,
    control: ControlGroup,
    found: dict[str, int],
) -> None:
    """Enrols the candidates (journey and CANDIDATE, in a scratch table) whom their journey's rule lets in, and adds to
    `found` how many; who is held out has ended at once."""
    if not journeys:
        return
    shares = [control.share if one.document.control and not one.document.transactional else 0.0 for one in journeys]
    warehouse.stage(
        "entry_rules",
        pa.table(
            {
                "journey": pa.array([one.name for one in journeys], pa.string()),
                "journey_version": pa.array([one.version for one in journeys], pa.int64()),
                "first": pa.array([one.graph.first for one in journeys], pa.string()),
                "rule": pa.array([_rule(one) for one in journeys], pa.string()),
                "before": pa.array([_before(one, now) for one in journeys], pa.timestamp("us")),
                "salt": pa.array([salt_of("journey", one.name) for one in journeys], pa.int64()),
                "held_out": pa.array([bound(one.document.holdout) for one in journeys], pa.int64()),
                "controlled": pa.array([bound(share) for share in shares], pa.int64()),
            }
        ),
    )
    rules = tuple(sorted({_rule(one) for one in journeys}))
    key = (warehouse.is_duckdb, candidates.op(), rules, control.salt)
    if key not in _ENTERING:
        if len(_ENTERING) >= REMEMBERED:
            _ENTERING.clear()
        _ENTERING[key] = _entering(warehouse, candidates.cast(NEWCOMERS.schema()), rules, control.salt)
    entered = warehouse.stage("entered", _ENTERING[key])
    arms = set()
    for row in warehouse.rows(_by_arm(entered)):
        arms.add(row["arm"])
        found[row["journey"]] += row["n"]
    if arms:
        append_new(warehouse, ENROLMENTS, entered, "enrolment_id")
    for arm, reason in (("holdout", "holdout"), ("control", "control_group")):
        if arm in arms:
            record(warehouse, entered.filter(entered.arm == arm), reason)


_ENTERING: dict[tuple[object, ...], ir.Table] = {}


@remembered
def _by_arm(entered: ir.Table) -> ir.Table:
    return entered.group_by("journey", "arm").aggregate(n=entered.count())


def _entering(warehouse: Warehouse, candidates: ir.Table, rules: Sequence[str], salt: str) -> ir.Table:
    """The enrolments of those who are let in: treated, held out, or of the control group."""
    several = [_let_in(warehouse, candidates, rule) for rule in rules]
    new = ibis.union(*several) if len(several) > 1 else several[0]
    held = placed(new.customer_id, new.salt) < new.held_out
    controlled = place_of(new.customer_id, "control", salt) < new.controlled
    left_out = held | controlled
    return new.select(
        "enrolment_id",
        "journey",
        "journey_version",
        identifier_id=new.customer_id,
        customer_id=new.customer_id,
        arm=ibis.cases((controlled, "control"), (held, "holdout"), else_="treated"),
        step=new["first"],
        state=ibis.ifelse(left_out, "done", "active"),
        reason=ibis.cases((controlled, "control_group"), (held, "holdout"), else_=""),
        entered_at=new["at"],
        due_at=new["at"],
        updated_at=moment.at(),
        key=new.key,
        reached_at=new["at"],
        passes=ibis.literal(0, "int64"),
    ).cast(SHAPE)


def _let_in(warehouse: Warehouse, candidates: ir.Table, rule: str) -> ir.Table:
    """Of the candidates of the journeys with the rule those who may come in, of several entries of one at once the
    first; with their enrolment's id and what RULES says."""
    rules, held = RULES.filter(RULES.rule == rule), warehouse.table(ENROLMENTS)
    rows = candidates.join(rules, "journey")
    one = ["journey", "customer_id", *(["key"] if rule == "per key" else [])]
    first = rows.mutate(rank=ibis.row_number().over(group_by=one, order_by=[rows["at"], rows.token]))
    rows = first.filter(first["rank"] == 0).drop("rank")
    unique = rows.journey + "|" + rows.customer_id.cast("string")
    if rule == "never":
        rows = rows.mutate(enrolment_id=warehouse.digest(unique))
        return rows.anti_join(held, one)
    token = rows.key if rule == "per key" else rows.token
    rows = rows.mutate(enrolment_id=warehouse.digest(unique + ibis.ifelse(token == "", "", ibis.literal("|") + token)))
    if rule == "per key":
        return rows.anti_join(held.mutate(key=held.key.fill_null("")), one)
    known = held.join(rules.select("journey", "before"), "journey")
    barred = known.filter((known.state == "active") | (known.entered_at > known.before))
    # The same event, occurrence or day again is no new entry.
    return rows.anti_join(barred, one).anti_join(held, "enrolment_id")
