"""Why a customer did or did not get a message, in plain words, from the decisions that were kept."""

from typing import Any

import ibis
import msgspec

from onevoice.journeys.facts import DECISIONS
from onevoice.warehouse import Warehouse

SENTENCES = {
    "allowed": "Planned on {channel}: there is an address, consent is granted and no rule objected.",
    "unreachable": "Not sent on {channel}: the customer has no address there.",
    "suppressed": "Not sent on {channel}: the address is on the suppression list ({suppressed}).",
    "no_consent": "Not sent on {channel}: consent is {consent}.",
    "over_cap": "A cap on {channel} is full: of {caps} so many were sent.",
    "too_soon": "Too soon after the last message: the next may go at {gap_until} UTC.",
    "outranked": "A better message of the day, of {winner}, comes first.",
    "expired": "Not sent on {channel}: it had been put off since {put_off_at} UTC.",
    "control_group": "Not contacted: the customer is in the control group, by which the effect of all is measured.",
    "quiet_hours": "Deferred on {channel}: quiet hours in {time_zone}, until {quiet_until} UTC.",
    "holdout": "Not contacted: the customer is in the journey's hold-out, by which its effect is measured.",
    "already_reached": "Not sent on {channel}: the customer had opened or clicked an earlier message of the cascade.",
    "goal": "The journey ended: the customer did what it was for.",
    "exit": "The journey ended: the customer did what it names as its exit.",
    "stopped": "The journey ended: it was stopped.",
    "control": "Not contacted: the customer is in the global control group, which no journey contacts.",
    "too_late": "Not sent: it should have been said more than three days before.",
    "merged": "The journey ended here: the customer was in it twice, under identifiers that turned out to be one.",
    "step_removed": "The journey ended: its newer version has no longer the step at which the customer stood.",
}


def why(warehouse: Warehouse, customer_id: int, journey: str | None = None) -> list[dict[str, Any]]:
    """Every decision about a customer, the newest first: outcome, reason, the values seen, and a sentence."""
    decisions = warehouse.table(DECISIONS)
    rows = decisions.filter(decisions.customer_id == ibis.literal(customer_id, "int64"))
    if journey is not None:
        rows = rows.filter(rows.journey == journey)
    told = []
    for row in warehouse.rows(rows.order_by(ibis.desc("decided_at"), ibis.desc("step"))):
        seen = msgspec.json.decode(row["seen"])
        told.append(
            {
                **{name: row[name] for name in ("journey", "step", "channel", "decided_at", "outcome", "reason")},
                "message_id": row["message_id"],
                "seen": seen,
                "sentence": SENTENCES[row["reason"]].format(**seen, channel=row["channel"]),
            }
        )
    return told
