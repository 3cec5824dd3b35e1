"""Machines that give themselves away afterwards: their clicks are taken back, on both stores, in whatever order."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onevoice.database.inbox import Entry
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.delivery.load import load
from onevoice.delivery.unmasked import TRAPPED
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.delivery.builders import news, planned


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def click(seconds: float, link: str = "a", number: int = 1, **more: Any) -> Entry:
    return news(number, "clicked", at(seconds), detail={"link": f"https://shop.example/{link}"}, **more)


def by_hand(warehouse: Warehouse) -> list[str]:
    """What counts as a person's, in order."""
    told = warehouse.table(MESSAGE_EVENTS)
    rows = warehouse.rows(told.filter(~told.machine, told.news.isin(["opened", "clicked"])).order_by("occurred_at"))
    return [f"{row['news']} {(row['occurred_at'] - NOW.replace(tzinfo=None)).total_seconds():g}" for row in rows]


def answers(warehouse: Warehouse) -> tuple[Any, Any, str]:
    (row,) = warehouse.rows(warehouse.table(MESSAGES))
    return row["opened_at"], row["clicked_at"], row["status"]


def test_whoever_follows_the_trap_did_the_clicks_and_openings_around_it(store: Warehouse) -> None:
    planned(store, 1)
    load(store, [news(1, "opened", at(100)), click(110), click(500, "b"), click(900)])
    assert by_hand(store) == ["opened 100", "clicked 110", "clicked 500", "clicked 900"]
    load(store, [news(1, TRAPPED, at(112), machine=True), news(1, TRAPPED, at(870), machine=True)])
    assert by_hand(store) == ["clicked 500"]
    opened, clicked, status = answers(store)
    assert (opened, clicked, status) == (at(500).replace(tzinfo=None), at(500).replace(tzinfo=None), "clicked")


def test_a_message_that_only_a_machine_clicked_was_delivered_and_no_more(store: Warehouse) -> None:
    planned(store, 1)
    load(store, [click(10)])
    assert answers(store)[2] == "clicked"
    load(store, [news(1, TRAPPED, at(11), machine=True)])
    assert answers(store) == (None, None, "delivered")


@pytest.mark.parametrize(
    ("clicks", "left"),
    [
        ([(0, "a"), (0.4, "b")], []),  # two links within a second
        ([(0, "a"), (3, "b"), (6, "c"), (9, "d")], []),  # four in ten seconds, one after another
        ([(0, "a"), (0.3, "a"), (0.6, "a")], ["clicked 0", "clicked 0.3", "clicked 0.6"]),  # an impatient finger
        ([(0, "a"), (4, "b"), (12, "c")], ["clicked 0", "clicked 4", "clicked 12"]),  # a person who looks around
        ([(0, "a"), (0.5, "b"), (40, "c")], ["clicked 40"]),  # the machine first, then its owner
    ],
)
def test_links_followed_faster_than_a_hand_can_were_followed_by_a_machine(
    store: Warehouse, clicks: list[tuple[float, str]], left: list[str]
) -> None:
    planned(store, 1)
    load(store, [click(seconds, link) for seconds, link in clicks])
    assert by_hand(store) == left


def test_what_a_machine_does_with_one_message_says_nothing_about_another(store: Warehouse) -> None:
    planned(store, 1, 2)
    load(store, [click(0, "a", 1), click(0.5, "b", 2), news(1, TRAPPED, at(1), machine=True)])
    assert by_hand(store) == ["clicked 0.5"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    told=st.lists(
        st.tuples(st.sampled_from(("opened", "clicked", TRAPPED)), st.integers(0, 200), st.sampled_from("abc")),
        min_size=1,
        max_size=8,
        unique=True,
    ),
    cut=st.integers(0, 8),
)
def test_the_judgement_does_not_depend_on_the_order_in_which_it_is_heard(
    duck: Warehouse, told: list[tuple[str, int, str]], cut: int
) -> None:
    entries = [
        click(seconds, link) if word == "clicked" else news(1, word, at(seconds), machine=word == TRAPPED)
        for word, seconds, link in told
    ]
    found = []
    for parts in ([entries], [entries[cut:], entries[:cut], entries]):
        for table in (MESSAGES, MESSAGE_EVENTS):
            duck.execute(f"DELETE FROM {table.name}")
        planned(duck, 1)
        for part in parts:
            load(duck, part)
        found.append((by_hand(duck), answers(duck)))
    assert found[0] == found[1]
