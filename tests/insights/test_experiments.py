"""Lift: everybody counts in the arm they were dealt; and what they spent before narrows the interval."""

from datetime import datetime, timedelta

import pytest

from onevoice.insights.experiments import lift, variants
from onevoice.insights.intervals import newcombe
from onevoice.journeys.facts import ENROLMENTS, PASSAGES
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.builders import add, order


def enrol(store: Warehouse, number: int, arm: str, at: datetime, customer_id: int = 0) -> None:
    """An enrolment that is over."""
    add(
        store,
        ENROLMENTS,
        enrolment_id=f"n{number}",
        journey="win-back",
        journey_version=1,
        identifier_id=number,
        customer_id=customer_id or number,
        arm=arm,
        step="cascade/0",
        state="done",
        reason="completed",
        entered_at=at,
        due_at=at,
        updated_at=at,
    )


def test_lift_counts_everybody_dealt_to_an_arm_and_only_orders_within_the_horizon(store: Warehouse) -> None:
    entered = naive(NOW - timedelta(days=20))
    for number in range(1, 41):
        enrol(store, number, "holdout" if number > 30 else "treated", entered)
    for number in (1, 2, 3, 4, 5, 6, 31):
        order(store, number, NOW - timedelta(days=15))
    order(store, 1, NOW - timedelta(days=14))  # a second order is no second conversion
    order(store, 7, NOW - timedelta(days=21))  # before entering
    order(store, 8, NOW - timedelta(days=5))  # after the horizon
    found = lift(store, "win-back", NOW)
    assert (found["treated"]["n"], found["treated"]["converted"]) == (30, 6)
    assert (found["holdout"]["n"], found["holdout"]["converted"]) == (10, 1)
    expected = newcombe(6, 30, 1, 10)
    assert expected is not None and found["lift"]["value"] == pytest.approx(expected.value)
    assert found["treated"]["revenue_per_head"] == pytest.approx(70 / 30)
    assert found["relative_lift"] == pytest.approx(6 / 30 / (1 / 10) - 1)
    assert found["complete"] == 1.0


def test_what_people_spent_before_is_taken_out(store: Warehouse) -> None:
    entered = naive(NOW - timedelta(days=20))
    for number in range(1, 21):
        enrol(store, number, "holdout" if number % 2 else "treated", entered)
        for _ in range(number):  # spends ten as often as its number says, before and after
            order(store, number, NOW - timedelta(days=30))
            order(store, number, NOW - timedelta(days=15))
        if not number % 2:
            order(store, number, NOW - timedelta(days=14))  # and the treated ten more
    found = lift(store, "win-back", NOW)
    assert found["revenue_lift"]["value"] == pytest.approx(20)  # that even numbers are larger is in it
    assert found["revenue_lift_adjusted"]["value"] == pytest.approx(10)
    assert found["variance_explained"] == pytest.approx(1)
    assert found["incremental"]["revenue"]["value"] == pytest.approx(100)
    assert found["treated"]["revenue_per_head_before"] == pytest.approx(110)


def test_the_variants_of_a_split_are_compared_with_the_first(store: Warehouse) -> None:
    entered = naive(NOW - timedelta(days=20))
    for number in range(1, 31):
        way = ("plain", "bold", "funny")[number % 3]
        add(
            store,
            PASSAGES,
            passage_id=f"p{number}",
            enrolment_id=f"n{number}",
            journey="win-back",
            journey_version=1,
            step="subject",
            way=way,
            identifier_id=number,
            customer_id=number,
            passed_at=entered,
        )
        if way == "bold" and number % 2:
            order(store, number, NOW - timedelta(days=15))
    found = variants(store, "win-back", "subject", "plain", NOW)
    assert found["against"]["variant"] == "plain" and found["against"]["converted"] == 0
    bold, funny = found["variants"]
    assert (bold["variant"], bold["converted"], bold["n"]) == ("bold", 5, 10)
    alone, together = newcombe(5, 10, 0, 10), newcombe(5, 10, 0, 10, 0.95**0.5)
    assert alone is not None and together is not None
    assert bold["lift"]["low"] == pytest.approx(together.low) and together.low < alone.low
    assert funny["verdict"] == "open"


def test_an_arm_of_one_person_has_no_variance(store: Warehouse) -> None:
    entered = naive(NOW - timedelta(days=20))
    for number, arm in ((1, "treated"), (2, "holdout"), (3, "treated")):
        enrol(store, number, arm, entered)
    order(store, 1, NOW - timedelta(days=15))
    found = lift(store, "win-back", NOW)
    assert found["holdout"]["revenue_variance"] == 0.0 and found["treated"]["revenue_variance"] == pytest.approx(50)
    assert found["revenue_lift"] is None and found["relative_lift"] is None and found["lift"]["value"] == 0.5


def test_who_entered_as_two_counts_once_in_the_holdout_if_one_of_them_was(store: Warehouse) -> None:
    entered = naive(NOW - timedelta(days=20))
    enrol(store, 1, "treated", entered, customer_id=1)
    enrol(store, 2, "holdout", entered + timedelta(days=1), customer_id=1)
    enrol(store, 3, "treated", entered + timedelta(days=1), customer_id=3)
    enrol(store, 4, "treated", entered, customer_id=3)
    order(store, 1, NOW - timedelta(days=18))
    found = lift(store, "win-back", NOW)
    assert (found["treated"]["n"], found["treated"]["converted"]) == (1, 0)
    assert (found["holdout"]["n"], found["holdout"]["converted"]) == (1, 1)


def test_a_journey_without_holdout_has_no_lift(store: Warehouse) -> None:
    assert lift(store, "nothing", NOW)["lift"] is None
