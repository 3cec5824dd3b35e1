"""The tick: a cascade reaches each person once per channel at most, stops when they react, and says why it did not send."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onevoice.customers.facts import SUPPRESSIONS
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys.document import Policy, QuietHours
from onevoice.journeys.facts import DECISIONS, ENROLMENTS
from onevoice.journeys.policy import quiet_until
from onevoice.journeys.tick import tick
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse, connect
from tests.conftest import ALL_FACTS, NOW
from tests.journeys.builders import CHANNELS, add, consent, customer, journey, order, react

DAY = timedelta(days=1)


def sent(store: Warehouse) -> list[tuple[int, str]]:
    return sorted((row["customer_id"], row["channel"]) for row in store.rows(store.table(MESSAGES)))


def reasons(store: Warehouse, number: int) -> list[str]:
    decisions = store.table(DECISIONS)
    rows = store.rows(decisions.filter(decisions.customer_id == number).order_by("decided_at", "step"))
    return [row["reason"] for row in rows]


def test_a_cascade_goes_on_to_the_next_channel_only_for_those_who_did_not_react(store: Warehouse) -> None:
    customer(store, 1), customer(store, 2)
    tick(store, [journey()], NOW)
    assert sent(store) == [(1, "email"), (2, "email")]
    react(store, 1, "email", "opened", NOW + DAY)
    tick(store, [journey()], NOW + 2 * DAY)
    assert len(sent(store)) == 2
    tick(store, [journey()], NOW + 3 * DAY)
    assert sent(store) == [(1, "email"), (2, "email"), (2, "push")]
    assert reasons(store, 1) == ["allowed", "already_reached"]
    react(store, 2, "push", "clicked", NOW + 4 * DAY)
    tick(store, [journey()], NOW + 5 * DAY)
    assert sent(store) == [(1, "email"), (2, "email"), (2, "push")]
    states = {row["customer_id"]: row["reason"] for row in store.rows(store.table(ENROLMENTS))}
    assert states == {1: "reacted", 2: "reacted"}


def test_who_reacts_to_nothing_gets_each_channel_once(store: Warehouse) -> None:
    customer(store, 1)
    for hours in range(0, 24 * 8, 12):
        tick(store, [journey()], NOW + timedelta(hours=hours))
    assert sent(store) == [(1, "email"), (1, "push"), (1, "sms")]
    assert [row["reason"] for row in store.rows(store.table(ENROLMENTS))] == ["completed"]


def test_a_second_tick_at_the_same_time_changes_nothing(store: Warehouse) -> None:
    customer(store, 1)
    tick(store, [journey()], NOW)
    before = [store.count(store.table(facts)) for facts in (MESSAGES, DECISIONS, ENROLMENTS)]
    tick(store, [journey()], NOW)
    assert [store.count(store.table(facts)) for facts in (MESSAGES, DECISIONS, ENROLMENTS)] == before


def test_a_tick_cut_off_has_not_been(duck: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    customer(duck, 1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(duck, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        tick(duck, [journey()], NOW)
    assert [duck.count(duck.table(facts)) for facts in (MESSAGES, DECISIONS, ENROLMENTS)] == [0, 0, 0]
    tick(duck, [journey()], NOW)
    assert sent(duck) == [(1, "email")]


def test_the_first_rule_that_objects_is_the_reason_and_the_next_channel_is_tried_at_once(store: Warehouse) -> None:
    customer(store, 1, channels=("push", "sms"))
    customer(store, 2, consents=("sms",))
    customer(store, 3)
    add(store, SUPPRESSIONS, channel="email", address_hash="hash-email-3", reason="bounced", suppressed_at=naive(NOW))
    tick(store, [journey()], NOW)
    assert sent(store) == [(1, "push"), (2, "sms"), (3, "push")]
    assert reasons(store, 1) == ["unreachable", "allowed"]
    assert reasons(store, 2) == ["no_consent", "no_consent", "allowed"]
    assert reasons(store, 3) == ["suppressed", "allowed"]


def test_the_newest_word_on_consent_counts_over_all_identifiers_and_a_tie_is_a_refusal(store: Warehouse) -> None:
    for number, change in ((1, timedelta(days=1)), (2, timedelta(days=-1)), (3, timedelta())):
        customer(store, number, channels=("email",))
        consent(store, number, "email", "withdrawn", naive(NOW - 30 * DAY + change), identifier=number + 100)
    tick(store, [journey()], NOW)
    assert sent(store) == [(2, "email")]


def test_the_cap_counts_the_messages_of_all_journeys_in_its_window(store: Warehouse) -> None:
    customer(store, 1)
    other = journey(name="other", policy={})
    tick(store, [other], NOW)
    capped = journey(policy={"cap": {"messages": 1, "days": 7}})
    tick(store, [capped], NOW + DAY)
    assert reasons(store, 1) == ["allowed", "over_cap", "over_cap", "over_cap"]
    decisions = store.table(DECISIONS)
    seen = json.loads(store.rows(decisions.filter(decisions.reason == "over_cap"))[0]["seen"])
    assert seen["messages_in_window"] == 1 and seen["cap"] == 1


def test_quiet_hours_defer_to_the_morning_where_the_customer_lives(store: Warehouse) -> None:
    customer(store, 1, zone="Asia/Jakarta")  # 10:00 UTC is 17:00 there
    customer(store, 2, zone="America/Los_Angeles")  # and 02:00 there
    customer(store, 3, zone="Mars/Olympus")  # unknown zones count as UTC
    tick(store, [journey()], NOW)
    assert sent(store) == [(1, "email"), (3, "email")]
    tick(store, [journey()], datetime(2026, 3, 2, 15, 59, tzinfo=UTC))
    assert len(sent(store)) == 2
    tick(store, [journey()], datetime(2026, 3, 2, 16, 0, tzinfo=UTC))  # 08:00 there
    assert (2, "email") in sent(store)
    assert reasons(store, 2) == ["quiet_hours", "allowed"]


@pytest.mark.parametrize(
    "zone", ["Europe/Rome", "America/New_York", "Asia/Jakarta", "Africa/Cairo", "Europe/Bucharest"]
)
@pytest.mark.parametrize("night", [datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 10, 24, 23, tzinfo=UTC)])
def test_quiet_hours_end_at_eight_on_the_wall_whatever_the_clocks_do(zone: str, night: datetime) -> None:
    policy = Policy(quiet_hours=QuietHours("21:00", "08:00"))
    for hour in range(30):
        now = night + timedelta(hours=hour)
        until, there = quiet_until(zone, policy, now), now.astimezone(ZoneInfo(zone))
        assert (until is not None) == (there.hour >= 21 or there.hour < 8)
        if until:
            wall = until.astimezone(ZoneInfo(zone))
            assert (wall.hour, wall.minute) == (8, 0) and timedelta() < until - now <= timedelta(hours=12)


def test_an_order_ends_the_journey_though_nobody_is_due(store: Warehouse) -> None:
    customer(store, 1), customer(store, 2)
    order(store, 1, NOW - DAY)  # before entering: does not count
    tick(store, [journey()], NOW)
    order(store, 1, NOW + DAY)
    tick(store, [journey()], NOW + DAY + timedelta(hours=1))
    states = {row["customer_id"]: (row["state"], row["reason"]) for row in store.rows(store.table(ENROLMENTS))}
    assert states == {1: ("exited", "goal"), 2: ("active", "")}


def test_the_holdout_is_never_contacted_and_is_kept_with_its_reason(store: Warehouse) -> None:
    for number in range(1, 201):
        customer(store, number * 7_919_000_003, channels=("email",), consents=("email",))
    live = journey(holdout=0.25)
    tick(store, [live], NOW)
    tick(store, [live], NOW + 3 * DAY)
    arms = Counter(row["arm"] for row in store.rows(store.table(ENROLMENTS)))
    assert arms["treated"] + arms["holdout"] == 200 and 25 <= arms["holdout"] <= 75
    assert len(sent(store)) == arms["treated"]
    decisions = store.table(DECISIONS)
    assert store.count(decisions.filter(decisions.reason == "holdout")) == arms["holdout"]


@pytest.fixture(scope="module")
def memory() -> Warehouse:
    warehouse = connect("duckdb://")
    warehouse.create(ALL_FACTS)
    return warehouse


PERSON = st.fixed_dictionaries(
    {
        "channels": st.sets(st.sampled_from(CHANNELS)).map(lambda found: tuple(sorted(found))),
        "consents": st.sets(st.sampled_from(CHANNELS)).map(lambda found: tuple(sorted(found))),
        "zone": st.sampled_from(["UTC", "Asia/Jakarta", "America/Los_Angeles"]),
        "opens": st.sampled_from(["", *CHANNELS]),
        "withdraws": st.sampled_from(["", *CHANNELS]),
    }
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people=st.lists(PERSON, min_size=1, max_size=5), pauses=st.lists(st.integers(1, 60), min_size=1, max_size=10))
def test_nobody_gets_a_message_twice_or_without_consent_whenever_the_ticks_come(memory, people, pauses) -> None:
    for facts in ALL_FACTS:
        memory.execute(f"DELETE FROM {facts.name}")
    for number, person in enumerate(people, 1):
        customer(memory, number, person["channels"], person["consents"], person["zone"])
        if person["withdraws"]:
            consent(memory, number, person["withdraws"], "withdrawn", naive(NOW), identifier=number + 100)
    now, live = NOW, journey()
    for pause in pauses:
        tick(memory, [live], now)
        for number, person in enumerate(people, 1):
            if (number, person["opens"]) in sent(memory):
                react(memory, number, person["opens"], "opened", now)
        now += timedelta(hours=pause)
    got = sent(memory)
    assert len(got) == len(set(got))
    for number, channel in got:
        person = people[number - 1]
        assert channel in person["channels"] and channel in person["consents"] and channel != person["withdraws"]
        if person["opens"] and (number, person["opens"]) in got:
            assert CHANNELS.index(channel) <= CHANNELS.index(person["opens"])
