"""The hand-off: what was planned is queued once, with what makes it personal, wherever either side is cut off."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import yaml
from sqlalchemy import Connection, Engine, text

from onevoice.catalog.facts import ORDER_LINES, PRODUCTS
from onevoice.content.models import template
from onevoice.customers.facts import PROFILES
from onevoice.database import inbox
from onevoice.delivery import holds
from onevoice.delivery.facts import MESSAGES
from onevoice.delivery.schemas import MessageEntry
from onevoice.journeys import service
from onevoice.journeys.handoff import hand_off
from onevoice.journeys.service import SavedJourney
from onevoice.journeys.tick import tick
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.builders import BEFORE, WINBACK, add, customer, journey

DAY = timedelta(days=1)


def queued(db: Engine) -> list[dict[str, Any]]:
    with db.connect() as connection:
        rows = connection.execute(text("SELECT * FROM message ORDER BY address")).mappings()
        return [{**row, "variables": json.loads(row["variables"])} for row in rows]


def handed_off(warehouse: Warehouse, db: Engine) -> int:
    with db.begin() as connection:
        return hand_off(warehouse, connection, NOW)


def test_a_message_is_queued_with_what_makes_it_personal(duck: Warehouse, db: Engine) -> None:
    customer(duck, 1, 2)
    profile = {"customer_id": 1, "first_name": "Anna", "last_name": "Rossi", "locale": "it", "time_zone": "UTC"}
    duck.replace(
        PROFILES,
        ["customer_id"],
        PROFILES.arrow(
            {name: [{**profile, "traits": "{}", "first_seen_at": BEFORE}.get(name)] for name in PROFILES.columns}
        ),
    )
    for place, name in enumerate(("Coffee", "Bread")):
        add(duck, PRODUCTS, product_id=name, name=name, category="Food", price=1, currency="EUR", updated_at=BEFORE)
        line = {"order_id": "o", "source_id": 1, "identifier_id": 1, "customer_id": 1, "ordered_at": BEFORE}
        paid = {"quantity": 1, "gross_quantity": 1, "revenue": 5 - place, "gross_revenue": 5 - place, "discount": 0}
        add(duck, ORDER_LINES, **line, **paid, line=place, product_id=name)
    with db.begin() as connection:
        for version in (1, 2):
            row = {"name": "winback_email", "version": version, "channel": "email", "locale": "it", "saved_at": NOW}
            connection.execute(template.insert().values(**row, source={}, compiled={}))
    tick(duck, [journey()], NOW)
    assert handed_off(duck, db) == 2
    first, second = queued(db)
    assert first["variables"] == {
        "customer": {
            "first_name": "Anna",
            "last_name": "Rossi",
            "locale": "it",
            "country": None,
            "favourite_category": "Food",
            "products": [{"name": "Coffee"}, {"name": "Bread"}],
        },
        "favourite": {"category": "Food", "products": ["Coffee", "Bread"]},
        "journey": "win-back",
        "coupon": None,
        "planned_at": "2026-03-02T10:00:00Z",
    }
    assert second["variables"]["favourite"] == {"category": None, "products": []}
    known = {"journey": "win-back", "step": "cascade/0", "channel": "email", "address": "email-1", "locale": "it"}
    assert {name: first[name] for name in known} == known
    assert (first["template"], first["template_version"], first["topic"]) == ("winback_email", 2, "offers")
    assert (first["identifier_id"], first["not_before"], first["expires_at"]) == (1, NOW, NOW + 3 * DAY)
    assert str(first["id"]) in {row["message_id"] for row in duck.rows(duck.table(MESSAGES))}


def test_a_second_hand_off_queues_nothing_and_a_later_one_only_what_is_new(duck: Warehouse, db: Engine) -> None:
    customer(duck, 1, 2)
    assert handed_off(duck, db) == 0
    tick(duck, [journey()], NOW)
    assert [handed_off(duck, db), handed_off(duck, db)] == [2, 0]
    tick(duck, [journey()], NOW + 3 * DAY)
    assert handed_off(duck, db) == 2
    assert len(queued(db)) == 4


def test_a_hand_off_cut_off_before_its_commit_is_done_by_the_next(duck: Warehouse, db: Engine) -> None:
    customer(duck, 1)
    tick(duck, [journey()], NOW)
    with pytest.raises(KeyboardInterrupt), db.begin() as connection:
        assert hand_off(duck, connection, NOW) == 1
        raise KeyboardInterrupt
    assert queued(db) == []
    assert handed_off(duck, db) == 1


def test_ticks_that_were_never_handed_off_are_handed_off_together(duck: Warehouse, db: Engine) -> None:
    customer(duck, 1)
    for days in (0, 3, 5):
        tick(duck, [journey()], NOW + days * DAY)
    assert handed_off(duck, db) == 3


def test_what_is_planned_after_messages_were_erased_is_handed_off_all_the_same(duck: Warehouse, db: Engine) -> None:
    """The receiver's watermark must not be ahead of a warehouse that holds less than it did."""
    customer(duck, 1)
    tick(duck, [journey()], NOW)
    assert handed_off(duck, db) == 1
    duck.delete(MESSAGES, duck.table(MESSAGES).select("message_id"))
    customer(duck, 2)
    tick(duck, [journey()], NOW + timedelta(seconds=1))
    assert handed_off(duck, db) == 1


