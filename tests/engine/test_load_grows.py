"""What a load costs grows with the events, whoever's they are: one customer's cost what those of many do.

Bounds are ratios of CPU time in this process, with room for noise; a quadratic step would pass them many times over.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from onevoice.customers.facts import IDENTIFIERS
from onevoice.customers.identifiers import ANONYMOUS, NAMESPACES, Rules
from onevoice.database.inbox import Entry, Kind
from onevoice.engine.load import TABLES, take
from onevoice.events.facts import EVENTS
from onevoice.warehouse import Warehouse, connect
from tests.conftest import NOW

ROOMY = Rules({**NAMESPACES, ANONYMOUS: replace(NAMESPACES[ANONYMOUS], limit=2_000)})
"""Rules that let one customer have a thousand devices."""

Named = Callable[[int], dict[str, str]]


def entry(numbers: Sequence[int], named: Named) -> Entry:
    lines = []
    for number in numbers:
        call = {"event": "Product Viewed", "properties": {"product_id": f"p{number % 50}"}, **named(number)}
        line = {"type": "track", "message_id": f"m{number}", "occurred_at": NOW, "call": call}
        lines.append(msgspec.json.encode(line))
    return Entry(1, Kind.EVENT, NOW, b"\n".join(lines), len(lines))


def loaded(events: int, batch: int, named: Named) -> tuple[Warehouse, float]:
    """A warehouse with so many events, taken in batches; and the CPU seconds that took."""
    store = connect("duckdb://")
    store.create(TABLES)
    with store.transaction():  # what is done once for all is done before
        take(store, [entry(range(events, events + batch), named)], {1: "web"}, b"s", 1, ROOMY)
    entries = [entry(range(start, start + batch), named) for start in range(0, events, batch)]
    began = time.process_time()
    for revision, one in enumerate(entries, 2):
        with store.transaction():
            take(store, [one], {1: "web"}, b"s", revision, ROOMY)
    return store, time.process_time() - began


def one_customer(_number: int) -> dict[str, str]:
    return {"userId": "u", "anonymousId": "d"}


def many(number: int) -> dict[str, str]:
    return {"userId": f"u{number // 10}", "anonymousId": f"d{number // 10}"}


def customers(store: Warehouse) -> int:
    return store.count(store.table(IDENTIFIERS).select("customer_id").distinct())


def test_ten_thousand_events_of_one_customer_in_one_batch() -> None:
    store, seconds = loaded(10_000, 10_000, one_customer)
    assert (customers(store), store.count(store.table(EVENTS))) == (1, 20_000)
    assert seconds < 2 * loaded(10_000, 10_000, many)[1]


def test_ten_thousand_events_of_one_customer_in_many_batches() -> None:
    store, seconds = loaded(10_000, 1_000, one_customer)
    assert (customers(store), store.count(store.table(EVENTS))) == (1, 11_000)
    assert seconds < 2 * loaded(10_000, 1_000, many)[1]


def test_a_profile_of_a_thousand_identifiers() -> None:
    store, seconds = loaded(900, 100, lambda number: {"userId": "u", "anonymousId": f"d{number}"})
    assert (customers(store), store.count(store.table(IDENTIFIERS))) == (1, 1_001)
    _, scattered = loaded(900, 100, lambda number: {"userId": f"u{number}", "anonymousId": f"d{number}"})
    assert seconds < 3 * scattered
