"""Which products to show a customer: what they buy most often, filled with what everybody buys.

That plain rule beat both of `implicit`'s models on the basket data tried, so it is the default; the models stand beside
it (models.py) and `evaluation` shows on the shop's own baskets which is better there. Pure: tables in, tables out.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import log2

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.catalog.orders import kept
from onevoice.warehouse import Warehouse

SHOWN = 10
"""How many products are recommended."""

POPULAR_DAYS = 90
"""What everybody buys is what they bought within so many days of the newest order."""

Recommend = Callable[[Warehouse, ir.Table, ir.Table, int], ir.Table]
"""From order lines and customers (customer_id) to customer_id, place (from 0), product_id."""


@dataclass(frozen=True)
class Score:
    """How well a method foresaw the last basket: means over customers."""

    hit_rate: float  # share of customers of whom at least one product was foreseen
    recall: float  # share of the basket foreseen
    ndcg: float  # the same, counting more the earlier it was named; 1 is a perfect order
    customers: int


def frequent(warehouse: Warehouse, lines: ir.Table, customers: ir.Table, shown: int = SHOWN) -> ir.Table:
    """customer_id, place (from 0), product_id: bought on most lines; ties by revenue, then id; popular ones behind."""
    mine = kept(lines).semi_join(customers, "customer_id")
    times = mine.group_by("customer_id", "product_id").aggregate(times=mine.count(), revenue=mine.revenue.sum())
    own = _first(times, ["customer_id"], shown)
    popular = popularity(warehouse, lines, shown)
    # Behind one's own; those of one's own that are popular too count once.
    everybody = customers.select("customer_id").distinct().cross_join(popular)
    others = everybody.anti_join(own, ["customer_id", "product_id"])
    both = own.select("customer_id", "product_id", "place").union(
        others.select("customer_id", "product_id", place=others.place + shown)
    )
    ranked = both.mutate(rank=ibis.row_number().over(group_by="customer_id", order_by=both.place))
    return ranked.filter(ranked["rank"] < shown).select("customer_id", "product_id", place=ranked["rank"])


def popularity(warehouse: Warehouse, lines: ir.Table, shown: int = SHOWN) -> ir.Table:
    """place, product_id: what was bought on most lines lately; staged, since it is the same for all."""
    bought = kept(lines)
    newest = bought.ordered_at.max().over()
    recent = bought.mutate(newest=newest)
    recent = recent.filter(recent.ordered_at > recent.newest - ibis.interval(days=POPULAR_DAYS))
    times = recent.group_by("product_id").aggregate(times=recent.count(), revenue=recent.revenue.sum())
    return warehouse.stage("popular", _first(times, [], shown).select("product_id", "place"))


def popular(warehouse: Warehouse, lines: ir.Table, customers: ir.Table, shown: int = SHOWN) -> ir.Table:
    """The same to everybody: what any other method must beat."""
    return customers.select("customer_id").distinct().cross_join(popularity(warehouse, lines, shown))


def _first(times: ir.Table, keys: list[str], shown: int) -> ir.Table:
    order = [ibis.desc("times"), ibis.desc("revenue"), times.product_id]
    ranked = times.mutate(place=ibis.row_number().over(group_by=keys or None, order_by=order))
    return ranked.filter(ranked.place < shown)


def evaluation(
    warehouse: Warehouse, lines: ir.Table, methods: dict[str, Recommend], shown: int = SHOWN
) -> dict[str, dict[str, float]]:
    """Each method's score: shown all baskets but everybody's last, it must name what is in that.

    Customers with one basket alone are left out.
    """
    bought = kept(lines)
    orders = bought.group_by("customer_id", "source_id", "order_id").aggregate(at=bought.ordered_at.min())
    order = [ibis.desc("at"), orders.source_id, orders.order_id]
    orders = orders.mutate(place=ibis.row_number().over(group_by="customer_id", order_by=order))
    several = orders.group_by("customer_id").aggregate(n=orders.count())
    last = orders.filter(orders.place == 0).semi_join(several.filter(several.n > 1), "customer_id")
    last_key = last.select("customer_id", "source_id", "order_id")
    keys = ["customer_id", "source_id", "order_id"]
    wanted = warehouse.stage("wanted", bought.semi_join(last_key, keys).select("customer_id", "product_id").distinct())
    known = warehouse.stage("known", bought.anti_join(orders.filter(orders.place == 0).select(*keys), keys))
    customers = warehouse.stage("asked_for", wanted.select("customer_id").distinct())
    return {
        name: asdict(_score(warehouse, method(warehouse, known, customers, shown), wanted, shown))
        for name, method in methods.items()
    }


def _score(warehouse: Warehouse, told: ir.Table, wanted: ir.Table, shown: int) -> Score:
    """Järvelin and Kekäläinen 2002, ACM TOIS 20:422-446, for the discounted gain."""
    gains = pa.table({"place": range(shown), "gain": [1 / log2(place + 2) for place in range(shown)]})
    best = pa.table(
        {"n": range(1, shown + 1), "most": [sum(gains["gain"].to_pylist()[:n]) for n in range(1, shown + 1)]}
    )
    gain, most = warehouse.stage("gains", gains), warehouse.stage("most_gains", best)
    sizes = wanted.group_by("customer_id").aggregate(size=wanted.count())
    hits = told.join(wanted, ["customer_id", "product_id"]).join(gain, "place")
    found = hits.group_by("customer_id").aggregate(hits=hits.count(), gain=hits.gain.sum())
    rows = sizes.left_join(found, "customer_id").drop("customer_id_right")
    rows = rows.mutate(
        n=ibis.least(rows["size"], shown), hits=ibis.coalesce(rows.hits, 0), gain=ibis.coalesce(rows.gain, 0.0)
    )
    rows = rows.join(most, "n")
    totals = warehouse.rows(
        rows.aggregate(
            customers=rows.count(),
            hit_rate=(rows.hits > 0).cast("float64").mean(),
            recall=(rows.hits / rows["size"]).mean(),
            ndcg=(rows.gain / rows.most).mean(),
        )
    )[0]
    if not totals["customers"]:
        return Score(0.0, 0.0, 0.0, 0)
    return Score(**{name: totals[name] for name in ("hit_rate", "recall", "ndcg", "customers")})
