"""A cart holds what its events say by their time, whatever came first, on both stores; when it is abandoned."""

from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onevoice.catalog.carts import State, standing
from onevoice.catalog.facts import CART_EVENTS, CART_LINES, CARTS
from onevoice.kernel.clock import aware
from onevoice.warehouse import Warehouse
from tests.catalog.telling import TODAY, Row, completed, everything, forget, tell, told, tried

HOUR = timedelta(hours=1)


def added(event_id: str, hours: int = 0, product: str = "p1", **changes: Any) -> Any:
    """One of the product at 10.00 into the cart c1."""
    properties = {"cart_id": "c1", "product_id": product, "price": 10, **changes}
    return told("Product Added", event_id, TODAY + hours * HOUR, **properties)


def removed(event_id: str, hours: int, **changes: Any) -> Any:
    properties = {"cart_id": "c1", "product_id": "p1", **changes}
    return told("Product Removed", event_id, TODAY + hours * HOUR, **properties)


def inside(store: Warehouse) -> dict[str, dict[str, float]]:
    """Product and quantity per cart."""
    found: dict[str, dict[str, float]] = {row["cart_id"]: {} for row in store.rows(store.table(CARTS))}
    for row in store.rows(store.table(CART_LINES)):
        found[row["cart_id"]][row["product_id"]] = row["quantity"]
    return found


def cart(store: Warehouse) -> Row:
    (row,) = store.rows(store.table(CARTS))
    return row


def states(store: Warehouse, hours: float) -> dict[str, str]:
    """Each cart's state so many hours after the beginning."""
    now = aware(TODAY + hours * HOUR)
    found = [(row["cart_id"], state) for state in get_args(State) for row in store.rows(standing(store, state, now))]
    assert len(found) == len(dict(found))  # no cart is in two states
    return dict(found)


def test_a_cart_has_what_was_added_and_not_removed(store: Warehouse) -> None:
    tell(store, added("e1", quantity=3), added("e2", 1, "p2", price=5), removed("e3", 2, quantity=1))
    assert inside(store) == {"c1": {"p1": 2.0, "p2": 1.0}}
    row = cart(store)
    assert (float(row["value"]), row["items"], row["state"], row["updated_at"]) == (25.0, 3.0, "open", TODAY + 2 * HOUR)


def test_a_cart_is_worth_its_newest_prices(store: Warehouse) -> None:
    tell(store, added("e1", price=10), added("e2", 2, price=8), added("e3", 1, price=12), added("e4", 3, price=None))
    assert (cart(store)["items"], float(cart(store)["value"])) == (4.0, 32.0)


def test_a_removal_takes_no_more_than_there_is(store: Warehouse) -> None:
    tell(store, added("e1"), removed("e2", 1, quantity=5), added("e3", 2, quantity=2))
    assert inside(store) == {"c1": {"p1": 2.0}}
    tell(store, removed("e4", 3))
    assert inside(store) == {"c1": {}}
    tell(store, added("e5", 4))
    assert inside(store) == {"c1": {"p1": 1.0}}


def test_a_view_and_a_checkout_tell_the_whole_content(store: Warehouse) -> None:
    tell(store, added("e1"), added("e2", 0, "p2"))
    products = [{"product_id": "p2", "quantity": 4, "price": 2}, {"product_id": "p2", "quantity": 1}]
    tell(store, told("Cart Viewed", "e3", TODAY + HOUR, cart_id="c1", products=products), added("e4", 2, "p3"))
    assert inside(store) == {"c1": {"p2": 5.0, "p3": 1.0}}
    started = told("Checkout Started", "e5", TODAY + 3 * HOUR, order_id="o1", checkout_id="x", products=products[:1])
    tell(store, started)
    row = cart(store)
    assert inside(store) == {"c1": {"p2": 4.0}}
    assert (row["checkout_at"], row["order_id"], row["checkout_id"]) == (TODAY + 3 * HOUR, "o1", "x")
    tell(store, told("Cart Viewed", "e6", TODAY + 4 * HOUR, cart_id="c1", products=[]))
    assert inside(store) == {"c1": {}}


def test_a_call_that_names_no_cart_belongs_to_the_one_named_last_or_to_the_identifiers_own(store: Warehouse) -> None:
    tell(store, added("e1", 1, cart_id=None))
    assert inside(store) == {"identifier-1": {"p1": 1.0}}
    tell(store, added("e2", 0, "p2"))  # late: the cart had been named before
    assert inside(store) == {"c1": {"p1": 1.0, "p2": 1.0}}
    tell(store, added("e3", 2, "p3", customer=2, cart_id=None))
    assert inside(store)["identifier-2"] == {"p3": 1.0}


def test_of_two_lines_of_one_product_the_last_says_the_price(store: Warehouse) -> None:
    lines = [{"product_id": "p1", "price": price} for price in (10, 12, 8)]
    tell(store, told("Cart Viewed", "e1", TODAY, cart_id="c1", products=lines))
    assert (cart(store)["items"], float(cart(store)["value"])) == (3.0, 24.0)


def test_an_order_converts_the_cart_and_what_comes_next_begins_an_empty_one(store: Warehouse) -> None:
    tell(store, added("e1"), completed("e2", TODAY + HOUR))
    assert (cart(store)["state"], cart(store)["order_id"]) == ("converted", "o1")
    assert inside(store) == {"c1": {"p1": 1.0}}  # what was bought
    tell(store, added("e3", 2, "p9"))
    assert cart(store)["state"] == "open"
    assert inside(store) == {"c1": {"p9": 1.0}}


