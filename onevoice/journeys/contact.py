"""What sends and cascades share: who is due comes before the contact policy, and who it lets through gets a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir

from onevoice.delivery.facts import MESSAGES
from onevoice.journeys import moment
from onevoice.journeys.facts import DECISIONS
from onevoice.journeys.keeping import passes
from onevoice.journeys.policy import Ask, asked, decide, seen
from onevoice.journeys.spans import duration

if TYPE_CHECKING:
    from onevoice.journeys.steps.send import Send
    from onevoice.journeys.turn import Turn

ANSWERS = ("opened_at", "clicked_at")
"""Columns of a message that say that a person has reacted to it."""


def contacted(
    turn: Turn, here: ir.Table, send: Send, reacted: ir.Table | None = None, name: str = "decided"
) -> ir.Table:
    """Decides about those here, writes their messages and decisions; gives the decisions, in a scratch table.

    `reacted` holds the enrolments that need no message any more.
    """
    told = _told_already(turn, here, send)
    if told is not None:
        reacted = told if reacted is None else ibis.union(reacted, told)
    ask = asked(turn.journey, turn.node, send.channel, turn.house, turn.alike is not None)
    decided = decide(turn.warehouse, here, ask, turn.now, name, reacted)
    rules = f"{name} {hash(ask)}"  # what a decision has seen depends on them
    turn.add(MESSAGES, turn.remembered(f"messages {rules}", lambda: _messages(turn, decided, send)), "message_id")
    turn.add(DECISIONS, turn.remembered(f"decisions {rules}", lambda: _decisions(turn, decided, ask)), "decision_id")
    return decided


def moved(turn: Turn, decided: ir.Table, wait: str, name: str = "decided") -> ir.Table:
    """The enrolments after the decision: a deferral stays, a refusal goes on at once, a message after its wait, a
    reaction past the step."""
    return turn.remembered(f"moved {name}", lambda: _moved(turn, decided, wait))


def _moved(turn: Turn, decided: ir.Table, wait: str) -> ir.Table:
    rows = decided.mutate(
        **turn.where(decided),
        arm=ibis.literal("treated"),
        state=ibis.literal("active"),
        until=decided.until,
    )
    past = "beyond" if "beyond" in turn.node.ways else "next"
    reacted, sent, deferred = rows.reason == "already_reached", rows.outcome == "send", rows.outcome == "defer"
    end = ibis.ifelse(reacted, "reacted", "completed")
    return turn.go(
        rows,
        [(reacted, past), (sent, "sent")],
        due=ibis.ifelse(sent, turn.after(turn.at, rows, duration(wait, "")), rows.due_at),
        reason=end,
        stays=deferred,
        until=rows.until,
    )


def _told_already(turn: Turn, here: ir.Table, send: Send) -> ir.Table | None:
    """The enrolments of customers who have reacted to the same content before, whoever sent it."""
    if not send.content:
        return None
    messages = turn.warehouse.table(MESSAGES)
    same = messages.filter(messages.content_key != "", answered(messages))
    rows = here.mutate(content_key=turn.own(here, "content", send.content))
    return rows.semi_join(same, ["customer_id", "content_key"]).select("enrolment_id")


def answered(messages: ir.Table) -> ir.BooleanValue:
    """Whether a person has reacted to a message."""
    return ibis.or_(*(messages[name].notnull() for name in ANSWERS))


def message_id(turn: Turn, decided: ir.Table) -> ir.StringValue:
    """A UUID made of the enrolment and its passing of the node: one message for both, however often it is planned."""
    return turn.warehouse.uuid(decided.enrolment_id + turn.place(decided))


def _messages(turn: Turn, decided: ir.Table, send: Send) -> ir.Table:
    sent = decided.filter(decided.outcome == "send")
    known = {
        "message_id": message_id(turn, sent),
        **turn.where(sent),
        "channel": ibis.literal(send.channel),
        "template": turn.own(sent, "template", send.template),
        "topic": ibis.literal(turn.journey.document.topic),
        "planned_at": moment.at(),
        "tick": moment.number(),
        "status": ibis.literal("planned"),
        "content_key": turn.own(sent, "content", send.content),
        "coupon": turn.own(sent, "coupon", send.coupon),
    }
    later = {
        name: ibis.null(kind)
        for name, kind in MESSAGES.columns.items()
        if name not in known and name not in sent.columns
    }
    return sent.mutate(**known, **later).select(*MESSAGES.columns)


def _decisions(turn: Turn, decided: ir.Table, ask: Ask) -> ir.Table:
    unique = decided.enrolment_id + turn.place(decided) + ibis.literal("|") + moment.stamp()
    where = turn.where(decided)
    return decided.mutate(
        decision_id=turn.warehouse.digest(unique),
        journey=where["journey"],
        step=where["step"],
        channel=ibis.literal(ask.channel),
        decided_at=moment.at(),
        message_id=ibis.ifelse(decided.outcome == "send", message_id(turn, decided), ibis.null("string")),
        seen=seen(turn.warehouse, decided, ask),
        passes=passes(decided),
    ).select(*DECISIONS.columns)
