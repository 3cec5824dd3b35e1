"""Products on their way into the warehouse: the newest state per product stays."""

from collections.abc import Sequence

import ibis
import msgspec

from onevoice.catalog.facts import PRODUCTS
from onevoice.catalog.schemas import ProductEntry
from onevoice.database.inbox import Entry
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse

_product = msgspec.json.Decoder(ProductEntry)


def load(warehouse: Warehouse, entries: Sequence[Entry]) -> None:
    """Takes products in."""
    newest: dict[str, ProductEntry] = {}
    for entry in entries:
        product = _product.decode(entry.payload)
        held = newest.get(product.product_id)
        if held is None or held.occurred_at <= product.occurred_at:
            newest[product.product_id] = product
    if not newest:
        return
    rows = newest.values()
    columns: dict[str, list[object]] = {
        name: [getattr(row, name) for row in rows]
        for name in ("product_id", "name", "brand", "category", "department", "url")
    }
    columns["updated_at"] = [naive(row.occurred_at) for row in rows]
    columns |= {name: [None] * len(newest) for name in ("sku", "variant", "price", "image_url")}
    fresh = warehouse.stage("fresh_products", PRODUCTS.arrow(columns))
    held_rows = warehouse.table(PRODUCTS).semi_join(fresh, "product_id")
    both = held_rows.union(fresh)
    ranked = both.mutate(
        rank=ibis.row_number().over(group_by="product_id", order_by=[ibis.desc(both.updated_at), both.name])
    )
    warehouse.replace(PRODUCTS, ["product_id"], ranked.filter(ranked.rank == 0).drop("rank"))
