"""The tick: each person is reached once per channel at most, none who reacted or may not be, and it says why not."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import combinations
from math import sqrt
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onevoice.customers.facts import CONSENTS
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys.facts import DECISIONS, ENROLMENTS
from onevoice.journeys.figures import figures
from onevoice.journeys.hashing import in_holdout
from onevoice.journeys.tick import tick
from onevoice.kernel.clock import naive
from onevoice.kernel.ids import identifier_id
from onevoice.warehouse import Warehouse, connect
from tests.conftest import ALL_FACTS, NOW
from tests.journeys.builders import (
    CHANNELS,
    consent,
    customer,
    ends,
    event,
    journey,
    merge,
    order,
    react,
    reasons,
    sent,
    suppress,
)

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def test_a_cascade_goes_on_to_the_next_channel_only_for_those_who_did_not_react(store: Warehouse) -> None:
    customer(store, 1, 2)
    tick(store, [journey()], NOW)
    assert sent(store) == [(1, "email"), (2, "email")]
    react(store, 1, "email", "opened", NOW + DAY)
    tick(store, [journey()], NOW + 3 * DAY - HOUR)
    assert len(sent(store)) == 2
    tick(store, [journey()], NOW + 3 * DAY)
    assert sent(store) == [(1, "email"), (2, "email"), (2, "push")]
    assert reasons(store, 1) == ["allowed", "already_reached"]
    react(store, 2, "push", "clicked", NOW + 4 * DAY)
    tick(store, [journey()], NOW + 5 * DAY)
    assert sent(store) == [(1, "email"), (2, "email"), (2, "push")]
    assert ends(store) == {1: "reacted", 2: "reacted"}


def test_only_the_reactions_that_are_named_stop_a_cascade(store: Warehouse) -> None:
    customer(store, 1, 2)
    cascade = {"stop_on": ["clicked"], "channels": [send("email", "1 day"), send("push")]}
    live = journey(steps=[{"id": "a", "cascade": cascade}])
    tick(store, [live], NOW)
    react(store, 1, "email", "opened", NOW + HOUR)
    react(store, 2, "email", "clicked", NOW + HOUR)
    tick(store, [live], NOW + 3 * DAY)
    assert sent(store) == [(1, "email"), (1, "push"), (2, "email")]


def test_a_second_tick_at_the_same_time_changes_nothing(store: Warehouse) -> None:
    customer(store, 1)
    tick(store, [journey()], NOW)
    before = [store.count(store.table(facts)) for facts in (MESSAGES, DECISIONS, ENROLMENTS)]
    tick(store, [journey()], NOW)
    assert [store.count(store.table(facts)) for facts in (MESSAGES, DECISIONS, ENROLMENTS)] == before == [1, 1, 1]


def test_a_tick_cut_off_anywhere_plans_nothing_twice(store: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """On DuckDB nothing of it has been; on a store without transactions the next one takes up what is there."""
    customer(store, 1, 2, zone="Europe/Rome")
    writes = 0

    def cut(name: str, after: int) -> None:
        real = getattr(store, name)

        def fails(*arguments: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes > after:
                raise KeyboardInterrupt
            return real(*arguments)

        patch.setattr(store, name, fails)

    for after in range(4):
        writes = 0
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            cut("append", after), cut("delete", after)
            tick(store, [journey()], NOW)
        if store.is_duckdb:
            assert [store.count(store.table(facts)) for facts in (MESSAGES, DECISIONS, ENROLMENTS)] == [0, 0, 0]
    tick(store, [journey()], NOW)
    assert sent(store) == [(1, "email"), (2, "email")]
    assert store.count(store.table(ENROLMENTS)) == 2


def test_who_is_refused_on_a_channel_is_tried_on_the_next_at_once(store: Warehouse) -> None:
    customer(store, 1, channels=("push", "sms"))
    customer(store, 2, consents=("sms",))
    customer(store, 3)
    customer(store, 4, channels=())
    suppress(store, 3, "email")
    tick(store, [journey()], NOW)
    assert sent(store) == [(1, "push"), (2, "sms"), (3, "push")]
    assert reasons(store, 1) == ["unreachable", "allowed"]
    assert reasons(store, 2) == ["no_consent", "no_consent", "allowed"]
    assert reasons(store, 3) == ["suppressed", "allowed"]
    assert reasons(store, 4) == ["unreachable"] * 3
    assert ends(store) == {1: "", 2: "completed", 3: "", 4: "completed"}


def test_the_cap_counts_the_messages_of_all_journeys_also_of_the_same_tick(store: Warehouse) -> None:
    customer(store, 1)
    other, capped = journey(name="other", policy={}), journey(policy={"cap": {"messages": 1, "days": 7}})
    tick(store, [other, capped], NOW)
    assert sent(store) == [(1, "email")]
    assert sorted(reasons(store, 1)) == ["allowed", "over_cap", "over_cap", "over_cap"]
    decisions = store.table(DECISIONS)
    seen = json.loads(store.rows(decisions.filter(decisions.reason == "over_cap"))[0]["seen"])
    assert seen["caps"] == {"1/7 days": 1}


def test_quiet_hours_put_off_to_the_morning_where_the_customer_lives(store: Warehouse) -> None:
    customer(store, 1, zone="Asia/Jakarta")  # 10:00 UTC is 17:00 there
    customer(store, 2, zone="America/Los_Angeles")  # and 02:00 there
    tick(store, [journey()], NOW)
    assert sent(store) == [(1, "email")]
    tick(store, [journey()], datetime(2026, 3, 2, 15, 59, tzinfo=UTC))
    assert len(sent(store)) == 1
    tick(store, [journey()], datetime(2026, 3, 2, 16, 0, tzinfo=UTC))  # 08:00 there
    assert sent(store) == [(1, "email"), (2, "email")]
    assert reasons(store, 2) == ["quiet_hours", "allowed"]


def test_an_order_ends_the_journey_though_nobody_is_due(store: Warehouse) -> None:
    customer(store, 1, 2)
    order(store, 1, NOW - DAY)  # before entering: does not count
    tick(store, [journey()], NOW)
    order(store, 1, NOW + DAY)
    tick(store, [journey()], NOW + DAY + HOUR)
    assert ends(store) == {1: "goal", 2: ""}
    assert reasons(store, 1) == ["allowed", "goal"]


def test_any_event_can_be_the_goal(store: Warehouse) -> None:
    customer(store, 1, 2)
    live = journey(goal={"event": "Newsletter Joined"})
    tick(store, [live], NOW)
    for number, name in ((1, "Newsletter Joined"), (2, "Product Viewed")):
        event(store, number, name, NOW + HOUR)
    tick(store, [live], NOW + DAY)
    assert ends(store) == {1: "goal", 2: ""}


# -- journeys of several steps


def send(channel: str, wait: str = "0 days") -> dict[str, str]:
    return {"channel": channel, "template": f"t-{channel}", "wait": wait}


def test_a_wait_step_holds_whatever_became_of_the_message_before_it(store: Warehouse) -> None:
    customer(store, 1)
    customer(store, 2, channels=("sms",))
    steps = [
        {"id": "begin", "wait": "2 hours"},
        {"id": "mail", "send": send("email")},
        {"id": "rest", "wait": "3 days"},
        {"id": "text", "send": send("sms")},
        {"id": "end", "wait": "1 week"},
    ]
    live = journey(steps=steps)
    tick(store, [live], NOW)
    assert sent(store) == []
    tick(store, [live], NOW + 2 * HOUR)
    assert sent(store) == [(1, "email")]
    tick(store, [live], NOW + 2 * HOUR + 3 * DAY - HOUR)
    assert sent(store) == [(1, "email")]
    tick(store, [live], NOW + 2 * HOUR + 3 * DAY)
    assert sent(store) == [(1, "email"), (1, "sms"), (2, "sms")]
    assert ends(store) == {1: "", 2: ""}  # still in it, and let in nowhere again meanwhile
    tick(store, [live], NOW + 2 * HOUR + 10 * DAY)
    assert ends(store) == {1: "completed", 2: "completed"}


def test_who_reacts_in_a_cascade_goes_on_to_the_next_step_where_only_its_own_reactions_count(store: Warehouse) -> None:
    customer(store, 1, 2)
    steps = [
        {"id": "first", "cascade": {"channels": [send("email", "1 day"), send("push", "1 day")]}},
        {"id": "rest", "wait": "2 days"},
        {"id": "second", "cascade": {"channels": [send("email", "1 day"), send("sms")]}},
    ]
    live = journey(steps=steps, policy={})
    tick(store, [live], NOW)
    react(store, 1, "email", "opened", NOW + HOUR)
    tick(store, [live], NOW + DAY)  # 1 goes on, two days later; 2 gets the push
    assert sent(store) == [(1, "email"), (2, "email"), (2, "push")]
    tick(store, [live], NOW + 3 * DAY)
    assert sent(store) == [(1, "email"), (1, "email"), (2, "email"), (2, "push")]
    tick(store, [live], NOW + 4 * DAY)  # the opening was of the first cascade: the second goes on
    assert [channel for number, channel in sent(store) if number == 1] == ["email", "email", "sms"]
    assert [channel for number, channel in sent(store) if number == 2] == ["email", "email", "push"]


def test_who_stands_where_a_newer_version_has_nothing_is_out_and_the_others_go_on(store: Warehouse) -> None:
    customer(store, 1)
    customer(store, 2, channels=("push", "sms"))
    tick(store, [journey()], NOW)  # 1 stands at the push, 2 at the SMS
    shorter = {"channels": [send("email", "3 days"), send("push")]}
    tick(store, [journey(steps=[{"id": "cascade", "cascade": shorter}])], NOW + 3 * DAY)
    assert ends(store) == {1: "completed", 2: "step_removed"}
    assert reasons(store, 2) == ["unreachable", "allowed", "step_removed"]


# -- who is one and who is held out


def test_customers_who_turn_out_to_be_one_are_contacted_as_one(store: Warehouse) -> None:
    customer(store, 1, 2)
    live = journey(policy={})
    tick(store, [live], NOW)
    merge(store, 2, into=1)
    tick(store, [live], NOW + 3 * DAY)
    tick(store, [live], NOW + 5 * DAY)
    assert sent(store) == [(1, "email"), (1, "email"), (1, "push"), (1, "sms")]
    assert ends(store) == {1: "completed+merged"}


def test_who_turns_out_to_be_of_the_holdout_is_contacted_no_more(store: Warehouse) -> None:
    numbers = [number * 7_919_000_003 for number in range(1, 60)]
    customer(store, *numbers, channels=("email", "push"))
    live = journey(holdout=0.5)
    tick(store, [live], NOW)
    treated = {number for number, _ in sent(store)}
    held, reached = next(n for n in numbers if n not in treated), min(treated)
    merge(store, held, into=reached)
    tick(store, [live], NOW + 3 * DAY)
    assert (reached, "push") not in sent(store)
    assert ends(store)[reached] == "holdout+merged"
    assert sum(channel == "push" for _, channel in sent(store)) == len(treated) - 1


def test_the_holdout_is_never_contacted_and_is_kept_with_its_reason(store: Warehouse) -> None:
    customer(store, *(number * 7_919_000_003 for number in range(1, 201)), channels=("email",), consents=("email",))
    live = journey(holdout=0.25)
    tick(store, [live], NOW)
    tick(store, [live], NOW + 3 * DAY)
    arms = Counter(row["arm"] for row in store.rows(store.table(ENROLMENTS)))
    assert arms["treated"] + arms["holdout"] == 200 and 25 <= arms["holdout"] <= 75
    assert len(sent(store)) == arms["treated"]
    decisions = store.table(DECISIONS)
    assert store.count(decisions.filter(decisions.reason == "holdout")) == arms["holdout"]


def test_the_holdout_is_the_same_on_every_store_its_share_right_and_independent_between_journeys(
    store: Warehouse,
) -> None:
    ids = [identifier_id("user_id", str(number)) for number in range(40_000)] + [0, 2**63 - 1]
    people = store.stage("people", pa.table({"customer_id": pa.array(ids, pa.int64())}))
    names = ["a", "b", "win-back", "birthday"]
    held = {name: in_holdout(people.customer_id, name, 0.1).cast("int8") for name in names}
    both = {f"{one}+{two}": held[one] * held[two] for one, two in combinations(names, 2)}
    sums = people.mutate(**held, **both).aggregate(**{name: ibis._[name].sum() for name in (*held, *both)})
    counts = {name: int(count) for name, count in store.rows(sums)[0].items()}
    for name, count in counts.items():
        share = 0.1 if name in held else 0.01
        assert abs(count - share * len(ids)) < 4.5 * sqrt(share * (1 - share) * len(ids)), name
    # Whoever is in must stay in from one release to the next.
    assert [counts[name] for name in names] == [4165, 4127, 3938, 3872]


# -- whole stories


def test_the_whole_win_back_over_six_days(store: Warehouse) -> None:
    """Each customer a story; a tick every six hours, from ten in the morning in London."""
    customer(store, 1, 2, 3, 4, 5)
    customer(store, 6, zone="America/Los_Angeles")
    customer(store, 7, consents=("push",))
    customer(store, 8, segment="loyal")
    happens = {
        DAY: lambda: react(store, 1, "email", "opened", NOW + DAY),  # 1 opens the e-mail
        3 * DAY + 6 * HOUR: lambda: react(store, 2, "push", "clicked", NOW + 3 * DAY),  # 2 clicks the push
        4 * DAY: lambda: order(store, 3, NOW + 4 * DAY),  # 3 buys between push and SMS
        4 * DAY + HOUR: lambda: suppress(store, 4, "sms"),  # 4's telephone is dead by the time of the SMS
    }
    since = timedelta()
    while since <= 6 * DAY:
        for moment in [moment for moment in happens if moment <= since]:
            happens.pop(moment)()
        tick(store, [journey()], NOW + since)
        since += 6 * HOUR
    messages = store.table(MESSAGES)
    planned = {(row["customer_id"], row["channel"]): row["planned_at"] - naive(NOW) for row in store.rows(messages)}
    assert planned == {
        **{(number, "email"): timedelta() for number in range(1, 6)},
        **{(number, "push"): 3 * DAY for number in (2, 3, 4, 5)},
        (5, "sms"): 5 * DAY,
        (6, "email"): 6 * HOUR,  # 02:00 there put off to 08:00
        (6, "push"): 3 * DAY + 6 * HOUR,
        (6, "sms"): 5 * DAY + 6 * HOUR,
        (7, "push"): timedelta(),
    }
    assert ends(store) == {
        1: "reacted",
        2: "reacted",
        3: "goal",
        4: "completed",
        5: "completed",
        6: "completed",
        7: "completed",
    }
    assert reasons(store, 4) == ["allowed", "allowed", "suppressed"]
    found = figures(store, "win-back")
    assert (found["enrolled"], found["treated"], found["holdout"], found["active"]) == (7, 7, 0, {})
    assert found["ended"] == {"completed": 4, "goal": 1, "reacted": 2}


@pytest.fixture(scope="module")
def memory() -> Warehouse:
    warehouse = connect("duckdb://")
    warehouse.create(ALL_FACTS)
    return warehouse


FEW = st.sets(st.sampled_from(CHANNELS)).map(lambda found: tuple(sorted(found)))
ONE = st.sampled_from(["", *CHANNELS])
PERSON = st.fixed_dictionaries(
    {
        "channels": FEW,
        "consents": FEW,
        "suppressed": ONE,
        "zone": st.sampled_from(["UTC", "Asia/Jakarta", "America/Los_Angeles"]),
        "opens": ONE,
        "withdraws": ONE,
        "orders": st.sampled_from([False, False, True]),
    }
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    people=st.lists(PERSON, min_size=1, max_size=5),
    pauses=st.lists(st.integers(-3, 60), min_size=1, max_size=8),
    offset=st.integers(0, 10**9),
)
def test_nobody_gets_a_message_twice_or_against_a_rule_whenever_the_ticks_come(memory, people, pauses, offset) -> None:
    for facts in ALL_FACTS:
        memory.execute(f"DELETE FROM {facts.name}")
    numbers = {offset * 10 + place: person for place, person in enumerate(people)}
    for number, person in numbers.items():
        customer(memory, number, channels=person["channels"], consents=person["consents"], zone=person["zone"])
        if person["withdraws"]:
            consent(memory, number, person["withdraws"], "withdrawn", naive(NOW), identifier_id=number + 10**12)
        if person["suppressed"]:
            suppress(memory, number, person["suppressed"])
    now, live = NOW, [journey(holdout=0.3), journey(name="other", holdout=0.3)]
    for turn, pause in enumerate(pauses):
        tick(memory, live, now)
        for number, person in numbers.items():
            if (number, person["opens"]) in sent(memory):
                react(memory, number, person["opens"], "opened", now)
            if person["orders"] and turn == 1:
                order(memory, number, now + HOUR)
        now += timedelta(hours=pause)  # a clock may also be set back
    rows = memory.rows(memory.table(MESSAGES))
    got = Counter((row["enrolment_id"], row["channel"]) for row in rows)
    assert all(times == 1 for times in got.values())
    enrolments = {row["enrolment_id"]: row for row in memory.rows(memory.table(ENROLMENTS))}
    assert len(enrolments) == len(numbers) * 2
    for row in rows:
        person, channel = numbers[row["customer_id"]], row["channel"]
        assert enrolments[row["enrolment_id"]]["arm"] == "treated"
        assert channel in person["channels"] and channel in person["consents"]
        assert channel not in (person["withdraws"], person["suppressed"])
        if (row["enrolment_id"], person["opens"]) in got:
            assert CHANNELS.index(channel) <= CHANNELS.index(person["opens"])
    consents = memory.table(CONSENTS)
    assert memory.count(consents.filter(consents.state == "granted")) == sum(len(p["consents"]) for p in people)
