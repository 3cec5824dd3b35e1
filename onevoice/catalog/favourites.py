"""What a customer buys most often: the plainest recommendation, and on baskets the one to beat."""

import ibis
import ibis.expr.types as ir

from onevoice.catalog.orders import kept

NAMED = 3
"""How many products are named."""


def favourites(lines: ir.Table, products: ir.Table, customers: ir.Table) -> ir.Table:
    """customer_id, category, product_1 .. product_3 (names) for those `customers` (customer_id) who bought something.

    The category in which they bought on most lines, and the products on most of their lines, without what came back;
    ties go to the higher revenue, then to the name. "What they bought most often" beat ALS and item neighbours on both
    basket sets tried.
    """
    bought = (
        kept(lines)
        .semi_join(customers, "customer_id")
        .join(products.select("product_id", "name", "category"), "product_id")
    )
    by_product = bought.group_by("customer_id", "name").aggregate(times=bought.count(), revenue=bought.revenue.sum())
    named = by_product.mutate(rank=_rank(by_product, "name"))
    categorised = bought.filter(bought.category.notnull())
    by_category = categorised.group_by("customer_id", "category").aggregate(
        times=categorised.count(), revenue=categorised.revenue.sum()
    )
    first = by_category.mutate(rank=_rank(by_category, "category"))
    top = first.filter(first.rank == 0).select("customer_id", "category")
    wide = named.group_by("customer_id").aggregate(
        **{f"product_{place + 1}": named.name.max(where=named["rank"] == place) for place in range(NAMED)}
    )
    return wide.left_join(top, "customer_id").drop("customer_id_right")


def _rank(rows: ir.Table, name: str) -> ir.IntegerColumn:
    order = [ibis.desc("times"), ibis.desc("revenue"), rows[name]]
    return ibis.row_number().over(group_by="customer_id", order_by=order)
