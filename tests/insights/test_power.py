"""Power before launch: from those who would enter and what they do without the journey."""

from datetime import timedelta

import pytest

from onevoice.events.facts import EVENTS
from onevoice.insights.intervals import smallest_effect
from onevoice.insights.power import power
from onevoice.kernel.clock import naive
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.builders import add, order


def event(store: Warehouse, number: int, name: str, customer_id: int, properties: str = "{}", source: int = 0) -> None:
    add(
        store,
        EVENTS,
        event_id=f"e{number}",
        source_id=source,
        type="track",
        name=name,
        channel="web",
        identifier_id=customer_id,
        customer_id=customer_id,
        occurred_at=naive(NOW - timedelta(days=10)),
        received_at=naive(NOW),
        properties=properties,
    )


def test_who_is_in_the_segment_and_who_comes_in_are_counted(store: Warehouse) -> None:
    for number in range(1, 101):
        add(store, SEGMENT_MEMBERS, segment="dormant", customer_id=number, entered_at=naive(NOW))
        if number <= 20:
            order(store, number, NOW - timedelta(days=3))
    for number in range(1, 57):
        event(store, number, "Segment Entered", number, '{"segment": "dormant"}')
    event(store, 99, "Segment Entered", 99, '{"segment": "other"}')
    found = power(store, NOW, 0.1, segment="dormant", days=(7, 28))
    assert (found["at_launch"], found["a_day"]) == (100, 2.0)
    assert found["baseline"]["conversion"] == pytest.approx(0.2)
    early, late = (row for row in found["rows"] if row["holdout"] == 0.1)
    assert early["people"] == 0 and early["lift"] is None  # nobody's two weeks are over
    assert late["people"] == 128 and late["held_out"] == 13
    assert late["lift"] == pytest.approx(smallest_effect(0.2 * 0.8, 115.2, 12.8), rel=0.05)
    assert late["relative_lift"] == pytest.approx(late["lift"] / 0.2)


def test_a_larger_holdout_shows_smaller_effects(store: Warehouse) -> None:
    for number in range(1, 41):
        event(store, number, "Cart Viewed", number, source=1)
        if number % 4 == 0:
            order(store, number, NOW - timedelta(days=3))
    rows = power(store, NOW, 0.1, event="Cart Viewed", days=(56,))["rows"]
    assert [row["holdout"] for row in rows] == [0.05, 0.1, 0.2, 0.5]
    assert [row["lift"] for row in rows] == sorted((row["lift"] for row in rows), reverse=True)


def test_nobody_enters_no_effect_is_seen(store: Warehouse) -> None:
    found = power(store, NOW, 0.1, segment="nobody")
    assert all(row["lift"] is None for row in found["rows"])


def test_without_a_holdout_there_is_nothing_to_tell(store: Warehouse) -> None:
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        power(store, NOW, 0.0, segment="dormant")
