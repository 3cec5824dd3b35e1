"""What became of a customer's carts: still open, abandoned for so long, or bought, as catalog.carts has it."""

from datetime import timedelta

import msgspec

from onevoice.catalog.carts import ABANDONED_AFTER, State, standing
from onevoice.catalog.facts import CART_LINES, CARTS, ORDERS, PRODUCTS
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.kind import Kind, Measured, Number, Reads, Scope, reading
from onevoice.segments.conditions.sources import PRODUCT_COLUMNS, column
from onevoice.segments.conditions.values import Where, as_filter, check_where, compared
from onevoice.segments.conditions.windows import Windowed, bounds, check_window, days, inside

CONTENTS = ("product_id", "quantity", *PRODUCT_COLUMNS)
"""What `contains` may ask of a line in the cart."""


class Cart(Windowed, frozen=True, kw_only=True):
    """Has a cart in a state, of a value from `at_least` to `at_most`, with a line that `contains` describes.

    An open cart left alone for `abandoned_after` (an hour, unless said) is abandoned. The span of time is that of the
    cart's last change.
    """

    state: State
    abandoned_after: str | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    contains: Where = msgspec.field(default_factory=dict)


def _measured(asked: Cart, scope: Scope) -> Measured:
    after, _ = bounds(asked, scope.now)
    carts = scope.narrowed(standing(scope.warehouse, asked.state, scope.now, _patience(asked), after))
    carts = inside(scope, carts, "updated_at", asked)
    if asked.at_least is not None:
        carts = carts.filter(carts.value >= asked.at_least)
    if asked.at_most is not None:
        carts = carts.filter(carts.value <= asked.at_most)
    if asked.contains:
        lines = scope.table(CART_LINES).select("cart_id", "source_id", "product_id", "quantity")
        products = scope.warehouse.table(PRODUCTS).select("product_id", *PRODUCT_COLUMNS)
        lines = lines.left_join(products, "product_id").drop("product_id_right")
        for name, wanted in asked.contains.items():
            lines = lines.filter(*compared(column(lines, name), as_filter(wanted)))
        carts = carts.semi_join(lines, ["source_id", "cart_id"])
    found = carts.group_by("customer_id").aggregate(
        carts=carts.count(), value=carts.value.max().cast("float64"), updated_at=carts.updated_at.max()
    )
    return Measured(found, found.carts > 0)


def _patience(asked: Cart) -> timedelta:
    return ABANDONED_AFTER if asked.abandoned_after is None else days(asked.abandoned_after)


def _reads(asked: Cart) -> Reads:
    of_lines = (CART_LINES, PRODUCTS) if asked.contains else ()
    return reading(CARTS, ORDERS, *of_lines, windows=True)


def _check(asked: Cart, here: str) -> None:
    check_window(asked, here)
    check_where(asked.contains, f"{here}.contains")
    if asked.abandoned_after is not None:
        days(asked.abandoned_after, f"{here}.abandoned_after")
    for name in asked.contains:
        if name not in CONTENTS:
            raise InvalidInput(f"{here}.contains: a cart's lines have no {name!r}; they have {', '.join(CONTENTS)}")


CART = Kind("cart", Cart, _measured, _reads, _check)
