"""Warehouse tables of the journeys: where each customer stands, and every decision with its reason."""

from onevoice.warehouse import Facts

ENROLMENTS = Facts(
    "enrolments",
    {
        "enrolment_id": "!string",  # fact_id of journey, identifier and entry
        "journey": "!string",
        "journey_version": "!int64",
        "identifier_id": "!int64",
        "customer_id": "!int64",
        "arm": "!string",  # treated, holdout
        "step": "!string",  # the step's id; for a cascade `cascade/0`, `cascade/1`, ...
        "state": "!string",  # active, done, exited
        "reason": "!string",  # completed, reacted, goal, holdout, merged, step_removed; empty while active
        "entered_at": "!timestamp(6)",
        "due_at": "!timestamp(6)",
        "updated_at": "!timestamp(6)",
    },
    ("journey", "customer_id"),
)

DECISIONS = Facts(
    "decisions",
    {
        "decision_id": "!string",
        "enrolment_id": "!string",
        "journey": "!string",
        "step": "!string",
        "channel": "!string",  # empty where no channel was reached (holdout, goal)
        "identifier_id": "!int64",
        "customer_id": "!int64",
        "decided_at": "!timestamp(6)",
        "outcome": "!string",  # send, skip, defer
        "reason": "!string",  # allowed, holdout, goal, merged, step_removed, or a rule of policy.py
        "message_id": "string",  # of the message planned, where the outcome is send
        "seen": "!string",  # JSON: the values the rules saw
    },
    ("journey", "customer_id"),
)

TABLES = (ENROLMENTS, DECISIONS)
