"""A small shop with a year of seeded history, in a warehouse and as plain Python values beside it."""

import json
import random
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from onevoice.catalog.facts import CART_LINES, CARTS, COUPON_EVENTS, ORDER_LINES, ORDERS, PRODUCTS
from onevoice.customers.facts import ADDRESSES, CONSENTS, IDENTIFIERS, PROFILES, SUPPRESSIONS, TRAITS
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.events.facts import EVENTS
from onevoice.kernel.clock import naive
from onevoice.warehouse import Facts, Warehouse
from tests.conftest import NOW

TODAY = naive(NOW)
CUSTOMERS = range(1, 121)
CATEGORIES = ["Bread", "Cheese", "Wine", None]
NAMES = ["Product Viewed", "Email Opened", "Email Link Clicked", "Push Opened", "SMS Link Clicked"]

Row = dict[str, Any]


@dataclass
class Shop:
    """The rows of each table."""

    products: list[Row]
    profiles: list[Row]
    orders: list[Row]
    lines: list[Row]
    events: list[Row]
    traits: list[Row]
    consents: list[Row]
    addresses: list[Row]
    suppressions: list[Row]
    messages: list[Row]
    news: list[Row]
    coupons: list[Row]
    identifiers: list[Row]
    carts: list[Row]
    cart_lines: list[Row]


def make(seed: int = 7) -> Shop:
    """The same shop for the same seed."""
    dice = random.Random(seed)

    def moment() -> datetime:
        return TODAY - timedelta(days=dice.randrange(-5, 300), hours=dice.randrange(24))

    shop = Shop(*([] for _ in fields(Shop)))
    for number in range(12):
        category = CATEGORIES[number % 4]
        shop.products.append(
            {"product_id": f"p{number}", "name": f"Product {number:02}", "category": category, "updated_at": TODAY}
        )
    for customer in CUSTOMERS:
        shop.profiles.append(
            {"customer_id": customer, "locale": "en", "time_zone": "UTC", "traits": "{}", "first_seen_at": TODAY}
        )
        mine = {"customer_id": customer, "identifier_id": customer}
        for order in range(dice.choice([0, 0, 1, 2, 5])):
            at, order_id = moment(), f"o{customer}-{order}"
            lines = [
                {
                    **mine,
                    "order_id": order_id,
                    "source_id": 1,
                    "line": line,
                    "ordered_at": at,
                    "product_id": f"p{dice.randrange(13)}",  # the last is not in the catalogue
                    "quantity": 1.0,
                    "revenue": Decimal(dice.randrange(50, 2000)) / 100,
                    "discount": Decimal(0),
                    "gross_quantity": 1.0,
                }
                for line in range(dice.randrange(1, 5))
            ]
            shop.lines += [{**line, "gross_revenue": line["revenue"]} for line in lines]
            revenue = sum(line["revenue"] for line in lines)
            shop.orders.append(
                {
                    **mine,
                    "order_id": order_id,
                    "source_id": 1,
                    "channel": dice.choice(["offline", "web"]),
                    "ordered_at": at,
                    "updated_at": at,
                    "currency": "EUR",
                    "status": "placed",
                    "revenue": revenue,
                    "gross_revenue": revenue,
                    "refunded": Decimal(0),
                    "discount": Decimal(0),
                    "lines": len(lines),
                    "event_id": order_id,
                }
            )
        for number in range(dice.randrange(12)):
            at = moment()
            shop.events.append(
                {
                    **mine,
                    "event_id": f"e{customer}-{number}",
                    "source_id": 1,
                    "type": "track",
                    "name": dice.choice(NAMES),
                    "channel": "web",
                    "occurred_at": at,
                    "received_at": at,
                    "properties": json.dumps(
                        {"colour": dice.choice(["red", "blue"]), "size": dice.choice([1, 2.0, 2.5])}
                    ),
                }
            )
        for number in range(dice.randrange(4)):
            message_id, at = f"m{customer}-{number}", moment()
            shop.messages.append(
                {
                    **mine,
                    "message_id": message_id,
                    "journey": "j",
                    "journey_version": 1,
                    "step": "s",
                    "enrolment_id": "n",
                }
                | {
                    "channel": dice.choice(["email", "push", "whatsapp"]),
                    "address": "a",
                    "template": "t",
                    "locale": "en",
                }
                | {"topic": "offers", "planned_at": at, "tick": 1, "status": "accepted"}
            )
            for news in dice.sample(["delivered", "opened", "clicked", "unsubscribed"], 2):
                shop.news.append(
                    {"event_id": f"{message_id}-{news}", "message_id": message_id, "news": news, "detail": "{}"}
                    | {"occurred_at": at, "received_at": at, "machine": dice.random() < 0.2}
                )
        _give_traits(dice, shop.traits, customer)
        if dice.random() < 0.7:
            hashed = f"h{customer}"
            shop.addresses.append(
                {"customer_id": customer, "channel": "email", "address": f"c{customer}@example.com"}
                | {"address_hash": hashed, "updated_at": TODAY}
            )
            if dice.random() < 0.2:
                shop.suppressions.append(
                    {"channel": "email", "address_hash": hashed, "reason": "bounced", "suppressed_at": TODAY}
                )
        for state in dice.choice([[], ["granted"], ["denied"], ["granted", "withdrawn"], ["withdrawn", "granted"]]):
            at = TODAY - timedelta(days=10 - len(shop.consents) % 2)
            identifier = customer * 1000 + len(shop.consents)
            shop.consents.append(
                {"identifier_id": identifier, "customer_id": customer, "channel": dice.choice(["email", "*"])}
                | {"topic": "offers", "state": state, "occurred_at": at, "country": None}
            )
    _furnish(random.Random(seed + 1), shop)
    _fill_carts(random.Random(seed + 2), shop)
    return shop


