"""What a customer likes to buy: a category on so many lines, for so large a share of the spend, most of all."""

from typing import Literal

import ibis

from onevoice.catalog.facts import ORDER_LINES, PRODUCTS
from onevoice.catalog.orders import kept
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.kind import Kind, Measured, Number, Reads, Scope, reading
from onevoice.segments.conditions.windows import Windowed, check_window, inside, is_relative


class Category(Windowed, frozen=True, kw_only=True):
    """A category bought: on so many order lines, or so large a share of the spend, or more than any other (`top`)."""

    name: str
    measure: Literal["lines", "share", "top"] = "lines"
    at_least: Number = 1


class Brand(Category, frozen=True, kw_only=True):
    """A brand bought, in the same ways as a category."""


def _measured(asked: Category, scope: Scope) -> Measured:
    of = "brand" if isinstance(asked, Brand) else "category"
    products = scope.warehouse.table(PRODUCTS)
    products = products.select("product_id", group=products[of])
    rows = kept(inside(scope, scope.table(ORDER_LINES), "ordered_at", asked))
    if asked.measure == "lines":
        of_it = rows.semi_join(products.filter(products.group == asked.name), "product_id")
        counted = of_it.group_by("customer_id").aggregate(lines=of_it.count())
        return Measured(counted, counted.lines >= asked.at_least)
    if asked.measure == "share":
        # What the catalogue does not know was bought all the same: it counts in the whole, in no group.
        bought = rows.left_join(products, "product_id")
        spent = bought.group_by("customer_id").aggregate(
            inside=bought.revenue.sum(where=bought.group == asked.name).cast("float64"),
            total=bought.revenue.sum().cast("float64"),
        )
        return Measured(spent, (spent.total > 0) & (spent.inside >= spent.total * asked.at_least))
    known = rows.join(products.filter(products.group.notnull()), "product_id")
    spent = known.group_by("customer_id", "group").aggregate(lines=known.count(), revenue=known.revenue.sum())
    first = spent.mutate(
        rank=ibis.row_number().over(
            group_by="customer_id", order_by=[ibis.desc("lines"), ibis.desc("revenue"), spent.group]
        )
    )
    top = first.filter(first["rank"] == 0).drop("rank").rename({of: "group"})
    return Measured(top, top[of] == asked.name)


def _check(asked: Category, here: str) -> None:
    check_window(asked, here)
    if asked.measure != "top" and (asked.at_least <= 0 or (asked.measure == "share" and asked.at_least > 1)):
        allowed = "above 0 and up to 1" if asked.measure == "share" else "1 or more"
        raise InvalidInput(f"{here}.at_least: expected {allowed}; got {asked.at_least}")


def _reads(asked: Category) -> Reads:
    return reading(ORDER_LINES, PRODUCTS, windows=is_relative(asked))


AFFINITY_KINDS = (
    Kind("category", Category, _measured, _reads, _check),
    Kind("brand", Brand, _measured, _reads, _check),
)
