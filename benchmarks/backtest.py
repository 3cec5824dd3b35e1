"""A journey tried over ninety days of a million customers, beside the same entries and messages by hand-written SQL.

Who has not ordered for 60 days gets an e-mail and, five days later, a push, where consent allows it and unless they
order first. The SQL has no segments, tick, policy or report: it is what one would write once, for this journey alone.
Both must find as many entries and messages. The words name the processor time too, which a busy machine changes little.
"""

import time
from datetime import UTC, datetime, timedelta

from benchmarks.result import Result
from onevoice import warehouse
from onevoice.engine.load import TABLES
from onevoice.journeys.backtest.replay import Plan
from onevoice.journeys.backtest.scratch import Window
from onevoice.journeys.backtest.trial import tried
from onevoice.journeys.service import SavedJourney
from onevoice.segments.service import SavedSegment
from onevoice.warehouse import Warehouse

SIZE = 1_000_000
END = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = Window(END - timedelta(days=90), END)
DORMANT = SavedSegment(
    "dormant", 1, {"kind": "segment", "name": "dormant", "where": {"last_order": {"before": "60 days"}}}
)
DOCUMENT = {
    "kind": "journey",
    "name": "winback",
    "entry": {"segment": "dormant"},
    "holdout": 0.0,
    "topic": "offers",
    "goal": {"event": "Order Completed"},
    "steps": [
        {"id": "write", "send": {"channel": "email", "template": "e"}},
        {"id": "pause", "wait": "5 days"},
        {"id": "nudge", "send": {"channel": "push", "template": "p"}},
    ],
}

FILL = [
    "INSERT INTO profiles SELECT i * 7919, 'Anna', 'Rossi', 'it', 'UTC', 'IT', '{{}}', '2024-01-01' "
    "FROM range({n}) r(i)",
    "INSERT INTO addresses SELECT i * 7919, c, c || i, md5(c || i), '2024-01-01' "
    "FROM range({n}) r(i), (VALUES ('email', 20), ('push', 3)) v(c, m) WHERE i % m <> 1",
    "INSERT INTO consents SELECT i * 7919, i * 7919, c, 'offers', "
    "CASE WHEN (i + length(c)) % 10 < 7 THEN 'granted' ELSE 'withdrawn' END, '2024-01-01', '' "
    "FROM range({n}) r(i), (VALUES ('email'), ('push')) v(c)",
    # Two orders each over 15 months on average; many have one, some many.
    "INSERT INTO orders (order_id, source_id, identifier_id, customer_id, channel, ordered_at, currency, revenue, "
    "discount, lines, event_id, status, gross_revenue, refunded, updated_at) SELECT 'o' || i, 1, c, c, 'offline', t, "
    "'EUR', 20, 0, 1, 'e' || i, 'placed', 20, 0, t FROM (SELECT i, (hash(i, 1) % {n})::BIGINT * 7919 AS c, "
    "TIMESTAMP '2024-12-01' + to_seconds(i * 455 * 86400 // (2 * {n}) + (hash(i, 2) % 3600)::BIGINT) AS t "
    "FROM range(2 * {n}) r(i))",
]

ENTRIES = """CREATE OR REPLACE TEMP TABLE came_by_hand AS
    SELECT customer_id, min(day) AS day, arg_min(ordered_at, day) AS since FROM (
        SELECT customer_id, ordered_at, greatest(TIMESTAMP '2025-12-01',
                   TIMESTAMP '2025-12-01' + to_days(ceil(epoch(ordered_at + INTERVAL 60 DAY - TIMESTAMP '2025-12-01')
                                                         / 86400)::INT)) AS day,
               lead(ordered_at) OVER (PARTITION BY customer_id ORDER BY ordered_at) AS following
        FROM orders WHERE ordered_at < TIMESTAMP '2026-03-01')
    WHERE day < TIMESTAMP '2026-03-01' AND (following IS NULL OR following > day) GROUP BY customer_id"""

MESSAGES = """SELECT c.channel, count(*) FROM came_by_hand b
    JOIN (VALUES ('email', 0), ('push', 5)) c(channel, days) ON b.day + to_days(c.days) < TIMESTAMP '2026-03-01'
    JOIN addresses a ON a.customer_id = b.customer_id AND a.channel = c.channel
    JOIN consents w ON w.customer_id = b.customer_id AND w.channel = c.channel AND w.state = 'granted'
    WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = b.customer_id AND o.ordered_at > b.day
                      AND o.ordered_at <= b.day + to_days(c.days))
    GROUP BY c.channel"""


def run(size: int) -> list[Result]:
    """Each once."""
    store = _filled(size)
    journey = SavedJourney("winback", 1, "live", END, DOCUMENT)
    plan = Plan(journey, [DORMANT], WINDOW, timedelta(days=1))
    began, spent = time.perf_counter(), time.process_time()
    found = tried(store, TABLES, plan, b"s" * 32).report
    ours, worked = time.perf_counter() - began, time.process_time() - spent
    began = time.perf_counter()
    store.execute(ENTRIES)
    by_hand = dict(store.backend.con.sql(MESSAGES).fetchall())
    theirs = time.perf_counter() - began
    entered = store.backend.con.sql("SELECT count(*) FROM came_by_hand").fetchall()[0][0]
    assert found["people"]["entered"] == entered, (found["people"], entered)
    assert {row["channel"]: row["messages"] for row in found["channels"]} == by_hand, (found["channels"], by_hand)
    store.close()
    return [
        Result(
            "backtest",
            f"{size:,} customers, 90 days: {entered:,} came in, {sum(by_hand.values()):,} messages; "
            f"{worked:.0f} s of processor time",
            ours,
            "s",
            "the entries and messages of this journey alone by hand-written DuckDB SQL",
            theirs,
            ("duckdb", "ibis-framework"),
        )
    ]


def _filled(size: int) -> Warehouse:
    store = warehouse.connect("duckdb://")
    store.create(TABLES)
    for statement in FILL:
        store.execute(statement.format(n=size))
    return store