BIRTHDAYS = ["1990-02-28", "1992-02-29", "1985-03-01", "2001-03-04T10:00:00Z", "1970-11-30", "soon"]
ZONES = ["UTC", "Pacific/Auckland", "America/Los_Angeles", "Nowhere/Else"]


def _furnish(dice: random.Random, shop: Shop) -> None:
    """Brands, stores, places, birthdays, cards and coupons, drawn apart, so that the rest stays as it was."""
    for number, product in enumerate(shop.products):
        product |= {"brand": dice.choice(["Acme", "Bravo", None]), "sku": f"s{number}"}
    for order in shop.orders:
        order |= {
            "store_id": dice.choice(["north", "south", None]),
            "status": dice.choice(["placed"] * 5 + ["cancelled"]),
        }
        if order["status"] == "cancelled":
            order["revenue"] = Decimal(0)
    cancelled = {order["order_id"] for order in shop.orders if order["status"] == "cancelled"}
    for line in shop.lines:
        line["quantity"] = float(dice.choice([1, 1, 2]))
        if line["order_id"] in cancelled:
            line |= {"quantity": 0.0, "revenue": Decimal(0)}
    for profile in shop.profiles:
        profile |= {"country": dice.choice(["IT", "FR", None]), "time_zone": dice.choice(ZONES)}
        customer = profile["customer_id"]
        told = {
            "birthday": dice.choice([*BIRTHDAYS, None]),
            "latitude": dice.choice([41.9, 45.46, 40.85]),
            "longitude": dice.choice([12.5, 9.19, 14.27]),
            "loyalty_tier": dice.choice(["gold", "silver"]),
            "loyalty_points": dice.choice([0, 90, 250]),
        }
        for name, value in told.items():
            if dice.random() < 0.7:
                shop.traits.append(
                    {"identifier_id": customer * 10, "customer_id": customer, "name": name}
                    | {"value": None if value is None else msgspec.json.encode(value).decode()}
                    | {"occurred_at": TODAY, "event_id": "t"}
                )
        for number in range(dice.choice([1, 1, 2])):
            namespace, value = ("user_id", f"u{customer}") if number == 0 else ("loyalty_card", f"k{customer}")
            shop.identifiers.append(
                {"identifier_id": customer * 10 + number, "namespace": namespace, "value": value}
                | {"customer_id": customer, "first_seen_at": TODAY, "revision": 1}
            )
        for number in range(dice.randrange(5)):
            shop.coupons.append(
                {"event_id": f"k{customer}-{number}", "source_id": 1, "identifier_id": customer, "channel": "web"}
                | {"customer_id": customer, "coupon": dice.choice(["SPRING", "SUMMER"])}
                | {"action": dice.choice(["entered", "applied", "removed", "denied", "redeemed"])}
                | {"occurred_at": TODAY - timedelta(days=dice.randrange(-1, 40))}
            )


