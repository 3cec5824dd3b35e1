"""One customer may have any number of events and identifiers. What that costs: `python -m benchmarks load`."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import pytest

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


def loaded(events: int, batch: int, named: Named) -> Warehouse:
    """A warehouse with so many events, taken in batches."""
    store = connect("duckdb://")
    store.create(TABLES)
    for revision, start in enumerate(range(0, events, batch), 1):
        with store.transaction():
            take(store, [entry(range(start, start + batch), named)], {1: "web"}, b"s", revision, ROOMY)
    return store


def one_customer(_number: int) -> dict[str, str]:
    return {"userId": "u", "anonymousId": "d"}


def customers(store: Warehouse) -> int:
    return store.count(store.table(IDENTIFIERS).select("customer_id").distinct())


@pytest.mark.parametrize("batch", [10_000, 1_000])
def test_ten_thousand_events_of_one_customer(batch: int) -> None:
    store = loaded(10_000, batch, one_customer)
    assert (customers(store), store.count(store.table(EVENTS))) == (1, 10_000)


def test_a_profile_of_a_thousand_identifiers() -> None:
    store = loaded(1_000, 100, lambda number: {"userId": "u", "anonymousId": f"d{number}"})
    assert (customers(store), store.count(store.table(IDENTIFIERS))) == (1, 1_001)
