"""The load: each event once, with its customer; orders and traits taken out; a merge rewrites what went before."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

from onevoice.catalog.facts import ORDER_LINES, ORDERS
from onevoice.customers.facts import ADDRESSES, IDENTIFIERS, PROFILES, TRAITS
from onevoice.customers.identifiers import Identifier
from onevoice.database.inbox import Entry, Kind
from onevoice.events.facts import EVENTS
from onevoice.events.load import load
from onevoice.warehouse import Warehouse
from tests.conftest import NOW

PROJECTED = [EVENTS, ORDERS, ORDER_LINES, TRAITS]
KINDS = {1: "web", 2: "till"}


def entry(message_id: str, source: int = 1, at: Any = NOW, **call: Any) -> Entry:
    call = {"type": "track", "messageId": message_id, **call}
    payload = {"type": call["type"], "message_id": message_id, "occurred_at": at.isoformat(), "call": call}
    return Entry(source, Kind.EVENT, NOW, json.dumps(payload).encode())


def take(store: Warehouse, *entries: Entry, revision: int = 1) -> None:
    with store.transaction():
        load(store, entries, KINDS, b"s" * 32, revision, PROJECTED)


def order(message_id: str, order_id: str, **call: Any) -> Entry:
    products = [
        {"product_id": "p1", "quantity": 2, "price": 1.25},
        {"product_id": 7, "quantity": 1, "revenue": 0.3, "discount": 0.1},
    ]
    properties = {"order_id": order_id, "store_id": 316, "currency": "EUR", "products": products}
    return entry(message_id, 2, event="Order Completed", properties=properties, **call)


def test_the_same_event_twice_in_one_batch_is_held_once(store: Warehouse) -> None:
    view = entry("m1", event="Product Viewed", anonymousId="d1")
    take(store, view, view)
    take(store, entry("m2", event="Product Viewed", anonymousId="d1"), revision=2)
    assert store.count(store.table(EVENTS)) == 2


def test_an_entry_may_hold_many_events(store: Warehouse) -> None:
    one, other = entry("m1", event="A", userId="u"), entry("m2", event="B", userId="u")
    take(store, Entry(1, Kind.EVENT, NOW, one.payload + b"\n" + other.payload, 2))
    assert {row["name"] for row in store.rows(store.table(EVENTS))} == {"A", "B"}


def test_message_ids_of_two_sources_do_not_meet(store: Warehouse) -> None:
    take(store, entry("m1", 1, event="A", userId="u"), entry("m1", 2, event="A", userId="u"))
    assert store.count(store.table(EVENTS)) == 2


def test_an_order_at_the_till_is_an_offline_order_with_exact_money(store: Warehouse) -> None:
    card = {"externalIds": [{"id": 900, "type": "loyalty_card", "collection": "users", "encoding": "none"}]}
    take(store, order("m1", "b1", context=card))
    (row,) = store.rows(store.table(ORDERS))
    assert row["channel"] == "offline" and row["store_id"] == "316" and row["lines"] == 2
    assert row["revenue"] == Decimal("2.8")
    assert row["identifier_id"] == Identifier("loyalty_card", "900").id
    lines = sorted(store.rows(store.table(ORDER_LINES)), key=lambda line: line["line"])
    assert [(line["product_id"], line["revenue"]) for line in lines] == [("p1", Decimal("2.5")), ("7", Decimal("0.3"))]


def test_an_order_told_again_replaces_what_was_held(store: Warehouse) -> None:
    take(store, order("m1", "b1", userId="u"))
    take(store, order("m2", "b1", userId="u"), revision=2)
    assert store.count(store.table(ORDERS)) == 1
    assert store.count(store.table(ORDER_LINES)) == 2


def test_what_a_device_did_before_it_was_known_belongs_to_the_customer(store: Warehouse) -> None:
    take(store, entry("m1", event="Product Viewed", anonymousId="d1"))
    take(store, entry("m2", type="identify", userId="u1", anonymousId="d1", traits={"firstName": "Anna"}), revision=2)
    customers = {row["customer_id"] for row in store.rows(store.table(EVENTS))}
    assert customers == {Identifier("user_id", "u1").id}
    assert [row["first_name"] for row in store.rows(store.table(PROFILES))] == ["Anna"]


def test_the_newest_trait_by_event_time_wins_and_null_deletes(store: Warehouse) -> None:
    later = NOW + timedelta(hours=1)
    take(store, entry("m1", at=later, type="identify", userId="u", traits={"city": "Iași", "first_name": 'A "B" C'}))
    take(store, entry("m2", type="identify", userId="u", traits={"city": "Roma", "email": "a@example.com"}), revision=2)
    take(store, entry("m3", at=later, type="identify", userId="u", traits={"email": None}), revision=3)
    (profile,) = store.rows(store.table(PROFILES))
    assert json.loads(profile["traits"]) == {"city": "Iași", "first_name": 'A "B" C'}
    assert profile["first_name"] == 'A "B" C'
    assert store.count(store.table(ADDRESSES)) == 0


def test_addresses_come_from_traits_and_impossible_ones_are_left_out(store: Warehouse) -> None:
    traits = {"email": "Anna@example.com", "phone": "+39 06 1234 5678", "pushToken": "t0k", "locale": "it-IT"}
    take(store, entry("m1", type="identify", userId="u", context={"traits": traits}))
    take(store, entry("m2", type="identify", userId="v", traits={"email": "no at", "phone": "12"}), revision=2)
    rows = store.rows(store.table(ADDRESSES))
    assert {(row["channel"], row["address"]) for row in rows} == {
        ("email", "Anna@example.com"),
        ("sms", "+390612345678"),
        ("call", "+390612345678"),
        ("push", "t0k"),
    }
    assert {row["locale"] for row in store.rows(store.table(PROFILES))} == {"it", "en"}


def test_a_browsers_subscription_is_an_address_of_web_push(store: Warehouse) -> None:
    subscription = json.dumps({"endpoint": "https://push.example/1", "keys": {"p256dh": "BA", "auth": "cA"}})
    take(store, entry("m1", type="identify", userId="u", traits={"webpush_subscription": subscription}))
    (row,) = store.rows(store.table(ADDRESSES))
    assert (row["channel"], row["address"]) == ("webpush", subscription)


def test_ids_that_stand_for_everybody_identify_nobody(store: Warehouse) -> None:
    take(store, *(entry(f"m{i}", event="A", userId="null", anonymousId=f"d{i}") for i in range(3)))
    assert store.count(store.table(IDENTIFIERS)) == 3


def test_a_trait_is_the_same_however_its_letters_were_escaped(store: Warehouse) -> None:
    traits = {"firstName": 'Nicolò "Nico"', "likes": ["caffè"]}
    escaped = entry("m1", type="identify", userId="u1", traits=traits)
    assert b"\\u00f2" in escaped.payload
    payload = json.dumps(json.loads(escaped.payload) | {"message_id": "m2"}, ensure_ascii=False)
    plain = Entry(1, Kind.EVENT, NOW, payload.replace('"u1"', '"u2"').encode())
    take(store, escaped, plain)
    assert {row["first_name"] for row in store.rows(store.table(PROFILES))} == {'Nicolò "Nico"'}
    assert store.count(store.table(TRAITS).select("name", "value").distinct()) == 2