def _fill_carts(dice: random.Random, shop: Shop) -> None:
    """Carts of the last days, some empty, some bought by a device that said so."""
    for customer in CUSTOMERS:
        for number in range(dice.randrange(3)):
            cart = {"cart_id": f"c{number}-{customer}", "source_id": 1, "customer_id": customer}
            cart |= {"identifier_id": customer, "updated_at": TODAY - timedelta(minutes=dice.randrange(-60, 6000))}
            products = dice.sample([f"p{n}" for n in range(13)], dice.randrange(4))
            shop.cart_lines += [
                {**cart, "product_id": one, "quantity": 1.0, "value": Decimal(10 + index)}
                for index, one in enumerate(products)
            ]
            shop.carts.append(
                {
                    **cart,
                    "channel": "web",
                    "items": float(len(products)),
                    "state": dice.choice(["open", "open", "converted"]),
                }
                | {"value": sum((Decimal(10 + index) for index in range(len(products))), Decimal(0))}
            )


def _give_traits(dice: random.Random, traits: list[Row], customer: int) -> None:
    """Traits of one or two identifiers of the customer; null takes one back, and some come at the same instant."""
    choices: dict[str, list[Any]] = {
        "city": ["Roma", "Iași", "القاهرة", 'Reggio "nell\'Emilia"', None],
        "age": [17, 30, 30.0, 64.5, "unknown"],
        "vip": [True, False, None],
        "likes": [["tea", "wine"], ["wine cooler"], "wine and tea", []],
    }
    for name, values in choices.items():
        for number in range(dice.choice([0, 1, 1, 2])):
            value = dice.choice(values)
            traits.append(
                {"identifier_id": customer * 10 + number, "customer_id": customer, "name": name}
                | {"value": None if value is None else msgspec.json.encode(value).decode()}
                | {"occurred_at": TODAY - timedelta(days=dice.randrange(2)), "event_id": f"t{number}"}
            )


def fill(warehouse: Warehouse, shop: Shop) -> None:
    """Puts the shop into a warehouse."""
    tables: list[tuple[Facts, list[Row]]] = [
        (PRODUCTS, shop.products),
        (PROFILES, shop.profiles),
        (ORDERS, shop.orders),
        (ORDER_LINES, shop.lines),
        (EVENTS, shop.events),
        (TRAITS, shop.traits),
        (CONSENTS, shop.consents),
        (ADDRESSES, shop.addresses),
        (SUPPRESSIONS, shop.suppressions),
        (MESSAGES, shop.messages),
        (MESSAGE_EVENTS, shop.news),
        (COUPON_EVENTS, shop.coupons),
        (IDENTIFIERS, shop.identifiers),
        (CARTS, shop.carts),
        (CART_LINES, shop.cart_lines),
    ]
    for facts, rows in tables:
        warehouse.append(facts, facts.arrow({name: [row.get(name) for row in rows] for name in facts.columns}))
