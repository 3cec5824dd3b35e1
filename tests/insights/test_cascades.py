"""What a cascade reached, what it cost, and what it saved."""

from datetime import timedelta

import pytest

from onevoice.delivery.facts import MESSAGES
from onevoice.insights.cascades import report, saving
from onevoice.journeys.tick import tick
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.builders import customer, journey, order, react


def test_the_cascade_saves_the_channels_that_were_not_needed(duck: Warehouse) -> None:
    customer(duck, 1), customer(duck, 2, channels=("email", "sms"))
    tick(duck, [journey()], NOW)
    react(duck, 1, "email", "opened", NOW)
    for days in (3, 5, 7):
        tick(duck, [journey()], NOW + timedelta(days=days))
    duck.execute(
        f"UPDATE {MESSAGES.name} SET accepted_at = planned_at, cost = CASE channel WHEN 'sms' THEN 0.05 ELSE 0.01 END"
    )
    found = saving(duck, "win-back", "cascade", ("email", "push", "sms"), "offers", NOW)
    # Sent: e-mail to both, SMS to the second. Spared: SMS for the first; push was never sent, so it has no price.
    assert found["spent"] == pytest.approx(0.07)
    assert found["saved"] == pytest.approx(0.05)
    assert found["all_channels"] == pytest.approx(0.12)
    assert found["unpriced"] == ["push"]
    priced = saving(duck, "win-back", "cascade", ("email", "push", "sms"), "offers", NOW, {"push": 0.2, "sms": 9.0})
    assert priced["saved"] == pytest.approx(0.25) and priced["unpriced"] == []


def test_a_channel_put_off_over_night_and_then_not_needed_is_saved(duck: Warehouse) -> None:
    customer(duck, 1), customer(duck, 2)
    tick(duck, [journey()], NOW)
    night, morning = NOW + timedelta(days=3, hours=12), NOW + timedelta(days=4)
    tick(duck, [journey()], night)
    react(duck, 1, "email", "opened", night + timedelta(hours=1))
    tick(duck, [journey()], morning)
    duck.execute(f"UPDATE {MESSAGES.name} SET accepted_at = planned_at, cost = 0.01")
    found = saving(duck, "win-back", "cascade", ("email", "push"), "offers", morning)
    # E-mail to both; push to the second, and spared to the first, who opened while it was put off.
    assert found["spent"] == pytest.approx(0.03) and found["saved"] == pytest.approx(0.01)


def test_of_two_cascades_each_tells_whom_it_reached_and_what_stopped_it(duck: Warehouse) -> None:
    customer(duck, 1, 2, 3)
    reach = [
        {"channel": "email", "template": "e", "wait": "1 day"},
        {"channel": "sms", "template": "s", "wait": "1 day"},
    ]
    steps = [{"id": name, "cascade": {"channels": reach}} for name in ("first", "second")]
    live = journey(steps=steps, policy={})
    tick(duck, [live], NOW)
    react(duck, 1, "email", "opened", NOW)
    order(duck, 3, NOW + timedelta(hours=1))  # the goal
    for days in (1, 2, 3):
        tick(duck, [live], NOW + timedelta(days=days))
    duck.execute(f"UPDATE {MESSAGES.name} SET accepted_at = planned_at, delivered_at = planned_at, cost = 0.01")
    first, second = (report(duck, "win-back", step, ("email", "sms"), "offers", NOW) for step in ("first", "second"))
    assert (first["came"], first["reached"], first["reacted"]) == (3, 3, 2)
    assert {name: row["sent"] for name, row in first["channels"].items()} == {"email": 3, "sms": 1}
    assert first["spent"] == pytest.approx(0.04) and first["saved"] == pytest.approx(0.02)
    assert (second["came"], second["reacted"], second["saved"]) == (2, 0, 0)
