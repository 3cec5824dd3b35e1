"""Segments: each kind of condition over 10 million events and a million customers, beside hand-written DuckDB SQL.

Warm, the median of several runs, each counting the members; both sides must count the same.
"""

import statistics
import time
from datetime import UTC, datetime

from onevoice import warehouse
from onevoice.engine.load import TABLES
from onevoice.segments.compiler import members
from onevoice.segments.tree import condition
from onevoice.warehouse import Warehouse

from benchmarks.result import Result

SIZE = 10_000_000
"""Events; a tenth of it customers, a fifth orders, half order lines."""

ROUNDS = 5
NOW = datetime(2026, 3, 1, tzinfo=UTC)

FILL = [
    "INSERT INTO profiles SELECT i, 'Anna', 'Rossi', 'it', 'Europe/Rome', 'IT', '{{}}', '2025-01-01' "
    "FROM range({customers}) r(i)",
    "INSERT INTO traits SELECT i, i, 'city', ['\"Roma\"', '\"Milano\"', '\"Napoli\"'][i % 3 + 1], '2025-01-01', 'e' || i "
    "FROM range({customers}) r(i)",
    "INSERT INTO products SELECT 'p' || i, 'Product ' || i, 'b', 'Category ' || i % 50, 'd', NULL, '2025-01-01' "
    "FROM range(10000) r(i)",
    "INSERT INTO events SELECT i, 1, 'track', ['Product Viewed', 'Product Added', 'Email Opened', 'Push Opened', "
    "'SMS Link Clicked', 'Page', 'Search', 'Login'][(hash(i) % 8 + 1)::INT], 'web', c, c, "
    "TIMESTAMP '2026-03-01' - to_seconds(hash(i, 2) % 31536000), '2026-03-01', '{{\"colour\":\"red\"}}' "
    "FROM (SELECT i, (hash(i, 1) % {customers})::BIGINT AS c FROM range({events}) r(i))",
    "INSERT INTO orders SELECT 'o' || i, 1, c, c, 'offline', '1', t, 'EUR', (hash(i, 4) % 10000) / 100, 0, NULL, 2, 'e' "
    "FROM (SELECT i, (hash(i, 3) % {customers})::BIGINT AS c, "
    "TIMESTAMP '2026-03-01' - to_seconds(hash(i, 5) % 31536000) AS t FROM range({orders}) r(i))",
    "INSERT INTO order_lines SELECT 'o' || i // 3, 1, i % 3, c, c, t, 'p' || hash(i, 6) % 10000, 1, "
    "(hash(i, 7) % 5000) / 100, 0 FROM (SELECT i, (hash(i // 3, 3) % {customers})::BIGINT AS c, "
    "TIMESTAMP '2026-03-01' - to_seconds(hash(i // 3, 5) % 31536000) AS t FROM range({lines}) r(i))",
    "INSERT INTO consents SELECT i, i, 'email', 'offers', CASE WHEN i % 4 = 0 THEN 'withdrawn' ELSE 'granted' END, "
    "'2025-01-01' FROM range({customers}) r(i)",
    "INSERT INTO addresses SELECT i, 'email', 'a' || i, md5('a' || i), '2025-01-01' FROM range(0, {customers}, 2) r(i)",
    "INSERT INTO suppressions SELECT 'email', md5('a' || i), 'bounced', '2025-01-01' FROM range(0, {customers}, 200) r(i)",
]