def test_an_order_that_names_the_cart_converts_it_whoever_tells(store: Warehouse) -> None:
    tell(store, added("e1"))
    tell(store, completed("e2", TODAY + HOUR, customer=2, cart_id="c1"))
    assert cart(store)["state"] == "converted"


def test_a_cart_left_alone_is_abandoned_unless_it_is_empty_or_bought_elsewhere(store: Warehouse) -> None:
    tell(store, added("e1"))
    tell(store, added("e2", customer=2, cart_id="c2"), removed("e3", 0, customer=2, cart_id="c2"))
    tell(store, added("e4", customer=3, cart_id="c3"))
    assert states(store, 0.5) == {"c1": "open", "c2": "open", "c3": "open"}
    assert states(store, 1) == {"c1": "abandoned", "c2": "open", "c3": "abandoned"}
    # On another device, by somebody not known to be the same: the checkout says so.
    tell(store, told("Checkout Started", "e5", TODAY + HOUR, cart_id="c1", checkout_id="x1"))
    tell(store, completed("e6", TODAY + 2 * HOUR, customer=9, checkout_id="x1"))
    assert states(store, 1.5)["c1"] == "open"
    assert states(store, 9) == {"c1": "converted", "c2": "open", "c3": "abandoned"}
    tell(store, completed("e7", TODAY + 3 * HOUR, order_id="o7", customer=3, source=2))
    assert states(store, 9)["c3"] == "abandoned"  # what one buys at the till does not empty the cart online


@pytest.mark.parametrize("name", ["Wishlist Product Added to Cart", "Product Added"])
def test_a_wish_goes_into_the_cart_too(store: Warehouse, name: str) -> None:
    tell(store, told(name, "e1", cart_id="c1", product_id="p1", wishlist_id="w"))
    assert inside(store) == {"c1": {"p1": 1.0}}


LINE = {"product_id": st.sampled_from(["p1", "p2"])}
MORE = {"quantity": st.integers(0, 3), "price": st.sampled_from([1, 2.5])}
EVENT = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["Product Added", "Product Added", "Product Removed", "Order Completed"])
        | st.sampled_from(["Cart Viewed", "Checkout Started"]),
        "hours": st.integers(0, 4),
        "customer": st.sampled_from([1, 2]),
        "cart_id": st.sampled_from(["c1", "c2", None]),
        **LINE,
    },
    optional={**MORE, "products": st.lists(st.fixed_dictionaries(LINE, optional=MORE), max_size=2)},
)


def by_hand(said: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """What is in each cart, one event after the other."""
    named: dict[int, str] = {}
    carts: dict[str, dict[str, float]] = {}
    ordered: set[str] = set()
    for _, one in sorted(enumerate(said), key=lambda item: (item[1]["hours"], f"e{item[0]}")):
        customer = one["customer"]
        if one["cart_id"]:
            named[customer] = one["cart_id"]
        name = named.get(customer, f"identifier-{customer}")
        if one["name"] == "Order Completed":
            if name in carts:
                ordered.add(name)
            continue
        products = one.get("products")
        if one["name"] == "Cart Viewed" and products is None:
            if one["cart_id"]:
                named[customer] = one["cart_id"]
            continue
        held = carts.setdefault(name, {})
        if one["name"] == "Checkout Started" and not products:
            continue
        if name in ordered:
            held.clear()
            ordered.discard(name)
        if products is not None and one["name"] in ("Cart Viewed", "Checkout Started"):
            held.clear()
            for line in products:
                held[line["product_id"]] = held.get(line["product_id"], 0) + line.get("quantity", 1)
        elif one["name"] == "Product Added":
            held[one["product_id"]] = held.get(one["product_id"], 0) + one.get("quantity", 1)
        else:
            there = held.get(one["product_id"], 0)
            held[one["product_id"]] = max(0, there - one.get("quantity", there))
    return {name: {product: n for product, n in held.items() if n} for name, held in carts.items()}


def test_carts_equal_one_event_after_the_other_in_whatever_order_they_come(store: Warehouse) -> None:
    @tried(store)
    @given(st.lists(EVENT, min_size=1, max_size=8), st.randoms(use_true_random=False))
    def check(said: list[dict[str, Any]], dice: Any) -> None:
        # A view that tells nothing is no word about the cart, nor one that names it.
        said = [one for one in said if one["name"] != "Cart Viewed" or "products" in one]
        if not said:
            return
        events = [
            told(one["name"], f"e{number}", TODAY + one["hours"] * HOUR, **rest)
            for number, one in enumerate(said)
            for rest in [{name: value for name, value in one.items() if name not in ("name", "hours")}]
        ]
        forget(store)
        tell(store, *events)
        assert inside(store) == by_hand(said)
        at_once = everything(store, CARTS, CART_LINES, CART_EVENTS)
        forget(store)
        late = [*events, *dice.choices(events, k=2)]
        dice.shuffle(late)
        while late:
            size = dice.randint(1, 4)
            tell(store, *late[:size])
            late = late[size:]
        assert everything(store, CARTS, CART_LINES, CART_EVENTS) == at_once

    check()
