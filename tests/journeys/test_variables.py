"""What personalises a message: favourites, recommendations, what was seen lately; as JSON, whatever the names hold."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from onevoice.catalog.facts import ORDER_LINES, PRODUCTS
from onevoice.delivery.facts import MESSAGES
from onevoice.events.facts import EVENTS
from onevoice.journeys.variables import personalised
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse
from tests.catalog.test_recommendations import line
from tests.conftest import NOW
from tests.journeys.builders import BEFORE, add, customer
from tests.journeys.test_habits import message

ODD = 'Caffè "Oro"\t50\\50\n{{ x }} قهوة'


def made(store: Warehouse, *asked: str) -> dict[int, Any]:
    rows = store.rows(personalised(store, store.table(MESSAGES), asked).select("customer_id", "variables"))
    return {row["customer_id"]: json.loads(row["variables"]) for row in rows}


def shop(store: Warehouse) -> None:
    customer(store, 1, 2)
    for name in ("milk", "tea", "odd"):
        add(
            store,
            PRODUCTS,
            product_id=name,
            name=ODD if name == "odd" else name,
            category="Food",
            price=Decimal("1.5") if name == "tea" else None,
            updated_at=BEFORE,
        )
    add(store, ORDER_LINES, line(1, 1, "odd"), line(1, 2, "odd"), line(1, 3, "milk"))
    add(store, MESSAGES, message(1, 1, "email", NOW), message(2, 2, "email", NOW))
    for number, (days, product) in enumerate([(40, "milk"), (3, "tea"), (2, "odd"), (1, "tea"), (1, "unknown")]):
        add(
            store,
            EVENTS,
            event_id=f"e{number}",
            source_id=1,
            type="track",
            name="Product Viewed",
            channel="web",
            identifier_id=1,
            customer_id=1,
            occurred_at=naive(NOW - timedelta(days=days)),
            received_at=naive(NOW),
            properties=json.dumps({"product_id": product}),
        )


def test_only_what_is_asked_for_is_looked_up(store: Warehouse) -> None:
    shop(store)
    plain = made(store)
    assert plain[1]["favourite"] == {"category": "Food", "products": [ODD, "milk"]}
    assert plain[1]["customer"]["products"] == [{"name": ODD}, {"name": "milk"}]
    assert plain[2]["customer"] == {
        "first_name": None,
        "last_name": None,
        "locale": "it",
        "country": None,
        "favourite_category": None,
        "products": [],
    }
    assert not {"recommended", "viewed"} & plain[1].keys()


def test_recommended_and_viewed_products_come_with_what_a_block_shows(store: Warehouse) -> None:
    shop(store)
    found = made(store, "recommended", "viewed")
    assert [one["product_id"] for one in found[1]["recommended"]] == ["odd", "milk"]
    assert [one["product_id"] for one in found[2]["recommended"]] == ["odd", "milk"]  # what everybody buys
    assert [one["product_id"] for one in found[1]["viewed"]] == ["tea", "odd"]
    tea = found[1]["viewed"][0]
    assert tea == {**dict.fromkeys(("brand", "url", "image_url")), "name": "tea", "category": "Food"} | {
        "product_id": "tea",
        "price": 1.5,
    }
    assert found[2]["viewed"] == []


def test_an_array_of_nothing_is_empty(store: Warehouse) -> None:
    customer(store, 1)
    add(store, MESSAGES, message(1, 1, "email", NOW))
    assert made(store, "recommended")[1]["recommended"] == []


def test_text_is_json_on_every_store(store: Warehouse) -> None:
    texts = [ODD, "", None, "\\", "/", "\u2028"]
    rows = store.stage("texts", pa.table({"text": pa.array(texts, pa.string())}))
    written = store.rows(rows.select("text", json=store.json_string(rows.text)))
    assert [json.loads(row["json"]) for row in written] == [row["text"] for row in written]
