"""A message's row is made from all its news by rank, on both stores alike."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from onevoice.database.inbox import Entry
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.delivery.load import load
from onevoice.delivery.statuses import RANK
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.delivery.builders import message_id, news, planned


def minutes(number: int) -> Any:
    return NOW + timedelta(minutes=number)


def row(warehouse: Warehouse, number: int = 1) -> dict[str, Any]:
    table = warehouse.table(MESSAGES)
    (found,) = warehouse.rows(table.filter(table.message_id == str(message_id(number))))
    return found


def test_each_piece_of_news_sets_its_time_and_the_highest_is_the_status(store: Warehouse) -> None:
    planned(store, 1, 2)
    load(store, [news(1, "accepted", minutes(1), cost="0.0075"), news(1, "delivered", minutes(2))])
    load(store, [news(1, "clicked", minutes(9)), news(1, "opened", minutes(5)), news(1, "unsubscribed", minutes(10))])
    found = row(store)
    assert found["status"] == "unsubscribed"
    assert found["cost"] == Decimal("0.0075")
    times = ("accepted_at", "delivered_at", "opened_at", "clicked_at", "unsubscribed_at")
    assert [found[name] for name in times] == [naive(minutes(m)) for m in (1, 2, 5, 9, 10)]
    assert found["failed_at"] is None
    assert found["error_code"] is None
    assert row(store, 2)["status"] == "planned"
    assert row(store, 2)["cost"] is None


def test_a_click_without_an_opening_opened_and_delivered_it(store: Warehouse) -> None:
    planned(store, 1)
    load(store, [news(1, "clicked", minutes(3))])
    found = row(store)
    assert found["opened_at"] == found["clicked_at"] == found["delivered_at"] == naive(minutes(3))


def test_a_reply_opened_the_message_and_outranks_a_click(store: Warehouse) -> None:
    planned(store, 1)
    load(store, [news(1, "replied", minutes(3)), news(1, "clicked", minutes(4))])
    found = row(store)
    assert (found["status"], found["replied_at"]) == ("replied", naive(minutes(3)))
    assert (found["opened_at"], found["clicked_at"]) == (naive(minutes(3)), naive(minutes(4)))


def test_what_machines_open_or_click_was_delivered_and_no_more(store: Warehouse) -> None:
    planned(store, 1)
    load(store, [news(1, "accepted", minutes(1)), news(1, "opened", minutes(2), machine=True)])
    load(store, [news(1, "clicked", minutes(3), machine=True)])
    found = row(store)
    assert (found["status"], found["opened_at"], found["clicked_at"]) == ("delivered", None, None)
    assert found["delivered_at"] == naive(minutes(2))


def test_a_delivery_after_a_failure_wins_and_a_bounce_after_a_delivery_wins(store: Warehouse) -> None:
    planned(store, 1, 2)
    load(store, [news(1, "failed", minutes(1), error_code="30003"), news(1, "delivered", minutes(2))])
    load(store, [news(2, "accepted", minutes(1), delivered=True), news(2, "bounced", minutes(9), error_code="5.1.1")])
    assert (row(store, 1)["status"], row(store, 1)["failed_at"]) == ("delivered", None)
    bounced = row(store, 2)
    assert (bounced["status"], bounced["delivered_at"], bounced["error_code"]) == ("bounced", None, "5.1.1")
    assert bounced["failed_at"] == naive(minutes(9))


def test_an_acceptance_that_is_all_one_hears_counts_as_delivery(store: Warehouse) -> None:
    planned(store, 1)
    load(store, [news(1, "accepted", minutes(1), cost="0.001", delivered=True)])
    found = row(store)
    assert (found["status"], found["delivered_at"], found["cost"]) == ("delivered", naive(minutes(1)), Decimal("0.001"))


def test_news_of_an_unknown_message_are_kept_and_harm_nothing(store: Warehouse) -> None:
    planned(store, 1)
    load(store, [news(7, "opened", minutes(1))])
    assert store.count(store.table(MESSAGE_EVENTS)) == 1
    assert row(store)["status"] == "planned"


MANY = 40
"""Messages that take part in one example, since an example costs statements, not rows."""


def some_news() -> st.SearchStrategy[Entry]:
    return st.builds(
        lambda number, word, at, machine: news(
            number,
            word,
            minutes(at),
            machine=machine,
            error_code="E1" if word in ("failed", "bounced") else "",
            cost="0.0079" if word == "accepted" else "",
        ),
        st.integers(1, MANY),
        st.sampled_from(RANK[1:]),
        st.integers(0, 5),
        st.booleans(),
    )


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(told=st.lists(some_news(), min_size=2 * MANY, max_size=5 * MANY), data=st.data())
def test_any_order_and_repetition_of_the_same_news_gives_the_same_rows(
    store: Warehouse, told: list[Entry], data: st.DataObject
) -> None:
    def outcome(entries: Sequence[Entry], parts: int) -> list[dict[str, Any]]:
        for facts in (MESSAGES, MESSAGE_EVENTS):
            store.delete(facts, store.table(facts).select("message_id"))
        planned(store, *range(1, MANY + 1))
        for part in range(parts):
            load(store, entries[part::parts])
        return store.rows(store.table(MESSAGES).order_by("message_id"))

    shuffled = data.draw(st.permutations([*told, *told[:MANY]]))
    assert outcome(shuffled, 3) == outcome(told, 1)
