"""One cascade step over a million enrolled, beside hand-written SQL: consent, cap, hold-out, plan and state.

Everybody is at the second position: half have opened the e-mail, some lack an address, a consent or room under the cap.
Both sides do the same reads and the same writes, each on its own copy, and must plan the same messages.

Then a hundred live journeys: all enter at once, nobody is due, somebody does what lets them into one. Each of these
events comes to a journey that has sent nothing yet, so that what is compiled once is counted too.
"""

import statistics
import time
from datetime import UTC, datetime, timedelta

from benchmarks.result import Result
from onevoice import warehouse
from onevoice.engine.load import TABLES
from onevoice.journeys.service import SavedJourney
from onevoice.journeys.tick import tick
from onevoice.warehouse import Warehouse

SIZE = 1_000_000
ROUNDS = 3
JOURNEYS = 100
EVENTS = 40
PACKAGES = ("duckdb", "ibis-framework")
NOW = datetime(2026, 3, 5, 10, tzinfo=UTC)
DOCUMENT = {
    "kind": "journey",
    "name": "winback",
    "entry": {"segment": "dormant"},
    "holdout": 0.1,
    "topic": "offers",
    "policy": {"cap": {"messages": 2, "days": 7}, "quiet_hours": {"from": "21:00", "to": "08:00"}},
    "steps": [
        {
            "id": "cascade",
            "cascade": {
                "channels": [
                    {"channel": "email", "template": "e", "wait": "3 days"},
                    {"channel": "push", "template": "p"},
                ]
            },
        }
    ],
}
JOURNEY = SavedJourney("winback", 1, "live", NOW, DOCUMENT)

MESSAGE = (
    "message_id, journey, journey_version, step, channel, enrolment_id, identifier_id, customer_id, address, template, "
    "locale, topic, planned_at, tick, accepted_at, delivered_at, opened_at, clicked_at, unsubscribed_at, failed_at, "
    "status, error_code, cost, content_key"
)

FILL = [
    "INSERT INTO profiles SELECT i * 7919, 'Anna', 'Rossi', CASE WHEN i % 3 = 0 THEN 'it' ELSE 'en' END, "
    "['Europe/Rome', 'Asia/Jakarta', 'UTC', 'America/Los_Angeles'][i % 4 + 1], 'IT', '{{}}', '2025-01-01' "
    "FROM range({n}) r(i)",
    "INSERT INTO addresses SELECT i * 7919, c, c || i, md5(c || i), '2025-01-01' "
    "FROM range({n}) r(i), (VALUES ('email', 1), ('push', 5), ('sms', 3)) v(c, m) WHERE i % (m * 3) <> 1",
    "INSERT INTO consents SELECT i * 7919, i * 7919, c, 'offers', "
    "CASE WHEN (i + length(c)) % 10 < 7 THEN 'granted' ELSE 'withdrawn' END, '2025-01-01', '' "
    "FROM range({n}) r(i), (VALUES ('email'), ('push'), ('sms')) v(c)",
    "INSERT INTO suppressions SELECT 'push', md5('push' || i), 'dead', '2025-01-01' FROM range(0, {n}, 97) r(i)",
    "INSERT INTO segment_members SELECT 'dormant', i * 7919, '2026-03-01' FROM range({n}) r(i)",
    "INSERT INTO enrolments SELECT 'n' || i, 'winback', 1, i * 7919, i * 7919, 'treated', 'cascade/1', 'active', '', "
    "'2026-03-02 10:00:00', '2026-03-05 10:00:00', '2026-03-02 10:00:00', '', '2026-03-02 10:00:00', 0 "
    "FROM range({n}) r(i)",
    "INSERT INTO messages ({message}) SELECT md5('m' || i), 'winback', 1, 'cascade/0', 'email', 'n' || i, i * 7919, "
    "i * 7919, 'email' || i, 'e', 'en', 'offers', '2026-03-02 10:00:00', 1, '2026-03-02 10:00:01', "
    "'2026-03-02 10:00:02', "
    "CASE WHEN i % 2 = 0 THEN TIMESTAMP '2026-03-03 09:00:00' END, NULL, NULL, NULL, 'delivered', NULL, 0.001, '' "
    "FROM range({n}) r(i)",
    "INSERT INTO messages ({message}) SELECT md5('x' || i), 'other', 1, 's', 'email', 'o' || i, i * 7919, i * 7919, "
    "'email' || i, 'e', 'en', 'offers', '2026-03-01 10:00:00', 1, '2026-03-01 10:00:01', '2026-03-01 10:00:02', "
    "NULL, NULL, NULL, NULL, 'delivered', NULL, 0.001, '' FROM range(0, {n}, 5) r(i)",
]

