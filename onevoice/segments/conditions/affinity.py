"""What a customer likes to buy: a category on so many lines, for so large a share of the spend, most of all."""

from typing import Literal

import ibis

from onevoice.catalog.facts import ORDER_LINES, PRODUCTS
from onevoice.catalog.orders import kept
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.kind import Asked, Kind, Measured, Number, Scope, reading
from onevoice.segments.conditions.windows import days, since


class Category(Asked, frozen=True):
    """A category bought: on so many order lines, or so large a share of the spend, or more than any other (`top`)."""

    name: str
    measure: Literal["lines", "share", "top"] = "lines"
    at_least: Number = 1
    within: str | None = None


def _measured(asked: Category, scope: Scope) -> Measured:
    products = scope.warehouse.table(PRODUCTS).select("product_id", "category")
    rows = kept(since(scope, scope.table(ORDER_LINES), "ordered_at", asked.within))
    if asked.measure == "lines":
        inside = rows.semi_join(products.filter(products.category == asked.name), "product_id")
        counted = inside.group_by("customer_id").aggregate(lines=inside.count())
        return Measured(counted, counted.lines >= asked.at_least)
    # What the catalogue does not know was bought all the same: it counts in the whole, in no category.
    bought = rows.left_join(products, "product_id")
    if asked.measure == "share":
        spent = bought.group_by("customer_id").aggregate(
            inside=bought.revenue.sum(where=bought.category == asked.name).cast("float64"),
            total=bought.revenue.sum().cast("float64"),
        )
        return Measured(spent, (spent.total > 0) & (spent.inside >= spent.total * asked.at_least))
    known = bought.filter(bought.category.notnull())
    spent = known.group_by("customer_id", "category").aggregate(lines=known.count(), revenue=known.revenue.sum())
    first = spent.mutate(
        rank=ibis.row_number().over(
            group_by="customer_id", order_by=[ibis.desc("lines"), ibis.desc("revenue"), spent.category]
        )
    )
    top = first.filter(first["rank"] == 0).drop("rank")
    return Measured(top, top.category == asked.name)


def _check(asked: Category, here: str) -> None:
    if asked.within is not None:
        days(asked.within, f"{here}.within")
    if asked.measure != "top" and (asked.at_least <= 0 or (asked.measure == "share" and asked.at_least > 1)):
        allowed = "above 0 and up to 1" if asked.measure == "share" else "1 or more"
        raise InvalidInput(f"{here}.at_least: expected {allowed}; got {asked.at_least}")


AFFINITY_KINDS = (
    Kind(
        "category",
        Category,
        _measured,
        lambda asked: reading(ORDER_LINES, PRODUCTS, windows=asked.within is not None),
        _check,
    ),
)
