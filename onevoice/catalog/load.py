"""Products on their way into the warehouse: per field the newest word counts, and nothing said takes nothing away.

What the shop itself says (imports, its servers, its tills) goes before what browsers and apps say, however new: whoever
has a page's write key could else rename what the shop sells.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import msgspec

from onevoice.catalog.facts import PRODUCT_FIELDS, PRODUCTS
from onevoice.catalog.schemas import ProductEntry
from onevoice.database.inbox import Entry
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse


class ProductSaid(NamedTuple):
    """What was said of a product; None where nothing was said."""

    product_id: str
    is_own: bool
    name: str | None
    brand: str | None
    category: str | None
    department: str | None
    url: str | None
    sku: str | None = None
    variant: str | None = None
    price: float | None = None
    image_url: str | None = None


FIELDS = ProductSaid._fields[2:]

_product = msgspec.json.Decoder(ProductEntry)


def load(warehouse: Warehouse, entries: Sequence[Entry]) -> None:
    """Takes catalogue entries in."""
    said: dict[ProductSaid, datetime] = {}
    for entry in entries:
        product = _product.decode(entry.payload)
        names = (product.name, product.brand, product.category, product.department, product.url)
        key, at = ProductSaid(product.product_id, True, *names), naive(product.occurred_at)
        said[key] = max(at, said.get(key, at))
    take(warehouse, said)


def take(warehouse: Warehouse, said: Mapping[ProductSaid, datetime]) -> None:
    """Takes in what was said of products, and when it was last said."""
    newest: dict[tuple[str, str], tuple[bool, datetime, str]] = {}
    for product, at in said.items():
        for field, value in zip(FIELDS, product[2:], strict=True):
            if value is not None:
                word = (product.is_own, at, str(value))
                key = (product.product_id, field)
                if key not in newest or newest[key] < word:
                    newest[key] = word
    if not newest:
        return
    fresh = warehouse.stage(
        "fresh_product_fields",
        PRODUCT_FIELDS.arrow(
            {
                "product_id": [product for product, _ in newest],
                "field": [field for _, field in newest],
                "value": [value for *_, value in newest.values()],
                "is_own": [is_own for is_own, *_ in newest.values()],
                "occurred_at": [at for _, at, _ in newest.values()],
            }
        ),
    )
    held = warehouse.table(PRODUCT_FIELDS).semi_join(fresh, "product_id")
    both = held.mutate(is_fresh=False).union(fresh.mutate(is_fresh=True))
    order = [ibis.desc("is_own"), ibis.desc("occurred_at"), ibis.desc("value"), both.is_fresh]
    ranked = both.mutate(place=ibis.row_number().over(group_by=["product_id", "field"], order_by=order))
    won = ranked.filter(ranked.place == 0, ranked.is_fresh)
    newer = warehouse.stage("newer_product_fields", won.select(*PRODUCT_FIELDS.columns))
    if warehouse.count(newer):
        warehouse.replace(PRODUCT_FIELDS, ["product_id", "field"], newer)
        warehouse.replace(PRODUCTS, ["product_id"], _products(warehouse, newer))


def _products(warehouse: Warehouse, touched: ir.Table) -> ir.Table:
    """The rows of the products in `touched`. One without a name is none yet: there would be nothing to call it."""
    fields, held = warehouse.table(PRODUCT_FIELDS), warehouse.table(PRODUCTS)
    mine = fields.semi_join(touched, "product_id")
    wide = mine.group_by("product_id").aggregate(
        **{field: mine.value.max(where=mine.field == field) for field in FIELDS},
        updated_at=mine.occurred_at.max(),
    )
    before = held.semi_join(touched, "product_id")
    both = wide.left_join(before, "product_id", rname="held_{name}")
    columns = {field: both[field].cast(held[field].type()) for field in FIELDS}
    rows = both.select(
        "product_id",
        **{field: ibis.coalesce(value, both[f"held_{field}"]) for field, value in columns.items()},
        updated_at=both.updated_at,
    )
    return rows.filter(rows.name.notnull()).select(*PRODUCTS.columns)
