"""The catalogue is the newest word per field, whoever came first; the shop's own word goes before a browser's."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from onevoice import warehouse
from onevoice.catalog.facts import PRODUCT_FIELDS, PRODUCTS
from onevoice.catalog.load import ProductSaid, take
from onevoice.warehouse import Warehouse
from tests.conftest import NOW

DAY = timedelta(days=1)
TODAY = NOW.replace(tzinfo=None)


def said(at: datetime = TODAY, own: bool = False, **fields: Any) -> dict[ProductSaid, datetime]:
    words = dict.fromkeys(("name", "brand", "category", "department", "url")) | fields
    return {ProductSaid(product_id="p", is_own=own, **words): at}


def product(store: Warehouse) -> dict[str, Any]:
    (row,) = store.rows(store.table(PRODUCTS))
    return {name: value for name, value in row.items() if value is not None}


def test_an_event_fills_in_what_the_catalogue_does_not_say_and_takes_nothing_away(store: Warehouse) -> None:
    take(store, said(TODAY - DAY, own=True, name="Pecorino", category="Cheese"))
    take(store, said(name="PECORINO!!", brand="Sarda", price=9.9))
    take(store, said(TODAY + DAY, own=True, name="Pecorino Romano"))
    assert product(store) == {
        "product_id": "p",
        "name": "Pecorino Romano",
        "category": "Cheese",
        "brand": "Sarda",
        "price": Decimal("9.9"),
        "updated_at": TODAY + DAY,
    }


def test_a_product_without_a_name_is_not_in_the_catalogue_yet(store: Warehouse) -> None:
    take(store, said(category="Cheese"))
    assert store.count(store.table(PRODUCTS)) == 0
    take(store, said(TODAY - DAY, name="Pecorino"))
    assert product(store)["category"] == "Cheese"


WORDS = st.builds(
    lambda days, own, fields: said(TODAY + days * DAY, own, **fields),
    st.integers(0, 3),
    st.booleans(),
    st.fixed_dictionaries({}, optional={name: st.sampled_from(["a", "b"]) for name in ("name", "brand", "url")}),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(WORDS, max_size=6), st.randoms())
def test_the_catalogue_does_not_depend_on_the_order_of_arrival(words: list[Any], dice: Any) -> None:
    found = []
    for _ in range(2):
        store = warehouse.connect("duckdb://")
        store.create((PRODUCTS, PRODUCT_FIELDS))
        for one in words:
            take(store, one)
        tables = [store.table(PRODUCTS).order_by("product_id"), store.table(PRODUCT_FIELDS).order_by("field")]
        found.append([store.rows(table) for table in tables])
        store.close()
        dice.shuffle(words)
    assert found[0] == found[1]
