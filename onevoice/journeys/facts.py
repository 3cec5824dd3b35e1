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
        "arm": "!string",  # treated, holdout, control (of no journey at all)
        "step": "!string",  # the node's key: the step's id, `cascade/0`, `wait/held`, ...
        "state": "!string",  # active, done, exited
        "reason": "!string",  # completed, reacted, goal, exit, holdout, merged, step_removed; empty while active
        "entered_at": "!timestamp(6)",
        "due_at": "!timestamp(6)",
        "updated_at": "!timestamp(6)",
        "key": "string",  # of the entry's event, such as a cart's id; empty or null: none
        "reached_at": "timestamp(6)",  # since when they are at the step: what happened before does not count there
        "passes": "int64",  # how often they jumped
    },
    ("journey", "customer_id"),
)

PASSAGES = Facts(
    "passages",  # which way somebody went at a step that has several
    {
        "passage_id": "!string",
        "enrolment_id": "!string",
        "journey": "!string",
        "journey_version": "!int64",
        "step": "!string",
        "way": "!string",  # a branch's path by number or `else`, a split's variant, a wait's `met` or `late`
        "identifier_id": "!int64",
        "customer_id": "!int64",
        "passed_at": "!timestamp(6)",
    },
    ("journey", "customer_id"),
)

EFFECTS = Facts(
    "effects",  # what a step does outside of the journey; the hand-off carries it out, once
    {
        "effect_id": "!string",
        "kind": "!string",  # update, event, webhook, audience, coupon, points, or another part's
        "journey": "!string",
        "journey_version": "!int64",
        "step": "!string",
        "enrolment_id": "!string",
        "identifier_id": "!int64",
        "customer_id": "!int64",
        "asked": "!string",  # JSON: what the document asks of the step
        "planned_at": "!timestamp(6)",
        "tick": "!int64",  # the tick that planned it; the hand-off's position
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
        "passes": "int64",  # of the enrolment: how often it had jumped, null where it had not come so far
    },
    ("journey", "customer_id"),
)

CHANNEL_HABITS = Facts(
    "channel_habits",  # per customer written to: what they did on a channel, recent messages counting more (habits.py)
    {
        "customer_id": "!int64",
        "channel": "!string",
        "sent": "!float64",
        "acted": "!float64",
        "rate": "!float64",  # acted of sent, shrunk to that of their like
        "learned_at": "!timestamp(6)",
    },
    ("customer_id", "channel"),
)

LIKE_HABITS = Facts(
    "like_habits",  # the same of everybody alike; of everybody at all where `alike` is empty
    {
        "alike": "!string",
        "channel": "!string",
        "sent": "!float64",
        "acted": "!float64",
        "rate": "!float64",
        "strength": "!float64",  # how many messages of one's own weigh as much as those of one's like
        "learned_at": "!timestamp(6)",
    },
    ("alike", "channel"),
)

HOUR_HABITS = Facts(
    "hour_habits",  # per customer, and per `alike` with customer 0: the hour at which they are most often active
    {
        "customer_id": "!int64",
        "alike": "!string",
        "hour": "!int64",  # 0 to 23, by their own clock
        "share": "!float64",  # of their activity, shrunk to that of their like
        "active": "!float64",  # how much of their own was seen, at any hour
        "learned_at": "!timestamp(6)",
    },
    ("customer_id",),
)

CHANNEL_WORTH = Facts(
    "channel_worth",  # what a message costs by channel and country, and what an action is worth (worth.py)
    {
        "channel": "!string",  # empty: a row that is there for the worth alone
        "country": "!string",  # ISO 3166; `else`: everywhere else
        "price": "!float64",
        "worth": "!float64",  # of an action on any channel, in the shop's currency; the same in every row
        "learned_at": "!timestamp(6)",
    },
    ("channel", "country"),
)

TABLES = (ENROLMENTS, DECISIONS, PASSAGES, EFFECTS, CHANNEL_HABITS, LIKE_HABITS, HOUR_HABITS, CHANNEL_WORTH)
