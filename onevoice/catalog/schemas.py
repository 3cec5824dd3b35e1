"""Shape in which a product enters by the inbox. Orders enter as `Order Completed` events (events/vocabulary.py)."""

from datetime import datetime

import msgspec


class ProductEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A product of the catalogue, as it is since `occurred_at`."""

    product_id: str
    name: str
    occurred_at: datetime
    brand: str | None = None
    category: str | None = None
    department: str | None = None
    url: str | None = None
