"""Segments: each kind of condition over 10 million events and a million customers, beside hand-written DuckDB SQL.

On a file with the engine's settings, its rows in the order of their arrival, as a server loads them: so the store skips
what lies outside a window. Warm, the median of several runs in turn, each counting the members; both sides must count
the same. The input's words name the processor time too, spread over two cores, which a busy machine changes little.
"""

import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.result import Result
from onevoice import warehouse
from onevoice.engine.load import TABLES
from onevoice.kernel.settings import Settings
from onevoice.segments.compiler import members
from onevoice.segments.tree import condition
from onevoice.warehouse import Warehouse

SIZE = 10_000_000
"""Events; a tenth of it customers, a fifth orders, half order lines, a twentieth messages."""

ROUNDS = 5
NOW = datetime(2026, 3, 1, tzinfo=UTC)

ARRIVED = "TIMESTAMP '2026-02-28 23:59:59' - to_seconds(((1 - share) * 31536000)::BIGINT + hash(i, 2) % 3600)"
"""When the row at this `share` of a table happened: within the hour before it arrived, over a year."""

FILL = [
    "INSERT INTO profiles SELECT i, 'Anna', 'Rossi', 'it', 'Europe/Rome', 'IT', '{{}}', '2025-01-01' "
    "FROM range({customers}) r(i)",
    "INSERT INTO traits SELECT i, i, 'city', ['\"Roma\"', '\"Milano\"', '\"Napoli\"'][i % 3 + 1], '2025-01-01', "
    "'e' || i FROM range({customers}) r(i)",
    "INSERT INTO products SELECT 'p' || i, 'Product ' || i, 'Brand ' || i % 40, 'Category ' || i % 50, 'd', NULL, "
    "'2025-01-01', NULL, NULL, NULL, NULL FROM range(10000) r(i)",
    "INSERT INTO events (event_id, source_id, type, name, channel, identifier_id, customer_id, occurred_at, "
    "received_at, properties) SELECT i, 1, 'track', ['Product Viewed', 'Product Added', 'Email Opened', 'Push Opened', "
    "'SMS Link Clicked', 'Page', 'Search', 'Login'][(hash(i) % 8 + 1)::INT], 'web', c, c, "
    "{moment}, {moment}, "
    'CASE WHEN i % 3 = 0 THEN \'{{"colour":"red"}}\' ELSE \'{{"colour":"blue"}}\' END '
    "FROM (SELECT i, (hash(i, 1) % {customers})::BIGINT AS c, i / {events} AS share FROM range({events}) r(i))",
    "INSERT INTO orders SELECT 'o' || i, 1, c, c, ['offline', 'web'][i % 2 + 1], '1', t, 'EUR', r, 0, NULL, 2, 'e', "
    "'placed', r, 0, NULL, NULL, NULL, NULL, CASE WHEN i % 6 = 1 THEN 'c' || i END, NULL, t "
    "FROM (SELECT i, (hash(i, 4) % 10000) / 100 AS r, (hash(i, 3) % {customers})::BIGINT AS c, "
    "{moment} AS t FROM (SELECT i, i / {orders} AS share FROM range({orders}) r(i)))",
    "INSERT INTO order_lines SELECT 'o' || i // 3, 1, i % 3, c, c, t, 'p' || hash(i, 6) % 10000, 1, "
    "r, 0, 1, r FROM (SELECT i, (hash(i, 7) % 5000) / 100 AS r, (hash(i // 3, 3) % {customers})::BIGINT AS c, "
    "{moment} AS t FROM (SELECT i, (i // 3) / {orders} AS share FROM range({lines}) r(i)))",
    "INSERT INTO messages SELECT 'm' || i, 'j', 1, 's', ['email', 'push', 'sms'][i % 3 + 1], 'n' || c, c, c, 'a', 't', "
    "'it', 'offers', '2026-01-01', 1, '2026-01-01', '2026-01-01', NULL, NULL, NULL, NULL, 'delivered', NULL, 0.001, "
    "NULL FROM (SELECT i, (hash(i, 8) % {customers})::BIGINT AS c FROM range({messages}) r(i))",
    "INSERT INTO message_events SELECT 'd' || i, 'm' || i, 'delivered', '2026-01-01', '2026-01-01', false, NULL, NULL, "
    "'{{}}' FROM range({messages}) r(i)",
    "INSERT INTO message_events SELECT 'o' || i, 'm' || i, 'opened', TIMESTAMP '2026-01-01' + to_seconds(i % 86400), "
    "'2026-01-02', i % 20 = 0, NULL, NULL, '{{}}' FROM range(0, {messages}, 2) r(i)",
    "INSERT INTO consents SELECT i, i, 'email', 'offers', CASE WHEN i % 4 = 0 THEN 'withdrawn' ELSE 'granted' END, "
    "'2025-01-01', '' FROM range({customers}) r(i)",
    "INSERT INTO addresses SELECT i, 'email', 'a' || i, md5('a' || i), '2025-01-01' FROM range(0, {customers}, 2) r(i)",
    "INSERT INTO suppressions SELECT 'email', md5('a' || i), 'bounced', '2025-01-01' "
    "FROM range(0, {customers}, 200) r(i)",
    "INSERT INTO traits SELECT i, i, 'birthday', '\"' || strftime(DATE '1960-01-01' + (hash(i, 9) % 15000)::INT, "
    "'%Y-%m-%d') || '\"', '2025-01-01', 'b' || i FROM range(0, {customers}, 2) r(i)",
    "INSERT INTO traits SELECT i, i, axis, (45 + hash(i, axis) % 1000 / 500)::VARCHAR, '2025-01-01', 'a' || i "
    "FROM range(0, {customers}, 4) r(i), (VALUES ('latitude'), ('longitude')) v(axis)",
    "INSERT INTO identifiers SELECT i, ['loyalty_card', 'user_id'][i % 2 + 1], 'n' || i, i, '2025-01-01', 1, "
    "i, i, false FROM range({customers}) r(i)",
    "INSERT INTO list_entries SELECT 'fair', 1, i FROM range(0, {customers}, 10) r(i)",
    "INSERT INTO carts (cart_id, source_id, identifier_id, customer_id, channel, state, updated_at, value, items) "
    "SELECT 'c' || i, 1, c, c, 'web', 'open', {moment}, hash(i, 10) % 200, 2 FROM (SELECT i, i / {orders} AS share, "
    "(hash(i, 11) % {customers})::BIGINT AS c FROM range({orders}) r(i))",
    "INSERT INTO coupon_events (event_id, source_id, identifier_id, customer_id, channel, coupon, action, occurred_at) "
    "SELECT 'k' || i, 1, c, c, 'web', 'SPRING', ['applied', 'redeemed'][(hash(i, 12) % 2 + 1)::INT], {moment} "
    "FROM (SELECT i, i / {messages} AS share, (hash(i, 13) % {customers})::BIGINT AS c FROM range({messages}) r(i))",
    "INSERT INTO segment_members SELECT 'loyal', i, '2025-01-01' FROM range(0, {customers}, 3) r(i)",
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
    "event_property": (
        {"event": {"name": "Product Viewed", "within": "90 days", "where": {"colour": "red"}}},
        "SELECT DISTINCT customer_id FROM events WHERE name = 'Product Viewed' "
        "AND occurred_at <= TIMESTAMP '2026-03-01' AND occurred_at > TIMESTAMP '2025-12-01' "
        "AND properties ->> '$.colour' = 'red'",
    ),
    "event_never": (
        {"event": {"name": "Login", "exactly": 0, "within": "90 days"}},
        "SELECT customer_id FROM profiles ANTI JOIN (SELECT customer_id FROM events WHERE name = 'Login' "
        "AND occurred_at <= TIMESTAMP '2026-03-01' AND occurred_at > TIMESTAMP '2025-12-01') USING (customer_id)",
    ),
    "orders_count": (
        {"orders": {"at_most": 1}},
        "SELECT customer_id FROM profiles ANTI JOIN (SELECT customer_id FROM orders "
        "WHERE ordered_at <= TIMESTAMP '2026-03-01' GROUP BY customer_id HAVING count(*) > 1) USING (customer_id)",
    ),
    "orders_revenue": (
        {"orders": {"measure": "revenue", "at_least": 200, "within": "180 days"}},
        "SELECT customer_id FROM orders WHERE ordered_at <= TIMESTAMP '2026-03-01' "
        "AND ordered_at > TIMESTAMP '2025-09-02' GROUP BY customer_id HAVING sum(revenue) >= 200",
    ),
    "orders_average": (
        {"orders": {"measure": "average", "at_least": 60}},
        "SELECT customer_id FROM orders WHERE ordered_at <= TIMESTAMP '2026-03-01' GROUP BY customer_id "
        "HAVING sum(revenue) >= 60 * count(*)",
    ),
    "dormant": (
        {"last_order": {"before": "60 days"}},
        "SELECT customer_id FROM orders WHERE ordered_at <= TIMESTAMP '2026-03-01' GROUP BY customer_id "
        "HAVING max(ordered_at) <= TIMESTAMP '2025-12-31'",
    ),
    "category_lines": (
        {"category": {"name": "Category 7", "at_least": 2, "within": "365 days"}},
        "SELECT customer_id FROM order_lines WHERE ordered_at <= TIMESTAMP '2026-03-01' "
        "AND ordered_at > TIMESTAMP '2025-03-01' "
        "AND product_id IN (SELECT product_id FROM products WHERE category = 'Category 7') "
        "GROUP BY customer_id HAVING count(*) >= 2",
    ),
    "category_share": (
        {"category": {"name": "Category 7", "measure": "share", "at_least": 0.2, "within": "90 days"}},
        "SELECT customer_id FROM order_lines l LEFT JOIN products p USING (product_id) "
        "WHERE ordered_at <= TIMESTAMP '2026-03-01' AND ordered_at > TIMESTAMP '2025-12-01' GROUP BY customer_id "
        "HAVING sum(revenue) > 0 AND sum(revenue) FILTER (category = 'Category 7') >= 0.2 * sum(revenue)",
    ),
    "category_top": (
        {"category": {"name": "Category 7", "measure": "top", "within": "90 days"}},
        "SELECT customer_id FROM (SELECT customer_id, category FROM order_lines JOIN products USING (product_id) "
        "WHERE ordered_at <= TIMESTAMP '2026-03-01' AND ordered_at > TIMESTAMP '2025-12-01' GROUP BY 1, 2 "
        "QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY count(*) DESC, sum(revenue) DESC, category) = 1) "
        "WHERE category = 'Category 7'",
    ),
    "prefers": (
        {"prefers": {"channel": "push", "within": "180 days"}},
        "WITH reactions AS (SELECT customer_id, occurred_at, CASE name WHEN 'Email Opened' THEN 'email' "
        "WHEN 'Push Opened' THEN 'push' ELSE 'sms' END AS channel FROM events "
        "WHERE name IN ('Email Opened', 'Push Opened', 'SMS Link Clicked') "
        "UNION ALL SELECT customer_id, occurred_at, channel FROM message_events JOIN messages USING (message_id) "
        "WHERE news IN ('opened', 'clicked') AND NOT machine), "
        "counted AS (SELECT customer_id, count(*) FILTER (channel = 'push') AS p, "
        "count(*) FILTER (channel = 'email') AS e, count(*) FILTER (channel = 'sms') AS s FROM reactions "
        "WHERE occurred_at <= TIMESTAMP '2026-03-01' AND occurred_at > TIMESTAMP '2025-09-02' GROUP BY customer_id) "
        "SELECT customer_id FROM counted WHERE p > 0 AND p >= e AND p >= s",
    ),
    "consent": (
        {"consent": {"channel": "email", "topic": "offers"}},
        "SELECT customer_id FROM consents WHERE channel IN ('email', '*') AND topic IN ('offers', '*') "
        "GROUP BY customer_id HAVING arg_max(state, occurred_at) = 'granted'",
    ),
    "reachable": (
        {"reachable": {"channel": "email"}},
        "SELECT customer_id FROM addresses ANTI JOIN (SELECT address_hash FROM suppressions WHERE channel = 'email') "
        "USING (address_hash) WHERE channel = 'email'",
    ),
    "segment": (
        {"segment": {"name": "loyal"}},
        "SELECT customer_id FROM segment_members WHERE segment = 'loyal'",
    ),
    "aggregate": (
        {"aggregate": {"of": "orders", "function": "max", "property": "revenue", "at_least": 90}},
        "SELECT customer_id FROM orders WHERE status = 'placed' AND ordered_at <= TIMESTAMP '2026-03-01' "
        "GROUP BY customer_id HAVING max(revenue) >= 90",
    ),
    "percentile": (
        {"aggregate": {"of": "orders", "function": "sum", "property": "revenue", "top_percent": 10}},
        "WITH spent AS (SELECT customer_id, sum(revenue) AS total FROM orders WHERE status = 'placed' "
        "AND ordered_at <= TIMESTAMP '2026-03-01' GROUP BY customer_id) SELECT customer_id FROM spent "
        "WHERE total >= (SELECT quantile_disc(total, -0.1) FROM spent)",
    ),
    "rfm": (
        {"rfm": {"group": "champions"}},
        "WITH facts AS (SELECT customer_id, epoch(max(ordered_at)) AS r, count(*) AS f FROM orders "
        "WHERE status = 'placed' AND ordered_at <= TIMESTAMP '2026-03-01' GROUP BY customer_id), "
        "edges AS (SELECT quantile_disc(r, 0.8) AS r4, quantile_disc(f, 0.6) AS f3 FROM facts) "
        "SELECT customer_id FROM facts, edges WHERE r > r4 AND f > f3",
    ),
    "last": (
        {"last": {"event": "Product Viewed", "before": "60 days"}},
        "SELECT customer_id FROM events WHERE name = 'Product Viewed' AND occurred_at <= TIMESTAMP '2026-03-01' "
        "GROUP BY customer_id HAVING max(occurred_at) <= TIMESTAMP '2025-12-31'",
    ),
    "first": (
        {"first": {"event": "Product Viewed", "within": "60 days"}},
        "SELECT customer_id FROM events WHERE name = 'Product Viewed' AND occurred_at <= TIMESTAMP '2026-03-01' "
        "GROUP BY customer_id HAVING min(occurred_at) > TIMESTAMP '2025-12-31'",
    ),
    "stopped": (
        {"stopped": {"event": "Product Viewed", "quiet": "60 days", "active": "90 days", "at_least": 2}},
        "SELECT customer_id FROM events WHERE name = 'Product Viewed' AND occurred_at <= TIMESTAMP '2026-03-01' "
        "AND occurred_at > TIMESTAMP '2025-10-02' GROUP BY customer_id HAVING count(*) >= 2 "
        "AND max(occurred_at) <= TIMESTAMP '2025-12-31'",
    ),
    "returned": (
        {"returned": {"event": "Product Viewed", "quiet": "120 days", "within": "30 days"}},
        "SELECT customer_id FROM events WHERE name = 'Product Viewed' AND occurred_at <= TIMESTAMP '2026-03-01' "
        "GROUP BY customer_id HAVING max(occurred_at) FILTER (occurred_at <= TIMESTAMP '2026-01-30') "
        "+ INTERVAL 120 DAY <= min(occurred_at) FILTER (occurred_at > TIMESTAMP '2026-01-30')",
    ),
    "brand": (
        {"brand": {"name": "Brand 7", "at_least": 2, "within": "365 days"}},
        "SELECT customer_id FROM order_lines WHERE ordered_at <= TIMESTAMP '2026-03-01' "
        "AND ordered_at > TIMESTAMP '2025-03-01' "
        "AND product_id IN (SELECT product_id FROM products WHERE brand = 'Brand 7') "
        "GROUP BY customer_id HAVING count(*) >= 2",
    ),
    "cart": (
        {"cart": {"state": "abandoned", "within": "7 days", "at_least": 50}},
        "WITH bought AS MATERIALIZED (SELECT customer_id, cart_id, checkout_id, order_id, ordered_at FROM orders "
        "WHERE channel <> 'offline' AND status <> 'cancelled' AND ordered_at <= TIMESTAMP '2026-03-01' "
        "AND ordered_at > TIMESTAMP '2026-02-22') SELECT DISTINCT customer_id FROM carts c "
        "ANTI JOIN bought b ON b.customer_id = c.customer_id AND b.ordered_at >= c.updated_at "
        "ANTI JOIN bought n ON n.cart_id = c.cart_id AND n.ordered_at >= c.updated_at "
        "ANTI JOIN bought k ON k.checkout_id = c.checkout_id AND k.ordered_at >= c.updated_at "
        "ANTI JOIN bought o ON o.order_id = c.order_id AND o.ordered_at >= c.updated_at "
        "WHERE state = 'open' AND updated_at > TIMESTAMP '2026-02-22' "
        "AND updated_at <= TIMESTAMP '2026-02-28 23:00:00' AND value >= 50 AND items > 0",
    ),
    "coupon": (
        {"coupon": {"state": "unused", "coupon": "SPRING"}},
        "SELECT customer_id FROM coupon_events WHERE coupon = 'SPRING' AND occurred_at <= TIMESTAMP '2026-03-01' "
        "GROUP BY customer_id HAVING max(occurred_at) FILTER (action IN ('entered', 'applied')) > coalesce("
        "max(occurred_at) FILTER (action IN ('redeemed', 'removed', 'denied')), TIMESTAMP '1970-01-01')",
    ),
    "loyalty": (
        {"loyalty": {"member": True}},
        "SELECT DISTINCT customer_id FROM identifiers WHERE namespace = 'loyalty_card'",
    ),
    "list": (
        {"list": {"name": "fair"}},
        "SELECT DISTINCT customer_id FROM identifiers WHERE identifier_id IN "
        "(SELECT identifier_id FROM list_entries WHERE list = 'fair')",
    ),
    "country": (
        {"country": {"one_of": ["IT", "RO"]}},
        "SELECT customer_id FROM profiles WHERE country IN ('IT', 'RO')",
    ),
    "anniversary": (
        {"anniversary": {"trait": "birthday", "ahead": 6}},
        "SELECT customer_id FROM (SELECT customer_id, arg_max(value, occurred_at) AS v FROM traits "
        "WHERE name = 'birthday' GROUP BY customer_id) WHERE v[7:11] IN "
        "('03-01', '03-02', '03-03', '03-04', '03-05', '03-06', '03-07')",
    ),
    "near": (
        {"near": {"latitude": 46, "longitude": 46, "km": 20}},
        "SELECT customer_id FROM (SELECT customer_id, "
        "arg_max(value, occurred_at) FILTER (name = 'latitude')::DOUBLE AS y, "
        "arg_max(value, occurred_at) FILTER (name = 'longitude')::DOUBLE AS x "
        "FROM traits WHERE name IN ('latitude', 'longitude') GROUP BY customer_id) "
        "WHERE 12742.0176 * asin(sqrt(sin(radians(y - 46) / 2) ^ 2 "
        "+ cos(radians(y)) * cos(radians(46)) * sin(radians(x - 46) / 2) ^ 2)) <= 20",
    ),
    "sequence": (
        {
            "sequence": {
                "within": "90 days",
                "steps": [
                    {"of": "lines", "where": {"category": "Category 7"}},
                    {"of": "lines", "where": {"category": "Category 8"}, "absent": True, "within": "30 days"},
                ],
            }
        },
        "WITH bought AS (SELECT customer_id, ordered_at, category FROM order_lines JOIN products USING (product_id) "
        "WHERE category IN ('Category 7', 'Category 8') AND ordered_at <= TIMESTAMP '2026-03-01' "
        "AND ordered_at > TIMESTAMP '2025-12-01') SELECT DISTINCT customer_id FROM bought a "
        "WHERE category = 'Category 7' AND ordered_at <= TIMESTAMP '2026-01-30' AND NOT EXISTS (SELECT 1 FROM bought b "
        "WHERE b.category = 'Category 8' AND b.customer_id = a.customer_id AND b.ordered_at > a.ordered_at "
        "AND b.ordered_at <= a.ordered_at + INTERVAL 30 DAY)",
    ),
    "share": (
        {"share": {"salt": "spring", "percent": 50}},
        "SELECT customer_id FROM profiles WHERE md5('spring:' || customer_id) < '8'",
    ),
    "tree": (
        {
            "all": [
                {"any": [{"last_order": {"before": "60 days"}}, {"segment": {"name": "loyal"}}]},
                {"consent": {"channel": "email", "topic": "offers"}},
                {"not": {"event": {"name": "Login", "within": "30 days"}}},
            ]
        },
        "SELECT customer_id FROM (SELECT customer_id FROM orders WHERE ordered_at <= TIMESTAMP '2026-03-01' "
        "GROUP BY customer_id HAVING max(ordered_at) <= TIMESTAMP '2025-12-31' "
        "UNION SELECT customer_id FROM segment_members WHERE segment = 'loyal') o "
        "WHERE customer_id IN (SELECT customer_id FROM consents WHERE channel IN ('email', '*') "
        "AND topic IN ('offers', '*') GROUP BY customer_id HAVING arg_max(state, occurred_at) = 'granted') "
        "AND customer_id NOT IN (SELECT customer_id FROM events WHERE name = 'Login' "
        "AND occurred_at <= TIMESTAMP '2026-03-01' AND occurred_at > TIMESTAMP '2026-01-30')",
    ),
}
"""A condition of each kind, and what an experienced hand would write for it."""