def test_a_clock_set_back_holds_nothing_up(duck: Warehouse, db: Engine) -> None:
    customer(duck, 1)
    tick(duck, [journey()], NOW)
    assert handed_off(duck, db) == 1
    customer(duck, 2)
    tick(duck, [journey()], NOW - timedelta(hours=1))
    assert handed_off(duck, db) == 1
    planned = {row["customer_id"]: row["planned_at"] for row in duck.rows(duck.table(MESSAGES))}
    assert planned == {1: naive(NOW), 2: naive(NOW - timedelta(hours=1))}


def cancelled(db: Engine) -> list[bool]:
    """Of each message, whether it is cancelled, or would be by the worker that takes it."""
    with db.connect() as connection:
        asked = holds.Holds(holds.in_force(connection))
        rows = connection.execute(text("SELECT * FROM message ORDER BY address")).all()
    return [
        row.error_code == "cancelled" or ((hold := asked.on(row)) is not None and hold.action == holds.CANCEL)
        for row in rows
    ]


def stop(connection: Connection) -> None:
    service.stop(connection, "win-back", NOW)


@pytest.fixture
def planned(duck: Warehouse, db: Engine) -> Callable[[Connection], int]:
    """A live journey of which a tick has planned a message; handing it over."""
    with db.begin() as connection:
        service.save(connection, journey().definition, NOW)
    customer(duck, 1)
    tick(duck, [journey()], NOW)
    return lambda connection: hand_off(duck, connection, NOW)


def test_what_is_handed_over_after_its_journey_was_stopped_never_waits(
    planned: Callable[[Connection], int], db: Engine
) -> None:
    with db.begin() as connection:
        stop(connection)
    with db.begin() as connection:
        assert planned(connection) == 1
    (message,) = queued(db)
    assert (message["state"], message["error_code"]) == ("skipped", "cancelled")
    with db.connect() as connection:
        ((*_, told),) = inbox.read(connection, (0, 0), 10)
    news = msgspec.json.decode(told.payload, type=MessageEntry)
    assert (news.message_id, news.news, news.error_code) == (str(message["id"]), "skipped", "cancelled")


@pytest.mark.parametrize("is_stop_first", [True, False])
def test_a_stop_and_a_hand_off_at_once_leave_nothing_to_be_sent_and_no_stop_waits(
    planned: Callable[[Connection], int], db: Engine, is_stop_first: bool
) -> None:
    first, second = (stop, planned) if is_stop_first else (planned, stop)

    def later() -> None:
        with db.begin() as connection:
            second(connection)

    with ThreadPoolExecutor(1) as beside:
        with db.begin() as connection:
            first(connection)
            other = beside.submit(later)
            if is_stop_first:
                with pytest.raises(TimeoutError):  # the hand-off must see it
                    other.result(timeout=0.2)
            else:
                other.result(timeout=10)
        other.result(timeout=10)
    assert cancelled(db) == [True]


def test_a_message_carries_where_it_must_be_day_unless_it_was_asked_for(duck: Warehouse, db: Engine) -> None:
    own = yaml.safe_load(WINBACK)
    asked = {**own, "name": "receipt", "policy": {}, "transactional": True}
    with db.begin() as connection:
        for document in (own, asked):
            service.save(connection, document, NOW)
    customer(duck, 1, zone="Europe/Rome")
    tick(duck, [SavedJourney(one["name"], 1, "live", NOW, one) for one in (own, asked)], NOW)
    assert handed_off(duck, db) == 2
    places = {row["journey"]: row["place"] for row in queued(db)}
    assert places == {"win-back": '["Europe/Rome","","","21:00","08:00"]', "receipt": ""}
