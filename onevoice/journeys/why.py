"""Why a customer did or did not get a message: every rule with what it saw, from the decisions that were kept; and why
not yet, by the same rules asked at a moment about one candidate. Nothing is written but scratch tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ibis
import msgspec
import pyarrow as pa
from sqlalchemy import Connection

from onevoice.customers.contact import ContactPolicy, store, written
from onevoice.journeys import service
from onevoice.journeys.facts import DECISIONS, ENROLMENTS
from onevoice.journeys.laid import Laid, laid
from onevoice.journeys.policy import RULES, asked, decide, house, next_message, seen
from onevoice.journeys.policy.decide import CONTRACT
from onevoice.journeys.steps.cascade import stopped
from onevoice.journeys.turn import Turn
from onevoice.journeys.wording import sentence
from onevoice.kernel.clock import aware, naive
from onevoice.segments import explain
from onevoice.segments import service as segments
from onevoice.segments.tree import condition
from onevoice.warehouse import Warehouse

SAW: Mapping[str, tuple[str, ...]] = {
    "already_reached": (),
    "control_group": (),
    "unreachable": ("address",),
    "suppressed": ("suppressed",),
    "no_consent": ("consent",),
    "expired": ("put_off_at", "expires_at"),
    "over_cap": ("caps", "cap_until", "last_journey"),
    "too_soon": ("gap_until",),
    "quiet_hours": ("time_zone", "quiet_until"),
    "outranked": ("winner",),
}
"""Which of the values seen each rule looks at."""

NOT_TRANSACTIONAL = ("control_group", "no_consent", "over_cap", "too_soon", "quiet_hours", "outranked")
"""Rules that a transactional message is not asked."""


def why(
    warehouse: Warehouse,
    customer_id: int,
    journey: str | None = None,
    message: str | None = None,
    until: datetime | None = None,
    locale: str = "en",
) -> list[dict[str, Any]]:
    """Every decision about a customer, the newest first: outcome, reason, the rules with their verdict and what they
    saw, and a sentence. Of a message also what put it off before; `until` a moment."""
    decisions = warehouse.table(DECISIONS)
    rows = decisions.filter(decisions.customer_id == ibis.literal(customer_id, "int64"))
    if journey is not None:
        rows = rows.filter(rows.journey == journey)
    if message is not None:
        same = rows.filter(rows.message_id == message).select("enrolment_id", "step")
        rows = rows.semi_join(same, ["enrolment_id", "step"])
    if until is not None:
        rows = rows.filter(rows.decided_at <= ibis.timestamp(naive(until)))
    told = []
    for row in warehouse.rows(rows.order_by(ibis.desc("decided_at"), ibis.desc("step"))):
        saw = msgspec.json.decode(row["seen"])
        told.append(
            {
                **{name: row[name] for name in ("journey", "step", "channel", "decided_at", "outcome", "reason")},
                "message_id": row["message_id"],
                "seen": saw,
                "rules": verdicts(saw, row["reason"]),
                "sentence": sentence(locale, row["outcome"], row["reason"], row["channel"], saw),
            }
        )
    return told


def verdicts(saw: Mapping[str, Any], reason: str) -> list[dict[str, Any]]:
    """The rules in their order: rule, verdict (passes, objects, not asked), and the values seen. None where no rule was
    asked, as for who is held out."""
    if "objections" not in saw:
        return []
    objecting = saw["objections"].split(",")
    found = []
    for rule in RULES:
        skipped = saw["consent"] == CONTRACT and rule in NOT_TRANSACTIONAL
        # The last weighs only those to whom no other objects.
        skipped |= rule == "outranked" and reason not in ("allowed", rule)
        objects = rule in objecting or rule == reason
        verdict = "objects" if objects else "not asked" if skipped else "passes"
        values = {name: saw[name] for name in SAW[rule] if name in saw}
        found.append({"rule": rule, "verdict": verdict, "seen": values})
    return found


# -- how somebody stands in a journey, and what would be decided


@dataclass(frozen=True)
class Case:
    """A journey with all that its people's next decision hangs on."""

    journey: Laid
    live: tuple[Laid, ...]
    policy: ContactPolicy
    segments: Mapping[str, Any]  # the conditions of the segments that its entry names


def case(connection: Connection, name: str) -> dict[str, Any]:
    """Reads a case from the database, as plain values. Raises NotFound."""
    found = service.get(connection, name)
    entry = found.document.entry
    named = [segment for segment in (entry.segment, entry.left) if segment]
    trees = {one.name: one.document["where"] for one in segments.all_segments(connection) if one.name in named}
    return {
        "journey": found.plain,
        "live": [one.plain for one in service.live(connection)],
        "policy": written(store.current(connection).policy),
        "segments": trees,
    }


