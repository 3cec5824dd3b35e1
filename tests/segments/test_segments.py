"""Segments as documents and as memberships: bad ones are refused with the place named, who stays keeps their time."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from onevoice.catalog.facts import ORDERS
from onevoice.kernel.clock import naive
from onevoice.kernel.errors import InvalidInput, NotFound
from onevoice.segments import service
from onevoice.segments.compiler import members
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.segments.preview import preview
from onevoice.segments.refresh import refresh
from onevoice.segments.service import SavedSegment
from onevoice.segments.tree import DEEPEST, condition
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.builders import order
from tests.segments.shop import fill, make

BUYERS = {"kind": "segment", "name": "buyers", "where": {"orders": {"at_least": 1}}}


@pytest.mark.parametrize(
    ("where", "named"),
    [
        (None, "where: expected a mapping"),
        ({"orders": {"at_least": 1}, "not": {}}, "where: expected a mapping with one key"),
        ({"any": []}, r"where\.any: expected a list"),
        ({"all": [{"ordres": {}}]}, r"where\.all\[0\]\.ordres: there is no such condition"),
        ({"not": {"orders": {"at_last": 1}}}, r"where\.not\.orders: .*at_last"),
        ({"orders": {}}, r"where\.orders: give exactly one of at_least, at_most"),
        ({"event": {"name": "A", "at_least": 1, "exactly": 2}}, r"where\.event: give at most one of at_least"),
        ({"event": {"name": "A", "where": {"colour": ""}}}, r"where\.event\.where: expected names without quotes"),
        ({"category": {"name": "A", "at_least": 0}}, r"where\.category\.at_least: expected 1 or more; got 0"),
        ({"category": {"name": "A", "measure": "share", "at_least": 50}}, "expected above 0 and up to 1; got 50"),
        ({"last_order": {"within": "99999 days"}}, r"where\.last_order\.within: expected at most 36500 days"),
        ({"prefers": {"name": "email"}}, r"where\.prefers: .*`name`; prefers takes channel, within"),
        ({"last_order": {"before": "two months"}}, r"where\.last_order\.before: expected a number of days"),
        ({"category": {"name": "A", "measure": "most"}}, r"where\.category: Invalid enum value 'most'"),
    ],
)
def test_a_wrong_condition_is_refused_with_its_place(where: object, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        condition(where)


def test_saving_counts_versions_only_when_something_changed(db: Engine) -> None:
    with db.begin() as connection:
        assert service.save(connection, BUYERS, NOW) == (1, True)
        assert service.save(connection, BUYERS, NOW) == (1, False)
        assert service.save(connection, {**BUYERS, "where": {"orders": {"at_least": 2}}}, NOW) == (2, True)
        assert service.get(connection, "buyers").version == 2
        with pytest.raises(NotFound):
            service.get(connection, "nobody")


def test_segments_that_ask_about_each_other_in_a_circle_are_refused_with_the_path(db: Engine) -> None:
    with db.begin() as connection:
        service.save(connection, {"name": "a", "where": {"segment": {"name": "b"}}}, NOW, coming=["b"])
        with pytest.raises(InvalidInput, match=r"circle: .*a.*b"):
            service.save(connection, {"name": "b", "where": {"not": {"segment": {"name": "a"}}}}, NOW)


def test_a_segment_that_asks_about_one_that_does_not_exist_is_refused(db: Engine) -> None:
    typo = {"name": "a", "where": {"not": {"segment": {"name": "do-not-dsturb"}}}}
    with db.begin() as connection, pytest.raises(InvalidInput, match="no segment do-not-dsturb; save it first"):
        service.save(connection, typo, NOW)


def test_conditions_nested_too_deep_are_refused() -> None:
    where: dict[str, object] = {"orders": {"at_least": 1}}
    for _ in range(DEEPEST):
        where = {"not": where}
    condition(where)
    with pytest.raises(InvalidInput, match="nested deeper than"):
        condition({"not": where})


def size(store: Warehouse, name: str) -> int:
    table = store.table(SEGMENT_MEMBERS)
    return store.count(table.filter(table.segment == name))


def test_a_window_moves_on_with_time_and_who_stays_keeps_the_time_of_entering(store: Warehouse) -> None:
    fill(store, make())
    recent = SavedSegment("recent", 1, {"where": {"last_order": {"within": "30 days"}}})
    also = SavedSegment("a_also", 1, {"where": {"segment": {"name": "recent"}}})
    first = {change.segment: change for change in refresh(store, [also, recent], NOW)}
    assert first["recent"].entered == first["a_also"].entered > 0
    later = NOW + timedelta(days=10)
    second = {change.segment: change for change in refresh(store, [also, recent], later)}
    orders = store.table(ORDERS)
    known = orders.filter(orders.ordered_at <= naive(later), orders.ordered_at > naive(later - timedelta(days=30)))
    assert size(store, "recent") == size(store, "a_also") == store.count(known.select("customer_id").distinct())
    assert second["recent"].left > 0
    inside = store.rows(store.table(SEGMENT_MEMBERS))
    assert {row["entered_at"] for row in inside} == {naive(NOW), naive(later)}
    assert refresh(store, [recent], later) == []
    assert {row["segment"] for row in store.rows(store.table(SEGMENT_MEMBERS))} == {"recent"}


def test_a_window_is_exact_to_the_microsecond(store: Warehouse) -> None:
    now = NOW.replace(second=59, microsecond=999_999)
    edge = now - timedelta(days=30)
    for number, at in enumerate((edge, edge + timedelta(microseconds=1), now, now + timedelta(microseconds=1))):
        order(store, number, at)
    inside = members(condition({"last_order": {"within": "30 days"}}), store, now)
    assert sorted(row["customer_id"] for row in store.rows(inside)) == [1, 2]


def test_a_preview_counts_and_shows_some_and_writes_nothing(store: Warehouse) -> None:
    fill(store, make())
    found = preview(store, condition(BUYERS["where"]), NOW, sample=3)
    assert found["size"] > 3 and len(found["sample"]) == 3
    assert store.count(store.table(SEGMENT_MEMBERS)) == 0
