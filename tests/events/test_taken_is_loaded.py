"""What ingest answers 200 for, the load must take: an entry it cannot read would stop it, one it skips is lost."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from onevoice import warehouse
from onevoice.database.inbox import Entry, Kind
from onevoice.events import tracking
from onevoice.events.facts import EVENTS
from onevoice.events.load import load
from tests.conftest import ALL_FACTS, NOW
from tests.events.test_load import PROJECTED
from tests.events.test_tracking import FIELDS, JSON

IDS = st.sampled_from(["u1", "u2", 7, 1.5, 10**30, "null", "", None])
AMOUNTS = st.sampled_from([0, 1, -2.5, "1.5", 9e11, 1e300, None])
TIMES = st.sampled_from(["2026-03-02T10:00:00Z", "2020-01-01", 1_700_000_000, "9999-12-31", 1e300])
EXTERNAL = st.fixed_dictionaries(
    {"id": IDS, "type": st.sampled_from(["loyalty_card", ""]), "collection": st.sampled_from(["users", "accounts"])}
)
LINES = st.lists(
    st.fixed_dictionaries({}, optional={"product_id": IDS, "quantity": AMOUNTS, "price": AMOUNTS, "revenue": AMOUNTS}),
    max_size=2,
)
ORDER = st.fixed_dictionaries(
    {}, optional={"order_id": IDS, "revenue": AMOUNTS, "products": LINES | LINES.map(lambda lines: lines * 150)}
)
TRAITS = st.dictionaries(st.sampled_from(["email", "phone", "locale", "", "\x00", "a b"]), JSON, max_size=2)
CONTEXT = st.fixed_dictionaries({}, optional={"traits": TRAITS, "externalIds": st.lists(EXTERNAL, max_size=2)})
CALL = st.fixed_dictionaries(
    {
        "userId": st.sampled_from(["u1", "u2", "u3", 7]) | IDS,
        "type": st.sampled_from(["track", "identify", "page", "group", "alias"]),
        "groupId": st.just("g"),
        "previousId": st.just("p") | IDS,
        "event": st.sampled_from(["Order Completed", "Product Viewed"]),
    },
    optional={
        "anonymousId": IDS,
        "timestamp": TIMES,
        "context": CONTEXT,
        "properties": ORDER,
        "traits": TRAITS,
    },
)
ODD = st.builds(lambda call, name, value: {**call, name: value}, CALL, st.sampled_from(FIELDS), JSON)
BODY = st.fixed_dictionaries({"batch": st.lists(CALL | ODD, min_size=8, max_size=30)}, optional={"context": CONTEXT})


def test_every_call_that_is_taken_is_loaded() -> None:
    taken = 0

    @settings(max_examples=10, deadline=None)
    @given(BODY)
    def check(body: Any) -> None:
        nonlocal taken
        intake = tracking.take(tracking.read(json.dumps(body).encode(), None), 1, NOW)
        lines = intake.brought.lines
        assert len(lines) + len(intake.brought.refused) == len(body["batch"])
        store = warehouse.connect("duckdb://")
        store.create(ALL_FACTS)
        with store.transaction():
            if lines:
                load(store, [Entry(1, Kind.EVENT, NOW, b"\n".join(lines), len(lines))], {}, b"s" * 32, 1, PROJECTED)
        assert store.count(store.table(EVENTS)) == len(lines)
        store.close()
        taken += len(lines)

    check()
    assert taken > 20  # the strategies above must not be so odd that nothing gets so far