BY_HAND = [
    "BEGIN",
    # Who comes in, and their arm; nobody is new here, but it must be looked at.
    """INSERT INTO enrolments SELECT md5('winback|' || customer_id), 'winback', 1, customer_id, customer_id, 'treated',
           'cascade/0', 'active', '', {now}, {now}, {now}, '', {now}, 0
       FROM segment_members m WHERE segment = 'dormant' AND NOT EXISTS
           (SELECT 1 FROM enrolments e WHERE e.journey = 'winback' AND e.customer_id = m.customer_id)""",
    """CREATE OR REPLACE TEMP TABLE due_by_hand AS SELECT e.*, o.enrolment_id IS NOT NULL AS reacted
       FROM enrolments e LEFT JOIN (SELECT DISTINCT enrolment_id FROM messages
           WHERE journey = 'winback' AND (opened_at IS NOT NULL OR clicked_at IS NOT NULL)) o USING (enrolment_id)
       WHERE journey = 'winback' AND state = 'active' AND step = 'cascade/1' AND due_at <= {now}""",
    """CREATE OR REPLACE TEMP TABLE decided_by_hand AS
       SELECT d.*, a.address, p.locale, p.time_zone, coalesce(k.n, 0) AS contacts, s.reason AS suppressed_as,
           CASE WHEN d.reacted THEN 'already_reached' WHEN a.address IS NULL THEN 'unreachable'
                WHEN s.address_hash IS NOT NULL THEN 'suppressed'
                WHEN c.granted_at IS NULL OR c.refused_at >= c.granted_at THEN 'no_consent'
                WHEN k.n >= 2 THEN 'over_cap'
                WHEN p.time_zone = 'America/Los_Angeles' THEN 'quiet_hours' ELSE 'allowed' END AS why
       FROM due_by_hand d
       LEFT JOIN addresses a ON a.customer_id = d.customer_id AND a.channel = 'push'
       LEFT JOIN suppressions s ON s.channel = 'push' AND s.address_hash = a.address_hash
       LEFT JOIN (SELECT customer_id, max(occurred_at) FILTER (state = 'granted') AS granted_at,
               max(occurred_at) FILTER (state <> 'granted') AS refused_at FROM consents
           WHERE channel IN ('push', '*') AND topic IN ('offers', '*') GROUP BY customer_id) c
           ON c.customer_id = d.customer_id
       LEFT JOIN (SELECT customer_id, count(*) AS n FROM messages
           WHERE planned_at > {now} - INTERVAL 7 DAY AND status <> 'skipped' GROUP BY customer_id) k
           ON k.customer_id = d.customer_id
       LEFT JOIN profiles p ON p.customer_id = d.customer_id""",
    """INSERT INTO messages ({message})
       SELECT uuid_at, 'winback', 1, 'cascade/1', 'push', enrolment_id, identifier_id, customer_id, address,
           'p', locale, 'offers', {now}, 2, NULL, NULL, NULL, NULL, NULL, NULL, 'planned', NULL, NULL, ''
       FROM (SELECT *, md5(enrolment_id || '|cascade/1') AS h, substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-'
               || substr(h, 13, 4) || '-' || substr(h, 17, 4) || '-' || substr(h, 21) AS uuid_at
           FROM decided_by_hand WHERE why = 'allowed')""",
    """INSERT INTO decisions SELECT md5(enrolment_id || '|cascade/1|push|2026|' || why), enrolment_id, 'winback',
           'cascade/1', 'push', identifier_id, customer_id, {now},
           CASE why WHEN 'allowed' THEN 'send' WHEN 'quiet_hours' THEN 'defer' ELSE 'skip' END, why,
           CASE WHEN why = 'allowed' THEN md5(enrolment_id || '|cascade/1') END,
           '{{"address":' || (address IS NOT NULL) || ',"suppressed":"' || coalesce(suppressed_as, '')
               || '","messages_in_window":' || contacts || ',"time_zone":"' || coalesce(time_zone, '') || '"}}', passes
       FROM decided_by_hand""",
    "DELETE FROM enrolments WHERE enrolment_id IN (SELECT enrolment_id FROM due_by_hand)",
    """INSERT INTO enrolments SELECT enrolment_id, journey, journey_version, identifier_id, customer_id, arm,
           'cascade/1', CASE why WHEN 'quiet_hours' THEN 'active' ELSE 'done' END,
           CASE WHEN reacted THEN 'reacted' WHEN why = 'quiet_hours' THEN '' ELSE 'completed' END, entered_at,
           CASE why WHEN 'quiet_hours' THEN {now} + INTERVAL 6 HOUR ELSE {now} END, {now}, key, reached_at,
           passes FROM decided_by_hand""",
    "COMMIT",
]
"""What an experienced hand would write."""


