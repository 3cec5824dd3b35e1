"""Whether what a journey's document asserts holds in a back-test; where it does not, somebody as an example."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
import msgspec

from onevoice.catalog.facts import ORDERS
from onevoice.catalog.orders import made
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.events.facts import EVENTS
from onevoice.journeys.assertions import Assertion, Cost, Entries, Messages, Never
from onevoice.journeys.backtest.scratch import Scratch
from onevoice.journeys.facts import DECISIONS, ENROLMENTS
from onevoice.segments.facts import SEGMENT_MEMBERS

SPANS = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}

TIMELINE = 60
"""Things told of an example at most, the first since they came in."""


@dataclass(frozen=True)
class Verdict:
    """Whether one assertion holds, and the figures by which it does or does not: of `cost` the cost (None where what a
    message costs is not known on the channels `unpriced`), of `entries` who entered, of `nobody_in` the messages to
    members, else how many people break it and the most that one of them (or of all) gets. In words: verdicts.py.
    """

    assertion: int  # its place in the document
    holds: bool
    figures: dict[str, Any]
    customer_id: int | None = None
    timeline: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Noticing:
    """Looks, while a back-test runs, at who is written to while in a segment in which nobody should be."""

    assertions: Sequence[Assertion]
    breaches: dict[int, tuple[int, int]] = field(default_factory=dict)  # how many messages, and to whom the first

    def __call__(self, scratch: Scratch, fresh: ir.Table, now: datetime) -> None:
        """Notes the breaches among the messages just planned."""
        for number, assertion in enumerate(self.assertions):
            if assertion.nobody_in is None:
                continue
            inside = scratch.table(SEGMENT_MEMBERS)
            members = inside.filter(inside.segment == assertion.nobody_in)
            hit = fresh.semi_join(members, "customer_id")
            (row,) = scratch.rows(hit.aggregate(n=hit.count(), first=hit.customer_id.min()))
            if row["n"]:
                count, first = self.breaches.get(number, (0, row["first"]))
                self.breaches[number] = (count + row["n"], first)


def verdicts(scratch: Scratch, journey: str, noticed: Noticing, totals: dict[str, Any]) -> list[Verdict]:
    """Each assertion's verdict. `totals` are the report's."""
    return [
        _verdict(scratch, journey, number, assertion, noticed, totals)
        for number, assertion in enumerate(noticed.assertions)
    ]


def _verdict(
    scratch: Scratch, journey: str, number: int, assertion: Assertion, noticed: Noticing, totals: dict[str, Any]
) -> Verdict:
    if assertion.cost is not None:
        return Verdict(number, *_cost(assertion.cost, totals))
    if assertion.entries is not None:
        return Verdict(number, *_entries(assertion.entries, totals))
    if assertion.messages is not None:
        figures, customer = _too_many(scratch, journey, assertion.messages)
    elif assertion.never is not None:
        figures, customer = _after(scratch, journey, assertion.never)
    else:
        count, customer = noticed.breaches.get(number, (0, None))
        figures = {"messages": count}
    if customer is None:
        return Verdict(number, True, figures)
    return Verdict(number, False, figures, customer, timeline(scratch, journey, customer))


def _cost(asked: Cost, totals: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    cost, people = totals["cost"], totals["entered"]
    if cost is None:
        return False, {"cost": None, "unpriced": totals["unpriced"]}
    found = cost / max(people, 1) if asked.per == "person" else cost
    return found <= asked.at_most, {"cost": found}


def _entries(asked: Entries, totals: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    entered = totals["entered"]
    enough = asked.at_least is None or entered >= asked.at_least
    return enough and (asked.at_most is None or entered <= asked.at_most), {"entered": entered}


def _too_many(scratch: Scratch, journey: str, asked: Messages) -> tuple[dict[str, Any], int | None]:
    messages = scratch.table(MESSAGES)
    mine = messages.filter(messages.journey == journey)
    if asked.channel:
        mine = mine.filter(mine.channel == asked.channel)
    if asked.per == "journey":
        each = mine.group_by("customer_id").aggregate(n=mine.count())
    else:
        within = ibis.interval(seconds=int(SPANS[asked.per].total_seconds()) - 1)
        so_far = ibis.range_window(group_by="customer_id", order_by="planned_at", preceding=within, following=0)
        counted = mine.mutate(n=mine.count().over(so_far))
        each = counted.group_by("customer_id").aggregate(n=counted.n.max())
    return _worst(scratch, each, asked.at_most)


def _after(scratch: Scratch, journey: str, asked: Never) -> tuple[dict[str, Any], int | None]:
    messages, enrolments = scratch.table(MESSAGES), scratch.table(ENROLMENTS)
    mine = messages.filter(messages.journey == journey)
    if asked.channel:
        mine = mine.filter(mine.channel == asked.channel)
    sent = mine.join(enrolments.select("enrolment_id", "entered_at"), "enrolment_id")
    facts, moment = (ORDERS, "ordered_at") if asked.after == "Order Completed" else (EVENTS, "occurred_at")
    did = scratch.table(facts)
    did = made(did) if facts is ORDERS else did.filter(did.name == asked.after)
    done = did.select(doer=did.customer_id, done_at=did[moment])
    both = sent.join(done, sent.customer_id == done.doer)
    late = both.filter(both.done_at > both.entered_at, both.planned_at > both.done_at)
    each = late.group_by("customer_id").aggregate(n=late.message_id.nunique())
    return _worst(scratch, each, 0)


def _worst(scratch: Scratch, each: ir.Table, allowed: int) -> tuple[dict[str, Any], int | None]:
    """How many people get more than is allowed, the most that somebody gets, and who of those that break it gets the
    most: the first by number where several do."""
    over = each.n > allowed
    (row,) = scratch.rows(each.aggregate(people=each.count(where=over), most=each.n.max()))
    figures = {"people": row["people"], "most": row["most"] or 0}
    if not figures["people"]:
        return figures, None
    worst = each.filter(each.n == figures["most"])
    (first,) = scratch.rows(worst.aggregate(customer_id=worst.customer_id.min()))
    return figures, first["customer_id"]


def timeline(scratch: Scratch, journey: str, customer_id: int) -> list[dict[str, Any]]:
    """What one person did since they came in, what was decided of them, and what became of their messages."""
    enrolments, decisions = scratch.table(ENROLMENTS), scratch.table(DECISIONS)
    mine = enrolments.filter(enrolments.journey == journey, enrolments.customer_id == customer_id)
    told = [{"at": row["entered_at"], "what": "entered", "arm": row["arm"]} for row in scratch.rows(mine)]
    since = min(row["at"] for row in told)
    about = decisions.filter(decisions.journey == journey, decisions.customer_id == customer_id)
    for row in scratch.rows(about):
        named = {name: row[name] for name in ("step", "channel", "outcome", "reason", "message_id")}
        told.append({"at": row["decided_at"], "what": "decided", **named, "seen": msgspec.json.decode(row["seen"])})
    events = scratch.table(EVENTS)
    did = events.filter(events.customer_id == customer_id, events.occurred_at >= ibis.timestamp(since))
    for row in scratch.rows(did.select("occurred_at", "name", "type", "channel")):
        told.append({"at": row["occurred_at"], "what": "did", "name": row["name"] or row["type"]})
    messages, news = scratch.table(MESSAGES), scratch.table(MESSAGE_EVENTS)
    theirs = messages.filter(messages.journey == journey, messages.customer_id == customer_id)
    heard = news.join(theirs.select("message_id", "channel", "step"), "message_id")
    for row in scratch.rows(heard.select("occurred_at", "news", "channel", "step")):
        told.append({"at": row["occurred_at"], "what": "estimated", **{k: row[k] for k in ("news", "channel", "step")}})
    ordered = sorted(told, key=lambda one: one["at"])[:TIMELINE]
    return [{**one, "at": one["at"].isoformat() + "Z"} for one in ordered]
