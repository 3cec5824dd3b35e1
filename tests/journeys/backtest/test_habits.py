"""A back-test knows of people's habits what was known then: by what had happened up to the simulated instant."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from onevoice.customers.facts import ADDRESSES
from onevoice.delivery.facts import MESSAGES
from onevoice.engine.load import TABLES
from onevoice.journeys.backtest.replay import Plan, play
from onevoice.journeys.backtest.scratch import Window
from onevoice.kernel.clock import naive
from onevoice.segments.service import SavedSegment
from tests.conftest import NOW
from tests.journeys.backtest import world
from tests.journeys.backtest.world import DAY, SECRET, START, Shop
from tests.journeys.builders import add

EVERYBODY = SavedSegment(
    "all", 1, {"kind": "segment", "name": "all", "where": {"trait": {"name": "u", "exists": True}}}
)
BEST = [{"channel": "email", "template": "e"}, {"channel": "sms", "template": "s"}]
JOURNEY: dict[str, Any] = {
    "policy": {},
    "goal": None,
    "holdout": 0.0,
    "entry": {"segment": "all"},
    "steps": [{"id": "reach", "cascade": {"order": "best", "channels": BEST, "stop_on": []}}],
}


@pytest.fixture
def shop() -> Shop:
    """Anna, who can be reached by e-mail and text."""
    made = Shop()
    traits = {"u": 1, "email": "anna@example.com", "phone": "+393331200001"}
    granted = [world._consent(START - 40 * DAY, "anna", channel, "granted") for channel in ("email", "sms")]
    made.take([world._call(START - 40 * DAY, "i", type="identify", userId="anna", traits=traits), *granted])
    return made


def wrote(shop: Shop, journey: str, clicked_after: timedelta) -> None:
    """She had ten e-mails and ten texts in the month before the window; she clicks in the texts, so long after."""
    anna = shop.store.rows(shop.store.table(ADDRESSES))[0]["customer_id"]
    row = {"journey": journey, "journey_version": 1, "step": "s", "address": "a", "template": "t", "locale": "en"}
    row |= {"topic": "offers", "tick": 1, "identifier_id": anna, "customer_id": anna, "status": "delivered"}
    rows = []
    for number in range(10):
        for channel in ("email", "sms"):
            at = START - (30 - number) * DAY
            known = {"message_id": f"{channel}{number}", "enrolment_id": f"{channel}{number}", "channel": channel}
            clicked = naive(at + clicked_after) if channel == "sms" else None
            rows.append({**row, **known, "planned_at": naive(at), "accepted_at": naive(at), "clicked_at": clicked})
    add(shop.store, MESSAGES, *rows)


def first_channel(shop: Shop, start: datetime = START) -> str:
    """That on which a back-test writes to her first."""
    plan = Plan(world.journey(**JOURNEY), [EVERYBODY], Window(start, NOW), DAY, reacting=False)
    found = play(shop.store, TABLES, plan, SECRET)
    messages = found.scratch.table(MESSAGES)
    rows = found.scratch.rows(messages.filter(messages.journey == "back", messages.step == "reach/0"))
    found.scratch.close()
    (row,) = rows
    return str(row["channel"])


@pytest.mark.parametrize("journey", ["old", "back"])
def test_who_reacts_to_texts_alone_gets_the_text_first_whoever_sent_them(shop: Shop, journey: str) -> None:
    wrote(shop, journey, timedelta(hours=2))
    assert first_channel(shop) == "sms"


@pytest.mark.parametrize("journey", ["old", "back"])
def test_nothing_that_happens_after_the_instant_is_known_of(shop: Shop, journey: str) -> None:
    wrote(shop, journey, timedelta(days=31))  # the first click is a day after the window has begun
    assert first_channel(shop) == "email"
    assert first_channel(shop, START + 5 * DAY) == "sms"