CASES = {
    "trait": (
        {"trait": {"name": "city", "equals": "Roma"}},
        "SELECT customer_id FROM (SELECT customer_id, arg_max(value, occurred_at) AS v FROM traits "
        "WHERE name = 'city' GROUP BY customer_id) WHERE v = '\"Roma\"'",
    ),
    "event": (
        {"event": {"name": "Product Viewed", "at_least": 2, "within": "90 days"}},
        "SELECT customer_id FROM events WHERE name = 'Product Viewed' AND occurred_at <= TIMESTAMP '2026-03-01' "
        "AND occurred_at > TIMESTAMP '2025-12-01' GROUP BY customer_id HAVING count(*) >= 2",
    ),
    "orders": (
        {"orders": {"measure": "revenue", "at_least": 200, "within": "180 days"}},
        "SELECT customer_id FROM orders WHERE ordered_at <= TIMESTAMP '2026-03-01' "
        "AND ordered_at > TIMESTAMP '2025-09-02' GROUP BY customer_id HAVING sum(revenue) >= 200",
    ),
    "dormant": (
        {"last_order": {"before": "60 days"}},
        "SELECT customer_id FROM orders WHERE ordered_at <= TIMESTAMP '2026-03-01' GROUP BY customer_id "
        "HAVING max(ordered_at) <= TIMESTAMP '2025-12-31'",
    ),
    "category": (
        {"category": {"name": "Category 7", "at_least": 2, "within": "365 days"}},
        "SELECT customer_id FROM order_lines WHERE ordered_at <= TIMESTAMP '2026-03-01' "
        "AND ordered_at > TIMESTAMP '2025-03-01' "
        "AND product_id IN (SELECT product_id FROM products WHERE category = 'Category 7') "
        "GROUP BY customer_id HAVING count(*) >= 2",
    ),
    "prefers": (
        {"prefers": {"channel": "push", "within": "180 days"}},
        "SELECT customer_id FROM (SELECT customer_id, channel, row_number() OVER (PARTITION BY customer_id "
        "ORDER BY n DESC, last_at DESC, channel) AS r FROM (SELECT customer_id, CASE name WHEN 'Email Opened' "
        "THEN 'email' WHEN 'Push Opened' THEN 'push' ELSE 'sms' END AS channel, count(*) AS n, "
        "max(occurred_at) AS last_at FROM events WHERE name IN ('Email Opened', 'Push Opened', 'SMS Link Clicked') "
        "AND occurred_at <= TIMESTAMP '2026-03-01' AND occurred_at > TIMESTAMP '2025-09-02' GROUP BY ALL)) "
        "WHERE r = 1 AND channel = 'push'",
    ),
    "consent": (
        {"consent": {"channel": "email", "topic": "offers"}},
        "SELECT customer_id FROM consents WHERE channel IN ('email', '*') AND topic IN ('offers', '*') "
        "GROUP BY customer_id HAVING arg_max(state, occurred_at) = 'granted'",
    ),
    "reachable": (
        {"reachable": {"channel": "email"}},
        "SELECT customer_id FROM addresses a WHERE channel = 'email' AND NOT EXISTS (SELECT 1 FROM suppressions s "
        "WHERE s.channel = 'email' AND s.address_hash = a.address_hash)",
    ),
    "tree": (
        {
            "all": [
                {"last_order": {"before": "60 days"}},
                {"consent": {"channel": "email", "topic": "offers"}},
                {"not": {"event": {"name": "Login", "within": "30 days"}}},
            ]
        },
        "SELECT customer_id FROM (SELECT customer_id FROM orders WHERE ordered_at <= TIMESTAMP '2026-03-01' "
        "GROUP BY customer_id HAVING max(ordered_at) <= TIMESTAMP '2025-12-31') o "
        "WHERE customer_id IN (SELECT customer_id FROM consents WHERE channel IN ('email', '*') "
        "AND topic IN ('offers', '*') GROUP BY customer_id HAVING arg_max(state, occurred_at) = 'granted') "
        "AND customer_id NOT IN (SELECT customer_id FROM events WHERE name = 'Login' "
        "AND occurred_at <= TIMESTAMP '2026-03-01' AND occurred_at > TIMESTAMP '2026-01-30')",
    ),
}


def run(size: int) -> list[Result]:
    """One result per kind of condition, in milliseconds."""
    store = warehouse.connect("duckdb://")
    store.create(TABLES)
    sizes = {"events": size, "customers": size // 10, "orders": size // 5, "lines": size // 2}
    for statement in FILL:
        store.execute(statement.format(**sizes))
    results = []
    for name, (document, by_hand) in CASES.items():
        ours = store.compiled(members(condition(document), store, NOW))
        figure, count = _timed(store, ours)
        yardstick, expected = _timed(store, by_hand)
        assert count == expected, (name, count, expected)
        words = f"{count:,} of {sizes['customers']:,} customers, {size:,} events"
        results.append(
            Result(f"segments/{name}", words, figure, "ms", "hand-written DuckDB SQL", yardstick, ("duckdb",))
        )
    store.close()
    return results


def _timed(store: Warehouse, query: str) -> tuple[float, int]:
    times, count = [], 0
    for turn in range(ROUNDS + 1):
        began = time.perf_counter()
        (count,) = store.backend.con.execute(f"SELECT count(*) FROM ({query})").fetchone()
        if turn:  # the first run warms up
            times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times), count
