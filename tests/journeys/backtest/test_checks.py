"""What a document asserts of its cost and of what must never happen, held against what a back-test found."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from onevoice.delivery.facts import MESSAGES
from onevoice.engine.load import TABLES
from onevoice.journeys.backtest.checks import Verdict
from onevoice.journeys.backtest.replay import Plan
from onevoice.journeys.backtest.scratch import Window
from onevoice.journeys.backtest.trial import tried
from onevoice.kernel.clock import naive
from onevoice.segments.service import SavedSegment
from tests.conftest import NOW
from tests.journeys.backtest import world
from tests.journeys.backtest.world import DAY, SECRET, START, Shop
from tests.journeys.builders import add

EVERYBODY = SavedSegment(
    "all", 1, {"kind": "segment", "name": "all", "where": {"trait": {"name": "u", "exists": True}}}
)
STEPS = [
    {"id": "write", "send": {"channel": "email", "template": "e"}},
    {"id": "pause", "wait": "2 days"},
    {"id": "text", "send": {"channel": "sms", "template": "s"}},
]
PRICES = {"email": 0.01, "sms": 0.05}


def judged(asserts: list[dict[str, Any]], prices: dict[str, float], **changes: Any) -> list[Verdict]:
    """Anna and Bea get an e-mail and, two days later, a text; Anna orders in between."""
    shop = Shop()
    for number, user in enumerate(("anna", "bea")):
        traits = {"u": 1, "email": f"{user}@example.com", "phone": f"+39333120000{number}"}
        told = [world._call(START - DAY, f"{user}-i", type="identify", userId=user, traits=traits)]
        told += [world._consent(START - DAY, user, channel, "granted") for channel in ("email", "sms")]
        if user == "anna":
            bought = {"order_id": "o", "currency": "EUR", "revenue": 20.0, "products": []}
            told.append(world._call(START + DAY, "o", event="Order Completed", userId=user, properties=bought))
        shop.take(told)
    row = {"journey": "old", "journey_version": 1, "step": "s", "address": "a", "template": "t", "locale": "en"}
    row |= {"topic": "offers", "tick": 1, "identifier_id": 7, "customer_id": 7, "status": "delivered"}
    row |= {"planned_at": naive(START - 30 * DAY), "enrolment_id": "x"}
    add(
        shop.store,
        MESSAGES,
        *({**row, "message_id": on, "channel": on, "cost": Decimal(str(cost))} for on, cost in prices.items()),
    )
    document = {"policy": {}, "goal": None, "holdout": 0.0, "entry": {"segment": "all"}, "steps": STEPS, **changes}
    journey = world.journey(**document, **{"assert": asserts})
    plan = Plan(journey, [EVERYBODY], Window(START, NOW), timedelta(days=1), reacting=False)
    return tried(shop.store, TABLES, plan, SECRET).verdicts


def test_costs_and_what_never_happens_hold_to_the_cent_and_to_the_message() -> None:
    asserts: list[dict[str, Any]] = [
        {"cost": {"at_most": 0.12}},
        {"cost": {"at_most": 0.11}},
        {"cost": {"at_most": 0.06, "per": "person"}},
        {"cost": {"at_most": 0.05, "per": "person"}},
        {"never": {"after": "Order Completed"}},
        {"never": {"after": "Order Completed", "channel": "email"}},
        {"never": {"after": "Product Viewed"}},
    ]
    found = judged(asserts, PRICES)
    assert [one.holds for one in found] == [True, False, True, False, False, True, True]
    assert found[1].figures == {"cost": 0.12} and found[3].figures == {"cost": 0.06}
    assert found[4].figures == {"people": 1, "most": 1}
    told = [(one["what"], one.get("channel") or one.get("name")) for one in found[4].timeline]
    assert told == [("entered", None), ("decided", "email"), ("did", "Order Completed"), ("decided", "sms")]
    assert all(one.customer_id is None for one in found if one is not found[4])


def test_a_goal_keeps_what_never_must_happen_and_a_cost_nobody_knows_breaks_what_it_should_be() -> None:
    asserts: list[dict[str, Any]] = [{"never": {"after": "Order Completed"}}, {"cost": {"at_most": 100}}]
    never, cost = judged(asserts, {"email": 0.01}, goal={"event": "Order Completed"})
    assert (never.holds, never.figures) == (True, {"people": 0, "most": 0})
    assert (cost.holds, cost.figures) == (False, {"cost": None, "unpriced": ["sms"]})
