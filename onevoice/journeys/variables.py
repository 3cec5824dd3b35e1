"""What personalises a message, looked up for all planned messages at once and frozen with each as JSON.

Built in the warehouse, text by text: a million messages are a million rows of one column, and never Python's objects.
What no template asks for is not looked up.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
import msgspec

from onevoice.catalog.facts import ORDER_LINES, PRODUCTS
from onevoice.catalog.favourites import NAMED, favourites
from onevoice.catalog.recommendations import frequent
from onevoice.customers.facts import PROFILES
from onevoice.events.commerce import SHOWN as VIEWS
from onevoice.events.facts import EVENTS
from onevoice.journeys.begun import begun, instant
from onevoice.journeys.laid import Laid
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse

PRODUCT_LISTS = ("recommended", "viewed")

OPTIONAL = (*PRODUCT_LISTS, "traits", "event")
"""What is looked up only where a template asks for it."""

PRODUCTS_SHOWN = 6
"""How many products are recommended, and how many of those seen lately are named."""

VIEWED_WITHIN = timedelta(days=30)
"""What was looked at longer ago is not called recent."""


def personalised(
    warehouse: Warehouse, planned: ir.Table, asked: Collection[str], journeys: Sequence[Laid] = ()
) -> ir.Table:
    """The planned messages, each with `variables`: a JSON object of

    - `customer`: first_name, last_name, locale, country, favourite_category, products (names of what they buy most);
      with `traits` asked, also those, all of them
    - `favourite`: category, products; `journey`: its name; `planned_at`: an instant in UTC
    - `coupon`: code; null where the message gives none
    - `recommended`, `viewed`, where they are among `asked`: products with product_id, name, brand, category, url,
      image_url, price; the most fitting and the last seen first
    - `event`, where it is asked: the one by which they came in (begun.py); null where none did
    """
    customers = warehouse.stage("written_to", planned.select("customer_id").distinct())
    named = favourites(warehouse.table(ORDER_LINES), warehouse.table(PRODUCTS), customers)
    profiles = warehouse.table(PROFILES).select("customer_id", "first_name", "last_name", "country", "traits")
    rows = planned.left_join(profiles, "customer_id").drop("customer_id_right")
    rows = rows.left_join(named, "customer_id").drop("customer_id_right")
    lists = {name: _look_up(warehouse, name, customers) for name in PRODUCT_LISTS if name in asked}
    for name, found in lists.items():
        rows = rows.left_join(found.rename({name: "products"}), "customer_id").drop("customer_id_right")
    if "event" in asked:
        by = begun(warehouse, planned, journeys)
        keys = ("enrolment_id", "customer_id")
        rows = rows.left_join(by, keys).drop(*(f"{key}_right" for key in keys))
    text = warehouse.json_string
    traits = {"traits": ibis.coalesce(rows.traits, "{}")} if "traits" in asked else {}
    products = [rows[f"product_{place + 1}"] for place in range(NAMED)]
    members = {
        "customer": warehouse.json_object(
            first_name=text(rows.first_name),
            last_name=text(rows.last_name),
            locale=text(rows.locale),
            country=text(rows.country),
            favourite_category=text(rows.category),
            products=_array([warehouse.json_object(name=text(one)) for one in products], products),
            **traits,
        ),
        "favourite": warehouse.json_object(
            category=text(rows.category), products=_array([text(one) for one in products], products)
        ),
        "journey": text(rows.journey),
        "coupon": _coupon(warehouse, rows),
        "planned_at": text(instant(rows.planned_at)),
        **{name: ibis.coalesce(rows[name], "[]") for name in lists},
        **({"event": ibis.coalesce(rows.event, "null")} if "event" in asked else {}),
    }
    return rows.mutate(variables=warehouse.json_object(**members)).select(*planned.columns, "variables")


def variables_for(
    warehouse: Warehouse, customers: Collection[int], now: datetime, journey: Laid | None = None
) -> dict[int, dict[str, Any]]:
    """By customer, the variables that a message of a journey (or of none) planned now would have; all that can be
    looked up is, with their newest event of the kind that lets people in."""
    profiles = warehouse.table(PROFILES)
    wanted = profiles.filter(profiles.customer_id.isin(list(customers))).select("customer_id", "locale")
    planned = wanted.mutate(
        journey=ibis.literal(journey.name if journey else ""),
        enrolment_id=ibis.literal(""),
        planned_at=ibis.literal(naive(now)),
    )
    rows = warehouse.rows(
        personalised(warehouse, planned, OPTIONAL, [journey] if journey else []).select("customer_id", "variables")
    )
    return {row["customer_id"]: msgspec.json.decode(row["variables"]) for row in rows}


def _coupon(warehouse: Warehouse, rows: ir.Table) -> ir.StringValue:
    if "coupon" not in rows.columns:  # of messages that nobody has planned
        return ibis.literal("null")
    code = ibis.coalesce(rows.coupon, "")
    return ibis.ifelse(code == "", "null", warehouse.json_object(code=warehouse.json_string(code)))


def _look_up(warehouse: Warehouse, name: str, customers: ir.Table) -> ir.Table:
    """customer_id, products: a JSON array."""
    if name == "recommended":
        placed = frequent(warehouse, warehouse.table(ORDER_LINES), customers, PRODUCTS_SHOWN)
    else:
        placed = _viewed(warehouse, customers)
    described = placed.join(_described(warehouse), "product_id")
    wide = described.group_by("customer_id").aggregate(
        **{f"at_{place}": described.product.max(where=described.place == place) for place in range(PRODUCTS_SHOWN)}
    )
    places = [wide[f"at_{place}"] for place in range(PRODUCTS_SHOWN)]
    return warehouse.stage(f"{name}_products", wide.select("customer_id", products=_array(places, places)))


def _viewed(warehouse: Warehouse, customers: ir.Table) -> ir.Table:
    """customer_id, place, product_id: the products each looked at last."""
    events = warehouse.table(EVENTS)
    seen = events.filter(events.name.isin(sorted(VIEWS)), events.type == "track").semi_join(customers, "customer_id")
    newest = seen.occurred_at.max().over()
    recent = seen.mutate(newest=newest, product_id=warehouse.json_text(seen.properties, "product_id"))
    recent = recent.filter(
        recent.product_id.notnull(),
        recent.occurred_at > recent.newest - ibis.interval(seconds=int(VIEWED_WITHIN.total_seconds())),
    )
    last = recent.group_by("customer_id", "product_id").aggregate(at=recent.occurred_at.max())
    order = [ibis.desc("at"), last.product_id]
    ranked = last.mutate(place=ibis.row_number().over(group_by="customer_id", order_by=order))
    return ranked.filter(ranked.place < PRODUCTS_SHOWN).select("customer_id", "place", "product_id")


def _described(warehouse: Warehouse) -> ir.Table:
    """product_id, product: each as JSON, written once and not once a customer."""
    products = warehouse.table(PRODUCTS)
    texts = {
        name: warehouse.json_string(products[name])
        for name in ("product_id", "name", "brand", "category", "url", "image_url")
    }
    price = ibis.coalesce(products.price.cast("string"), "null")
    described = products.select("product_id", product=warehouse.json_object(**texts, price=price))
    return warehouse.stage("described_products", described)


def _array(values: list[ir.StringValue], present: list[ir.StringValue]) -> ir.StringValue:
    """A JSON array of the values that are `present`."""
    pieces = [
        ibis.ifelse(there.isnull(), "", ibis.literal(",") + one) for one, there in zip(values, present, strict=True)
    ]
    joined = ibis.literal("").join(pieces)
    return ibis.literal("[") + joined.substr(1) + "]"
