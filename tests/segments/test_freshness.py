"""What is computed for a few is what would be computed for all, after any facts, merges, partings and time passing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import duckdb
import ibis.expr.types as ir
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from onevoice import warehouse as warehouses
from onevoice.customers.facts import CONSENT_EXPIRIES
from onevoice.customers.schemas import ConsentEntry
from onevoice.database.inbox import Entry, Kind
from onevoice.engine.load import take
from onevoice.events.facts import EVENTS
from onevoice.kernel.clock import naive
from onevoice.kernel.ids import identifier_id
from onevoice.segments.compiler import members
from onevoice.segments.facts import SEGMENT_MEMBERS, SEGMENT_STATES
from onevoice.segments.plan import Plan, plan
from onevoice.segments.refresh import WHOLE_EVERY, Refresher
from onevoice.segments.service import SavedSegment
from onevoice.warehouse import Warehouse
from onevoice.warehouse.moving import Moving
from tests.conftest import ALL_FACTS, NOW

CONDITIONS: dict[str, dict[str, Any]] = {
    "viewers": {"event": {"name": "Viewed", "at_least": 2, "within": "3 days"}},
    "red": {"event": {"name": "Viewed", "where": {"colour": "red"}, "within": "36 hours"}},
    "never": {"not": {"event": {"name": "Viewed"}}},
    "spenders": {"orders": {"measure": "revenue", "at_least": 50, "within": "10 days"}},
    "few orders": {"orders": {"at_most": 1, "within": "5 days"}},
    "dormant": {"last_order": {"before": "4 days"}},
    "romans": {"trait": {"name": "city", "equals": "Roma"}},
    "willing": {"consent": {"channel": "email", "topic": "offers"}},
    "written to": {"reachable": {"channel": "email"}},
    "a both": {"all": [{"segment": {"name": "viewers"}}, {"not": {"segment": {"name": "dormant"}}}]},
    "a both's others": {"not": {"segment": {"name": "a both"}}},
    "came in": {"event": {"name": "Segment Entered", "where": {"segment": "viewers"}, "within": "2 days"}},
    "forgot": {
        "sequence": {
            "steps": [{"event": "Viewed"}, {"of": "orders", "absent": True, "within": "2 days"}],
            "within": "9 days",
        }
    },
    "stopped": {"stopped": {"event": "Viewed", "quiet": "1 day", "active": "3 days"}},
    "returned": {"returned": {"event": "Viewed", "within": "1 day", "quiet": "2 days"}},
    "last long ago": {"last": {"event": "Viewed", "before": "40 hours"}},
    "first lately": {"first": {"of": "orders", "within": "3 days"}},
    "top": {"aggregate": {"of": "orders", "function": "sum", "property": "revenue", "top_percent": 40}},
    "less": {
        "aggregate": {
            "of": "orders",
            "function": "count",
            "within": "2 days",
            "below": {"of": "orders", "function": "count", "before": "2 days", "within": "6 days"},
        }
    },
    "since a day": {"event": {"name": "Viewed", "since": "2026-02-28", "within": "3 days"}},
    "until a day": {"event": {"name": "Viewed", "until": "2026-03-04", "at_least": 2}},
    "today": {"event": {"name": "Viewed", "during": "today"}},
    "half": {"share": {"salt": "x", "percent": 50}},
    "tree": {
        "any": [
            {"all": [{"trait": {"name": "city", "exists": True}}, {"not": {"orders": {"at_least": 1}}}]},
            {"event": {"name": "Viewed", "exactly": 1, "within": "1 day"}},
        ]
    },
}
SEGMENTS = [SavedSegment(name, 1, {"where": where}) for name, where in CONDITIONS.items()]

PLANS: dict[bool, dict[str, Plan]] = {}
"""Of a store, compiled once for all examples."""

Fact = tuple[str, int, int, int]
"""What happens, to which of few users, on which of few devices, and so many hours before now."""

FACTS = st.tuples(
    st.sampled_from(["view", "red view", "order", "identify", "rome", "milan", "grant", "withdraw"]),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(-30, 130),
)
STEPS = st.lists(
    st.tuples(st.lists(FACTS, max_size=5), st.sampled_from([0, 1, 60, 3_601, 30_000, 86_400, 500_000])),
    min_size=1,
    max_size=6,
)


UNSHRUNK = [phase for phase in Phase if phase is not Phase.shrink]
"""An example takes a second; to make a failing one small would take many minutes."""


def entry(fact: Fact, number: int, now: datetime) -> Entry:
    what, user, device, hours = fact
    at = now - timedelta(hours=hours)
    if what in ("grant", "withdraw"):
        state = "granted" if what == "grant" else "withdrawn"
        named = ("user_id", f"u{user}")
        consent = ConsentEntry(identifier_id(*named), "email", "offers", state, at, *named)
        return Entry(1, Kind.CONSENT, now, msgspec.json.encode(consent))
    call: dict[str, Any] = {"userId": f"u{user}"}
    if what == "identify":
        call |= {"anonymousId": f"d{device}", "traits": {"email": f"d{device}@example.com"}}
    elif what in ("rome", "milan"):
        call |= {"traits": {"city": "Roma" if what == "rome" else "Milano"}}
    elif what == "order":
        call |= {"event": "Order Completed", "properties": {"order_id": f"o{user}{device}", "revenue": 20.0 + hours}}
    else:
        call = {"anonymousId": f"d{device}", "event": "Viewed", "properties": {"colour": what.split()[0]}}
    kind = "track" if "event" in call else "identify"
    body = {"type": kind, "message_id": f"m{number}", "occurred_at": at.isoformat(), "call": call}
    return Entry(1, Kind.EVENT, now, json.dumps(body).encode())


def written(store: Warehouse) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {name: set() for name in CONDITIONS}
    for row in store.rows(store.table(SEGMENT_MEMBERS)):
        assert row["customer_id"] not in found[row["segment"]], "a member twice"
        found[row["segment"]].add(row["customer_id"])
    return found


def from_scratch(store: Warehouse, now: datetime) -> dict[str, set[int]]:
    return {
        one.name: {row["customer_id"] for row in store.rows(members(one.condition, store, now))} for one in SEGMENTS
    }


def play(store: Warehouse, steps: Sequence[tuple[Sequence[Fact], int]]) -> None:
    # Never whole again of itself: what the edges of windows miss must come to light.
    refresher, now, number = Refresher(store, again_every=timedelta(days=10_000)), NOW, 0
    refresher.plans = dict(PLANS.get(store.is_duckdb, {}))
    refresher.all(SEGMENTS, now)
    PLANS[store.is_duckdb] = dict(refresher.plans)
    for revision, (facts, seconds) in enumerate(steps, 1):
        entries = [entry(fact, number + index, now) for index, fact in enumerate(facts)]
        number += len(entries)
        take(store, entries, {1: "web"}, b"secret", revision)
        refresher.all(SEGMENTS, now)
        assert written(store) == from_scratch(store, now), f"after facts {facts}"
        now += timedelta(seconds=seconds)
        refresher.all(SEGMENTS, now)
        if seconds == 0 or seconds >= WHOLE_EVERY.total_seconds():
            assert written(store) == from_scratch(store, now), f"after {seconds} s"


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), phases=UNSHRUNK)
@given(STEPS)
def test_asking_those_concerned_is_asking_everybody(steps: list[tuple[list[Fact], int]]) -> None:
    store = warehouses.connect("duckdb://")
    store.create(ALL_FACTS)
    play(store, steps)
    store.close()


def test_on_both_stores_a_story_of_facts_merge_parting_and_time(store: Warehouse) -> None:
    view, red, order = ("view", 0, 0, 1), ("red view", 0, 0, 30), ("order", 1, 1, 90)
    merge, part, rome = ("identify", 0, 0, 0), ("identify", 2, 0, 0), ("rome", 1, 0, 5)
    play(store, [([view, red, order], 60), ([merge, rome, view], 30_000), ([part, view], 86_400), ([], 500_000)])


def test_entering_and_leaving_are_events_but_not_for_those_who_are_in_at_first(duck: Warehouse) -> None:
    take(duck, [entry(("view", 0, 0, 1), 1, NOW), entry(("view", 0, 0, 2), 2, NOW)], {}, b"secret", 1)
    refresher = Refresher(duck)
    viewers = [one for one in SEGMENTS if one.name == "viewers"]
    refresher.all(viewers, NOW)
    assert told(duck) == []
    take(duck, [entry(("view", 1, 1, 1), 3, NOW), entry(("view", 1, 1, 2), 4, NOW)], {}, b"secret", 2)
    refresher.all(viewers, NOW)
    assert told(duck) == [("Segment Entered", naive(NOW))]
    later = NOW + timedelta(days=4)
    refresher.all(viewers, later)
    assert told(duck) == [("Segment Entered", naive(NOW)), *[("Segment Left", naive(later))] * 2]
    refresher.all(viewers, later + timedelta(minutes=1))
    assert len(told(duck)) == 3


def test_what_is_too_much_for_the_memory_at_once_is_asked_one_by_one(
    duck: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresher = Refresher(duck)
    refresher.all(SEGMENTS, NOW)
    inside = duck.table(SEGMENT_MEMBERS).select("segment", "customer_id").order_by("segment", "customer_id")
    before = duck.rows(inside)
    take(duck, [entry(("view", 1, 1, 1), 3, NOW), entry(("grant", 0, 0, 1), 4, NOW)], {}, b"secret", 2)
    gathered = Warehouse.gather

    def scarce(self: Warehouse, name: str, key: str, column: str, queries: Mapping[str, str]) -> ir.Table:
        if len(queries) > 1:
            raise duckdb.OutOfMemoryException("too much at once")
        return gathered(self, name, key, column, queries)

    monkeypatch.setattr(Warehouse, "gather", scarce)
    refresher.all(SEGMENTS, NOW)
    found = duck.rows(inside)
    assert not refresher.stale and found != before
    duck.delete(SEGMENT_MEMBERS, duck.table(SEGMENT_MEMBERS).select("segment", "customer_id"))
    Refresher(duck).all(SEGMENTS, NOW)
    assert duck.rows(inside) == found


def told(store: Warehouse) -> list[tuple[str, datetime]]:
    events = store.table(EVENTS)
    rows = store.rows(events.filter(events.source_id == 0))
    assert all(json.loads(row["properties"]) == {"segment": "viewers"} for row in rows)
    assert len({row["event_id"] for row in rows}) == len(rows)
    return sorted((row["name"], row["occurred_at"]) for row in rows)


def test_only_segments_that_read_what_was_written_are_asked(duck: Warehouse) -> None:
    refresher = Refresher(duck)
    refresher.all(SEGMENTS, NOW)
    take(duck, [entry(("grant", 0, 0, 1), 1, NOW)], {}, b"secret", 1)
    refresher.prepare(SEGMENTS, NOW)
    names = refresher.pending.segments
    assert "willing" in names and not names & {"viewers", "spenders", "dormant", "romans"}
    assert len(refresher.pending.customers) == 1 and not refresher.stale


def test_what_several_segments_measure_alike_is_measured_once(duck: Warehouse) -> None:
    def measured(**where: Any) -> set[str]:
        return {one.name for one in plan(SavedSegment("s", 1, {"where": where}), duck).measurements}

    by_channel = [measured(prefers={"channel": one, "within": "90 days"}) for one in ("email", "push", "sms")]
    assert by_channel[0] == by_channel[1] == by_channel[2] != measured(prefers={"channel": "sms"})


def test_a_segment_that_cannot_be_computed_keeps_its_members_and_says_why_and_holds_up_nobody(duck: Warehouse) -> None:
    refresher = Refresher(duck)
    take(duck, [entry(("rome", 0, 0, 1), 1, NOW)], {}, b"secret", 1)
    refresher.all(SEGMENTS, NOW)
    broken = Moving(("SELECT nothing_of_this_name AS customer_id FROM profiles",), (), is_duckdb=True)
    query = replace(refresher.plans["romans"].members, some=broken, everybody=broken)
    refresher.plans["romans"] = replace(refresher.plans["romans"], members=query)
    take(duck, [entry(("rome", 1, 0, 1), 2, NOW), entry(("view", 1, 1, 1), 3, NOW)], {}, b"secret", 2)
    refresher.all(SEGMENTS, NOW)
    assert len(written(duck)["romans"]) == 1
    assert written(duck)["tree"] == from_scratch(duck, NOW)["tree"]
    errors = {row["segment"]: row["error"] for row in duck.rows(duck.table(SEGMENT_STATES))}
    assert "nothing_of_this_name" in errors.pop("romans") and set(errors.values()) == {None}


def test_with_a_budget_the_waiting_are_computed_step_by_step_and_none_is_forgotten(duck: Warehouse) -> None:
    refresher = Refresher(duck)
    take(duck, [entry(("view", 0, 0, 1), 1, NOW), entry(("view", 0, 0, 2), 2, NOW)], {}, b"secret", 1)
    for number in range(len(SEGMENTS)):
        refresher.prepare(SEGMENTS, NOW)
        assert len(refresher.stale) == len(SEGMENTS) - number
        refresher.others(NOW, timedelta())
    refresher.all(SEGMENTS, NOW)
    assert written(duck) == from_scratch(duck, NOW)


def test_a_new_rule_about_the_age_of_consents_is_kept_to_at_once(duck: Warehouse) -> None:
    willing = [one for one in SEGMENTS if one.name == "willing"]
    refresher = Refresher(duck)
    take(duck, [entry(("grant", 0, 0, 40 * 24), 1, NOW), entry(("grant", 1, 1, 1), 2, NOW)], {}, b"secret", 1)
    refresher.all(willing, NOW)
    assert len(written(duck)["willing"]) == 2
    rule = {"country": ["*"], "channel": ["email"], "topic": ["*"], "state": ["granted"], "months": [1]}
    duck.append(CONSENT_EXPIRIES, CONSENT_EXPIRIES.arrow(rule))
    refresher.all(willing, NOW)
    assert len(written(duck)["willing"]) == 1


def test_a_segment_that_is_no_more_has_no_members(duck: Warehouse) -> None:
    take(duck, [entry(("rome", 0, 0, 1), 1, NOW)], {}, b"secret", 1)
    refresher = Refresher(duck)
    refresher.all(SEGMENTS, NOW)
    assert written(duck)["romans"]
    refresher.all([one for one in SEGMENTS if one.name != "romans"], NOW)
    assert not written(duck)["romans"] and written(duck)["never"]
    assert told_all(duck) == 0


def told_all(store: Warehouse) -> int:
    events = store.table(EVENTS)
    return store.count(events.filter(events.source_id == 0))
