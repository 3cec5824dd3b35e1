"""What customers buy most often equals plain Python's count, on both stores, ties and all."""

from collections import defaultdict
from decimal import Decimal

import pyarrow as pa

from onevoice.catalog.facts import ORDER_LINES, PRODUCTS
from onevoice.catalog.favourites import NAMED, favourites
from onevoice.warehouse import Warehouse
from tests.segments.shop import CUSTOMERS, fill, make

SHOP = make()
ASKED = [customer for customer in CUSTOMERS if customer % 3]

Best = dict[str, tuple[int, Decimal]]


def ranked(totals: Best) -> list[str]:
    """By times bought, then revenue, then name."""
    return sorted(totals, key=lambda name: (-totals[name][0], -totals[name][1], name))


def by_hand() -> dict[int, dict[str, str | None]]:
    known = {row["product_id"]: row for row in SHOP.products}
    products: dict[int, Best] = defaultdict(lambda: defaultdict(lambda: (0, Decimal(0))))
    categories: dict[int, Best] = defaultdict(lambda: defaultdict(lambda: (0, Decimal(0))))
    for line in SHOP.lines:
        product = known.get(line["product_id"])
        if product is None or line["customer_id"] not in ASKED or line["quantity"] <= 0:
            continue
        for totals, name in ((products, product["name"]), (categories, product["category"])):
            if name is not None:
                times, revenue = totals[line["customer_id"]][name]
                totals[line["customer_id"]][name] = (times + 1, revenue + line["revenue"])
    found: dict[int, dict[str, str | None]] = {}
    for customer, totals in products.items():
        names: list[str | None] = [*ranked(totals)[:NAMED], *[None] * NAMED]
        best = ranked(categories[customer])
        found[customer] = {f"product_{place + 1}": names[place] for place in range(NAMED)}
        found[customer]["category"] = best[0] if best else None
    return found


def test_favourites_equal_plain_pythons_count(store: Warehouse) -> None:
    fill(store, SHOP)
    customers = store.stage("asked", pa.table({"customer_id": pa.array(ASKED, pa.int64())}))
    rows = store.rows(favourites(store.table(ORDER_LINES), store.table(PRODUCTS), customers))
    found = {row.pop("customer_id"): row for row in rows}
    assert len(found) == len(rows)
    assert found == by_hand()


def test_the_shop_has_what_makes_favourites_hard() -> None:
    """Fewer than three products, ties in times, products without a category, customers not asked about."""
    expected = by_hand().values()
    assert any(row["product_3"] is None for row in expected)
    assert any(row["category"] is None for row in expected)
    assert any(row["product_3"] is not None and row["category"] is not None for row in expected)
    assert {line["customer_id"] for line in SHOP.lines} - set(ASKED)