def version_of(values: Mapping[str, Any]) -> Laid:
    """A version of a journey from plain values."""
    return laid(values["name"], values["version"], values["definition"])


def standing(warehouse: Warehouse, customer_id: int, case: Case, at: datetime, locale: str = "en") -> dict[str, Any]:
    """Where a customer is in a journey, or which of its entry's conditions they fail; what would be decided about their
    next message at a moment (`would`), by what is known now; and a sentence. Of a moment past also whether they had
    come in by then; where they stood is not kept, but what had been decided is (`why`)."""
    enrolment = _enrolment(warehouse, customer_id, case.journey.name, at)
    told: dict[str, Any] = {"journey": case.journey.name, "at": at, "enrolment": None, "entry": [], "would": None}
    if enrolment is None:
        told["entry"] = _entry(warehouse, customer_id, case, at, locale)
        fails = any(not tree["holds"] for tree in told["entry"])
        waits = case.journey.document.entry.segment is None
        reason = "not_in_segment" if fails else "waits_for_event" if waits else "not_entered"
        told["sentence"] = sentence(locale, "skip", reason, "", {})
        return told
    told["enrolment"] = {
        name: aware(value) if isinstance(value, datetime) else value for name, value in enrolment.items()
    }
    if enrolment["updated_at"] > naive(at):
        told["sentence"] = sentence(locale, "skip", "went_on", "", {})
        return told
    if enrolment["state"] != "active":
        told["sentence"] = sentence(locale, "skip", enrolment["reason"], "", {})
        return told
    told["would"] = _would(warehouse, customer_id, case, enrolment, at, locale)
    told["sentence"] = (told["would"] or {}).get("sentence") or sentence(locale, "skip", "in_no_step", "", {})
    return told


def _enrolment(warehouse: Warehouse, customer_id: int, journey: str, at: datetime) -> dict[str, Any] | None:
    """The newest of those that had begun by then, an active one before others."""
    enrolments = warehouse.table(ENROLMENTS)
    mine = enrolments.filter(
        enrolments.journey == journey,
        enrolments.customer_id == ibis.literal(customer_id, "int64"),
        enrolments.entered_at <= ibis.timestamp(naive(at)),
    )
    order = [ibis.desc(mine.state == "active"), ibis.desc(mine.entered_at), mine.enrolment_id]
    rows = warehouse.rows(mine.order_by(order).limit(1))
    return rows[0] if rows else None


def _entry(warehouse: Warehouse, customer_id: int, case: Case, at: datetime, locale: str) -> list[dict[str, Any]]:
    """The conditions of the entry, each node with whether it holds and what it saw."""
    entry = case.journey.document.entry
    trees: Sequence[Any] = [
        *([case.segments[entry.segment]] if entry.segment and entry.segment in case.segments else []),
        *([entry.who] if entry.who else []),
    ]
    return [explain.explain(condition(tree), warehouse, at, customer_id, locale) for tree in trees]


def _would(
    warehouse: Warehouse, customer_id: int, case: Case, enrolment: dict[str, Any], at: datetime, locale: str
) -> dict[str, Any] | None:
    """The decision about their next message, were it asked at the moment; None where they stand before none."""
    versions = {(one.name, one.version): one for one in (*case.live, case.journey)}
    journey = versions.get((case.journey.name, enrolment["journey_version"]), case.journey)
    found = next_message(journey, journey.node(enrolment["step"]))
    if found is None:
        return None
    node, channel = found
    rules = house(case.policy, {(one.name, one.version): one for one in case.live})
    candidate = warehouse.stage(
        "why_candidate",
        pa.table(
            {
                "enrolment_id": pa.array([enrolment["enrolment_id"]], pa.string()),
                "customer_id": pa.array([customer_id], pa.int64()),
                "entered_at": pa.array([enrolment["entered_at"]], pa.timestamp("us")),
                "reached_at": pa.array([enrolment["reached_at"]], pa.timestamp("us")),
            }
        ),
    )
    reacted = None
    if node.kind == "cascade" and int(node.part) and node.asked.stop_on:
        turn = Turn(warehouse, journey, node, at, rules)
        reacted = stopped(turn, candidate, int(node.part))
    ask = asked(journey, node, channel, rules)
    rows = decide(warehouse, candidate, ask, at, "why_decided", reacted)
    row = warehouse.rows(rows.select("outcome", "reason", "until", seen=seen(warehouse, rows, ask)))[0]
    saw = msgspec.json.decode(row["seen"])
    return {
        "step": node.key,
        "channel": channel,
        "due_at": aware(enrolment["due_at"]),
        "outcome": row["outcome"],
        "reason": row["reason"],
        "until": aware(row["until"]) if row["until"] else None,
        "seen": saw,
        "rules": verdicts(saw, row["reason"]),
        "sentence": sentence(locale, row["outcome"], row["reason"], channel, saw),
    }
