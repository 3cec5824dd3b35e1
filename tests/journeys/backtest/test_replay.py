"""A back-test decides what a live engine would have decided, and knows no more than it knew."""

from datetime import datetime, timedelta
from typing import Any

from onevoice.engine.load import TABLES
from onevoice.journeys.backtest.replay import Plan, play
from onevoice.journeys.backtest.scratch import Window, declared
from onevoice.journeys.backtest.trial import tried
from onevoice.journeys.service import SavedJourney
from onevoice.journeys.tick import tick
from onevoice.segments.refresh import Refresher
from tests.conftest import NOW
from tests.journeys.backtest import world
from tests.journeys.backtest.world import DAY, SECRET, SEGMENTS, START, Shop, Told

WINDOW = Window(START, NOW)


def played(
    shop: Shop, journey: SavedJourney, told: list[Told], window: Window = WINDOW, instants: list[datetime] | None = None
) -> dict[str, list[tuple[Any, ...]]]:
    """What a back-test on the shop's warehouse decides; the instants at which it looked are added to `instants`."""

    plan = Plan(journey, SEGMENTS, window, timedelta(days=1), reacting=False)
    found = play(shop.store, TABLES, plan, SECRET, world.words(told))
    if instants is not None:
        instants += found.instants
    try:
        return world.outcome(found.scratch, journey.name)
    finally:
        found.scratch.close()


def lived(told: list[Told], journey: SavedJourney, instants: list[datetime]) -> dict[str, list[tuple[Any, ...]]]:
    """What the engine decides that is there all the time, and is told everything when it happens."""
    shop, before = Shop(), None
    refresher = Refresher(shop.store)
    for now in instants:
        shop.take([one for one in told if one.at <= now and (before is None or one.at > before)])
        if (now - WINDOW.start) % DAY == timedelta(0):
            refresher.start_anew()
            refresher.all(SEGMENTS, now)
        tick(shop.store, [journey], now)
        before = now
    return world.outcome(shop.store, journey.name)


def test_a_back_test_decides_what_the_live_engine_would_have() -> None:
    told, journey, instants = world.drawn(1), world.journey(), list[datetime]()
    shop = Shop()
    shop.take(told)
    found = played(shop, journey, told, instants=instants)
    assert found == lived(told, journey, instants)
    reasons = {row[5] for row in found["decisions"]}
    assert {"allowed", "no_consent", "holdout"} <= reasons  # the shop is one in which something happens


def test_people_come_in_by_what_they_do_each_time_once() -> None:
    entry = {"event": {"name": "Product Added", "key": "cart_id"}}
    journey = world.journey(
        entry=entry, policy={}, steps=[{"id": "ask", "send": {"channel": "email", "template": "a"}}]
    )
    told, instants = world.drawn(4, people=15), list[datetime]()
    shop = Shop()
    shop.take(told)
    found = played(shop, journey, told, instants=instants)
    assert found == lived(told, journey, instants)
    carts = [one for one in told if START - 3 * DAY < one.at <= instants[-1] and b"Product Added" in one.entry.payload]
    assert 0 < len(found["enrolments"]) <= len(carts)


def test_people_react_as_in_the_past_and_in_each_run_alike() -> None:
    journey = world.journey(policy={}, goal=None, holdout=0.0)
    told = world.drawn(1)
    shop = Shop()
    shop.take(told)
    world.past(shop.store, messages=400, opened=300)
    plan = Plan(journey, SEGMENTS, WINDOW, DAY)
    runs = []
    for _ in range(2):
        trial = tried(shop.store, TABLES, plan, SECRET, world.words(told))
        runs.append({**trial.report, "took_seconds": 0})
    assert runs[0] == runs[1]
    (rate,) = [one for one in runs[0]["expected"]["rates"] if one["channel"] == "email" and one["band"] == "longer"]
    assert (rate["messages"], round(rate["opened"], 2)) == (400, 0.75)
    reached = [row["people"] for row in runs[0]["refusals"] if row["reason"] == "already_reached"]
    assert sum(reached) > 0  # they opened the e-mail, so they get no text
    by_channel = {row["channel"]: row for row in runs[0]["expected"]["channels"]}
    assert by_channel["email"]["opened"]["low"] > 0
    assert not by_channel.get("sms", {"has_past": False})["has_past"]


def test_every_table_says_how_it_is_seen() -> None:
    forgotten = [name for name, is_said in declared(TABLES).items() if not is_said]
    assert not forgotten, f"say in journeys/backtest/scratch.py how a back-test sees {forgotten}"