def fill(store: Warehouse, size: int) -> None:
    """A shop of so many events, every row where it would have arrived."""
    store.create(TABLES)
    customers = size // 10
    sizes = {"events": size, "customers": customers, "orders": size // 5, "lines": size // 2, "messages": size // 20}
    columns = {facts.name: list(facts.columns) for facts in TABLES}
    for statement in FILL:
        into, values = statement.format(**sizes, moment=ARRIVED).split(" SELECT ", 1)
        if "(" not in into:  # columns that came later are behind the others, and stay empty
            given = len(store.backend.con.execute(f"DESCRIBE SELECT {values}").fetchall())
            into += f" ({', '.join(columns[into.split()[-1]][:given])})"
        store.execute(f"{into} SELECT {values}")


def run(size: int) -> list[Result]:
    """One result per kind of condition, in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        store = warehouse.connect(settings.warehouse, settings.warehouse_memory_mb)
        fill(store, size)
        store.execute("CHECKPOINT")
        store.close()  # filling leaves its traces in a process's memory: a server was started after most of its past
        store = warehouse.connect(settings.warehouse, settings.warehouse_memory_mb)
        results = [_measured(name, store, size) for name in CASES]
        store.close()
    return results


def _measured(name: str, store: Warehouse, size: int) -> Result:
    document, by_hand = CASES[name]
    ours = store.compiled(members(condition(document), store, NOW))
    figures, yardsticks = [], []
    for turn in range(ROUNDS + 1):
        figure, count = _timed(store, ours)
        yardstick, expected = _timed(store, by_hand)
        assert 0 < count == expected, (name, count, expected)
        if turn:  # the first warms up
            figures.append(figure)
            yardsticks.append(yardstick)
    wall, processor = _medians(figures)
    by_hand_wall, by_hand_processor = _medians(yardsticks)
    words = (
        f"{count:,} of {size // 10:,} customers, {size:,} events; processor time on two cores "
        f"{processor:.3g} ms, by hand {by_hand_processor:.3g} ms"
    )
    one = (wall, "ms", "hand-written DuckDB SQL", by_hand_wall)
    return Result(f"segments/{name}", words, *one, ("duckdb", "ibis-framework"))


def _medians(figures: list[tuple[float, float]]) -> tuple[float, float]:
    wall, processor = zip(*figures, strict=True)
    return statistics.median(wall), statistics.median(processor)


def _timed(store: Warehouse, query: str) -> tuple[tuple[float, float], int]:
    """Milliseconds it took, by the clock and of two cores' time, and how many customers were found."""
    began, worked = time.perf_counter(), time.process_time()
    ((count,),) = store.backend.con.execute(f"SELECT count(*) FROM ({query})").fetchall()
    return (1000 * (time.perf_counter() - began), 500 * (time.process_time() - worked)), count
