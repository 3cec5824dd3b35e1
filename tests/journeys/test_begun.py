"""What is said to somebody may speak of the event by which they came in: their cart as it stands, their order."""

import json
from datetime import timedelta
from typing import Any

from onevoice.content import sample
from onevoice.customers.facts import PROFILES
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys.service import SavedJourney
from onevoice.journeys.tick import tick
from onevoice.journeys.variables import personalised, variables_for
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.builders import BEFORE, add, customer, event, journey

HOUR = timedelta(hours=1)
STEPS = [{"id": "w", "wait": "1 hour"}, {"id": "m", "send": {"channel": "email", "template": "t"}}]


def enters(entry: dict[str, Any], **changes: Any) -> SavedJourney:
    return journey(entry=entry, steps=STEPS, **{"policy": {}, "goal": None, **changes})


def told(store: Warehouse, live: SavedJourney) -> list[tuple[int, Any]]:
    """For each message planned, whose it is and the properties of the event it may speak of."""
    rows = store.rows(personalised(store, store.table(MESSAGES), ["event"], [live.laid_out]))
    told = [(row["customer_id"], json.loads(row["variables"])["event"]) for row in rows]
    return sorted(((number, one and one["properties"]) for number, one in told), key=repr)


def test_with_a_key_it_is_the_newest_of_that_key(store: Warehouse) -> None:
    customer(store, 1, 2)
    live = enters({"event": {"name": "Cart Updated", "where": {"total": {"above": 5}}, "key": "cart_id"}})
    event(store, 1, "Cart Updated", NOW - HOUR, cart_id="a", total=1)  # too small
    event(store, 1, "Cart Updated", NOW, cart_id="a", total=10)
    event(store, 1, "Cart Updated", NOW, cart_id="b", total=7)
    event(store, 2, "Cart Updated", NOW, cart_id="a", total=30, lines=[{"name": 'Caffè "Oro"'}])
    tick(store, [live], NOW)
    event(store, 1, "Cart Updated", NOW + HOUR / 2, cart_id="a", total=12)
    tick(store, [live], NOW + HOUR)
    assert told(store, live) == [
        (1, {"cart_id": "a", "total": 12}),
        (1, {"cart_id": "b", "total": 7}),
        (2, {"cart_id": "a", "total": 30, "lines": [{"name": 'Caffè "Oro"'}]}),
    ]


def test_without_a_key_it_is_the_one_that_let_them_in(store: Warehouse) -> None:
    customer(store, 1)
    live = enters({"event": {"name": "Order Completed"}, "reentry": "always"})
    event(store, 1, "Order Completed", NOW - 5 * timedelta(days=1), order_id="old")
    event(store, 1, "Order Completed", NOW, order_id="first")
    tick(store, [live], NOW)
    event(store, 1, "Order Completed", NOW + HOUR / 2, order_id="second")  # they are in it: nobody is in it twice
    tick(store, [live], NOW + HOUR)
    assert told(store, live) == [(1, {"order_id": "first"})]
    (found,) = variables_for(store, [1], NOW + HOUR, live.laid_out).values()  # a preview: as if they came in now
    assert found["event"] == {
        "name": "Order Completed",
        "at": (NOW + HOUR / 2).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "properties": {"order_id": "second"},
    }


def test_where_no_event_lets_people_in_there_is_none(store: Warehouse) -> None:
    customer(store, 1)
    live = enters({"segment": "dormant"})
    tick(store, [live], NOW)
    tick(store, [live], NOW + HOUR)
    assert told(store, live) == [(1, None)]


def test_the_sample_that_templates_are_tried_on_has_what_messages_have(store: Warehouse) -> None:
    customer(store, 1)
    made = variables_for(store, [1], NOW)[1]
    assert sample.VARIABLES.keys() == made.keys() - {"coupon"}  # a step's, or none
    assert sample.VARIABLES["customer"].keys() == made["customer"].keys()


def test_traits_are_there_where_a_template_asks(store: Warehouse) -> None:
    add(
        store,
        PROFILES,
        customer_id=1,
        locale="en",
        time_zone="UTC",
        traits='{"tier":"gold","score":5}',
        first_seen_at=BEFORE,
    )
    assert variables_for(store, [1], NOW)[1]["customer"]["traits"] == {"tier": "gold", "score": 5}
