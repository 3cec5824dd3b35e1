"""Recommendations on the demo's retailer: what is in everybody's last basket, foreseen from all that came before.

The figure is the share of customers of whom at least one of ten products was foreseen; the yardstick is to recommend
to everybody what everybody buys. `implicit`'s models run beside the default.
"""

import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.result import Result
from onevoice import warehouse
from onevoice.catalog.factorised import methods
from onevoice.catalog.facts import ORDER_LINES
from onevoice.catalog.recommendations import evaluation, frequent, popular
from onevoice.demo import retailer

SIZE = 2_469
"""Households of the retailer."""


def run(size: int) -> list[Result]:
    """Every method on the same baskets."""
    folder = Path(tempfile.mkdtemp(prefix="onevoice-bench-"))
    try:
        history = retailer.prepare(folder, None if size >= SIZE else size)
        store = warehouse.connect("duckdb://")
        store.create([ORDER_LINES])
        # Products of one name count as one, as in the messages, where a name is shown.
        store.execute(
            f"""INSERT INTO order_lines BY NAME
            SELECT order_id::text AS order_id, 1 AS source_id, 0 AS line, household_id AS identifier_id,
                   household_id AS customer_id, ordered_at::timestamp AS ordered_at, product_id::text AS product_id,
                   quantity, revenue, 0 AS discount, quantity AS gross_quantity, revenue AS gross_revenue
            FROM '{history.order_lines}'"""
        )
        lines = store.table(ORDER_LINES)
        found, seconds = {}, {}
        for name, method in {"popular": popular, "frequent": frequent, **methods()}.items():
            began = time.process_time()
            found |= evaluation(store, lines, {name: method})
            seconds[name] = time.process_time() - began
    finally:
        shutil.rmtree(folder)
    plain = found.pop("popular")
    return [
        Result(
            f"recommending/{name}",
            f"{store.count(lines):,} lines of {score['customers']:,} customers; recall {score['recall']:.3f}, "
            f"NDCG {score['ndcg']:.3f}, {seconds[name]:.1f} s of processor time with the scoring",
            score["hit_rate"],
            "share of customers foreseen",
            "what everybody buys",
            plain["hit_rate"],
            ("duckdb", "implicit"),
        )
        for name, score in found.items()
    ]