def run(size: int) -> list[Result]:
    """The best of some rounds of each, in turn."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        mine, by_hand = _filled(size), _filled(size)
        began = time.perf_counter()
        tick(mine, [JOURNEY], NOW)
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        for statement in BY_HAND:
            by_hand.execute(statement.format(now="TIMESTAMP '2026-03-05 10:00:00'", message=MESSAGE))
        theirs.append(time.perf_counter() - began)
        for question in (
            "SELECT channel, count(*) FROM messages WHERE planned_at = TIMESTAMP '2026-03-05 10:00:00' GROUP BY ALL",
            "SELECT channel, reason, count(*) FROM decisions GROUP BY ALL",
            "SELECT state, reason, step, due_at > updated_at, count(*) FROM enrolments GROUP BY ALL",
        ):
            assert _answer(mine, question) == _answer(by_hand, question), (question, _answer(mine, question))
        mine.close()
        by_hand.close()
    return [
        Result(
            "tick",
            f"{size:,} customers at the second and last position of a cascade",
            statistics.median(ours),
            "s",
            "hand-written DuckDB SQL with the same reads and writes",
            statistics.median(theirs),
            PACKAGES,
        ),
        *_many(size),
    ]


def _many(size: int) -> list[Result]:
    """A hundred live journeys: all enter at once, then nobody is due, then somebody does what lets them into one."""
    store = _empty_but_customers(size)
    journeys = [SavedJourney(f"j{number}", 1, "live", NOW, _document(number)) for number in range(JOURNEYS)]
    began = time.perf_counter()
    entered = sum(tick(store, journeys, NOW).entered.values())
    entering = time.perf_counter() - began
    began = time.perf_counter()
    store.execute("CREATE TEMP TABLE by_hand AS SELECT * REPLACE ('h' || enrolment_id AS enrolment_id) FROM enrolments")
    store.execute("CREATE TABLE copied AS SELECT * FROM by_hand")
    writing = time.perf_counter() - began
    idle = []
    for second in range(1, 8):
        began = time.perf_counter()
        assert not any(tick(store, journeys, NOW + timedelta(seconds=second)).planned.values())
        idle.append(time.perf_counter() - began)
    reacting = []
    for number in range(EVENTS):
        _event(store, number, NOW + timedelta(seconds=20 + number))
        began = time.perf_counter()
        planned = tick(store, journeys, NOW + timedelta(seconds=20 + number)).planned
        reacting.append(time.perf_counter() - began)
        assert sum(planned.values()) == 1, planned
    store.close()
    floor = "the floor that was set"
    told = f"{JOURNEYS} live journeys with {entered:,} people in them"
    return [
        Result("enter", f"{entered:,} people at once", entering, "s", "copying their rows twice", writing, PACKAGES),
        Result("idle", f"{told}, nobody due", statistics.median(idle), "s", floor, 1.0, PACKAGES),
        Result("event", f"{told}: an event to its message, p95", _p95(reacting), "s", floor, 2.0, PACKAGES),
    ]


def _p95(found: list[float]) -> float:
    return sorted(found)[round(0.95 * len(found)) - 1]


def _document(number: int) -> dict[str, object]:
    """Half are entered by the segment and wait, half by an event of their own and send at once."""
    by_event = number % 2
    hello = {"id": "hello", "send": {"channel": "email", "template": "e"}}
    wait = {"id": "wait", "wait": {"event": "Product Viewed", "where": {"brand": "x"}, "timeout": "3 days"}}
    return {
        "kind": "journey",
        "name": f"j{number}",
        "entry": {"event": {"name": f"Event {number}"}} if by_event else {"segment": "dormant"},
        "topic": "offers",
        "holdout": 0.0,
        "goal": {"event": "Order Completed" if number % 4 else "Signed Up"},
        "steps": [hello, wait] if by_event else [{"id": "first", "wait": "3 days"}, hello, wait],
    }


def _empty_but_customers(size: int) -> Warehouse:
    """Customers with addresses and consents, as many as enter all journeys of the segment in sum `size` times."""
    store = warehouse.connect("duckdb://")
    store.create(TABLES)
    for statement in FILL[:5]:
        store.execute(statement.format(n=2 * size // JOURNEYS, message=MESSAGE))
    return store


def _event(store: Warehouse, number: int, at: datetime) -> None:
    """A customer who has an address and a consent does what lets them into one journey."""
    customer = 7919 * 3 * (number + 1)
    store.execute(
        "INSERT INTO consents (identifier_id, customer_id, channel, topic, state, occurred_at, country) VALUES "
        f"({customer}, {customer}, 'email', 'offers', 'granted', '2026-02-01', '')"
    )
    store.execute(
        "INSERT INTO events (event_id, source_id, type, name, channel, identifier_id, customer_id, occurred_at, "
        f"received_at, properties, arrival) VALUES ('e{number}', 1, 'track', 'Event {2 * (number % 50) + 1}', 'web', "
        f"{customer}, {customer}, '{at:%Y-%m-%d %H:%M:%S}', '{at:%Y-%m-%d %H:%M:%S}', '{{}}', "
        "(SELECT coalesce(max(transaction), 0) FROM watermarks WHERE name = 'revision'))"
    )


def _filled(size: int) -> Warehouse:
    store = warehouse.connect("duckdb://")
    store.create(TABLES)
    for statement in FILL:
        store.execute(statement.format(n=size, message=MESSAGE))
    return store


def _answer(store: Warehouse, question: str) -> list[tuple[object, ...]]:
    return sorted(store.backend.con.execute(question).fetchall())
