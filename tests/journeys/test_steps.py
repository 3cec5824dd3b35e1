"""Every kind of step, each as a sentence: what it does with a person, and where they are afterwards."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa
import pytest

from onevoice.customers.facts import TRAITS
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys.dealing import Tally, standing, thompson
from onevoice.journeys.facts import EFFECTS, ENROLMENTS, PASSAGES
from onevoice.journeys.service import SavedJourney
from onevoice.journeys.steps import cascade as cascades
from onevoice.journeys.tick import tick
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.builders import BEFORE, add, customer, ends, event, journey, order, react, reasons, sent

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
SEND = {"channel": "email", "template": "t-email"}
PUSH = {"channel": "push", "template": "t-push"}
SMS = {"channel": "sms", "template": "t-sms"}


def walk(*steps: dict[str, Any], **changes: Any) -> SavedJourney:
    """A journey of these steps, without limits on contact."""
    return journey(steps=list(steps), **{"policy": {}, "goal": None, **changes})


def variant(name: str, send: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "steps": [{"id": f"to-{name}", "send": send}]}


def trait(store: Warehouse, number: int, name: str, value: Any) -> None:
    known = {"identifier_id": number, "customer_id": number, "name": name, "value": json.dumps(value)}
    add(store, TRAITS, **known, occurred_at=BEFORE, event_id=f"{number}{name}")


def where(store: Warehouse) -> dict[int, str]:
    """Where each customer stands, and at the end why it ended."""
    rows = store.rows(store.table(ENROLMENTS))
    return {row["customer_id"]: row["step"] if row["state"] == "active" else f"({row['reason']})" for row in rows}


def ways(store: Warehouse) -> list[tuple[int, str, str]]:
    return sorted((row["customer_id"], row["step"], row["way"]) for row in store.rows(store.table(PASSAGES)))


def effects(store: Warehouse) -> list[tuple[int, str, Any]]:
    rows = store.rows(store.table(EFFECTS))
    return sorted((row["customer_id"], row["kind"], json.loads(row["asked"])) for row in rows)


def fail(store: Warehouse, number: int, channel: str, at: datetime) -> None:
    messages = store.table(MESSAGES)
    rows = messages.filter(messages.customer_id == number, messages.channel == channel)
    store.replace(
        MESSAGES, ["message_id"], rows.mutate(failed_at=naive(at), status=ibis.literal("failed")).cast(MESSAGES.schema)
    )


# -- branch, split, jump, exit, note


def test_a_branch_goes_the_first_way_whose_condition_is_met(store: Warehouse) -> None:
    customer(store, 1, 2, 3)
    trait(store, 1, "city", "Roma"), trait(store, 1, "vip", True), trait(store, 2, "vip", True)
    paths = [
        {"if": {"trait": {"name": "city", "equals": "Roma"}}, "steps": [{"id": "mail", "send": SEND}]},
        {"if": {"trait": {"name": "vip", "equals": True}}, "steps": [{"id": "call", "send": PUSH}]},
    ]
    split = {"id": "ask", "branch": {"paths": paths, "else": [{"id": "bye", "exit": {"reason": "no interest"}}]}}
    tick(store, [walk(split, {"id": "all", "send": SMS})], NOW)
    assert sent(store) == [(1, "email"), (1, "sms"), (2, "push"), (2, "sms")]
    assert where(store) == {1: "(completed)", 2: "(completed)", 3: "(no interest)"}
    assert ways(store) == [(1, "ask", "0"), (2, "ask", "1"), (3, "ask", "else")]


def test_a_split_deals_by_weight_and_everybody_keeps_their_variant(duck: Warehouse) -> None:
    numbers = [number * 7_919_000_003 for number in range(1, 401)]
    customer(duck, *numbers)
    variants = [{"name": "a", "weight": 3, "steps": [{"id": "mail", "send": SEND}]}, {"name": "b"}]
    loop = [{"id": "w", "wait": "1 day"}, {"id": "again", "jump": {"to": "deal", "times": 2}}]
    live = walk({"id": "deal", "split": {"variants": variants}}, *loop)
    for day in range(8):
        tick(duck, [live], NOW + day * DAY)
    passed = ways(duck)
    assert 260 < sum(way == "a" for _, _, way in passed) / 3 < 340
    assert len(passed) == 1_200 and len(set(passed)) == 400


def test_a_split_sends_whoever_comes_later_the_way_of_the_winner(duck: Warehouse) -> None:
    numbers = [number * 7_919_000_003 for number in range(1, 41)]
    customer(duck, *numbers)
    variants = [
        {"name": "a", "steps": [{"id": "mail", "send": SEND}]},
        {"name": "b", "steps": [{"id": "p", "send": PUSH}]},
    ]
    live = walk({"id": "deal", "split": {"variants": variants, "winner": {"by": "opened", "people": 40}}})
    tick(duck, [live], NOW)
    customer(duck, *(number + 1 for number in numbers))
    tick(duck, [live], NOW + HOUR)  # enough have come, but nobody has had the time to react: nobody has won
    first = ways(duck)
    assert {way for number, _, way in first if number not in numbers} == {"a", "b"}
    for number in [number for number, _, way in first if way == "b"]:
        react(duck, number, "push", "opened", NOW + 2 * HOUR)
    customer(duck, *(number + 2 for number in numbers))
    tick(duck, [live], NOW + DAY)
    assert {way for number, _, way in ways(duck) if (number, _, way) not in first} == {"b"}
    asked = live.document.steps[0].asked
    told = standing(duck, live.name, "deal", asked, NOW + DAY)
    assert told["by"] == "opened" and [one["share"] for one in told["variants"].values()] == [0.0, 1.0]
    assert told["variants"]["a"]["did"] == 0 < told["variants"]["b"]["did"] < told["variants"]["b"]["people"]


def test_a_bandit_deals_most_to_what_has_proved_best_and_never_forgets_the_others() -> None:
    found = thompson({"a": Tally(500, 10), "b": Tally(500, 60), "c": Tally(0, 0)}, "seed")
    assert found == thompson({"a": Tally(500, 10), "b": Tally(500, 60), "c": Tally(0, 0)}, "seed")
    assert found["b"] > found["a"] and found["a"] >= 0.02 and abs(sum(found.values()) - 1) < 1e-9
    even = thompson({"a": Tally(0, 0), "b": Tally(0, 0)}, "other")
    assert abs(even["a"] - 0.5) < 0.05


def test_a_bandit_is_dealt_by_what_people_did(duck: Warehouse) -> None:
    numbers = [number * 7_919_000_003 for number in range(1, 201)]
    customer(duck, *numbers)
    variants = [
        {"name": "a", "steps": [{"id": "mail", "send": SEND}]},
        {"name": "b", "steps": [{"id": "p", "send": PUSH}]},
    ]
    live = walk({"id": "deal", "split": {"variants": variants, "bandit": {"by": "clicked"}}})
    tick(duck, [live], NOW)
    for number in [number for number, _, way in ways(duck) if way == "a"]:
        react(duck, number, "email", "clicked", NOW + HOUR)
    customer(duck, *(number + 1 for number in numbers))
    tick(duck, [live], NOW + DAY)
    later = [way for number, _, way in ways(duck) if number not in numbers]
    assert later.count("a") > 180


def test_a_jump_goes_back_so_many_times_and_each_round_has_its_own_messages(store: Warehouse) -> None:
    customer(store, 1)
    steps = [
        {"id": "mail", "send": SEND},
        {"id": "w", "wait": "1 day"},
        {"id": "back", "jump": {"to": "mail", "times": 2}},
    ]
    live = walk(*steps)
    for hour in range(0, 24 * 6, 12):
        tick(store, [live], NOW + hour * HOUR)
    assert sent(store) == [(1, "email")] * 3
    assert where(store) == {1: "(completed)"}


def test_a_cascade_that_comes_again_counts_the_reactions_of_its_own_round(duck: Warehouse) -> None:
    customer(duck, 1)
    cascade = {"id": "c", "cascade": {"channels": [{**SEND, "wait": "1 day"}, PUSH]}}
    live = walk(cascade, {"id": "w", "wait": "2 days"}, {"id": "back", "jump": {"to": "c", "times": 1}})
    tick(duck, [live], NOW)
    react(duck, 1, "email", "opened", NOW + HOUR)
    for hour in range(12, 24 * 6, 12):
        tick(duck, [live], NOW + hour * HOUR)
    assert sent(duck) == [(1, "email"), (1, "email"), (1, "push")]


# -- waits


def test_a_wait_until_a_time_ends_on_an_allowed_day_where_each_customer_lives(store: Warehouse) -> None:
    customer(store, 1, zone="Asia/Jakarta")  # NOW is Monday 10:00 UTC, 17:00 there
    customer(store, 2, zone="America/Sao_Paulo")  # 07:00 there
    live = walk({"id": "w", "wait": {"at": "09:00", "on": ["monday", "thursday"]}}, {"id": "mail", "send": SEND})
    tick(store, [live], NOW)
    tick(store, [live], NOW + 2 * HOUR - MINUTE)
    assert sent(store) == []
    tick(store, [live], NOW + 2 * HOUR)
    assert sent(store) == [(2, "email")]
    tick(store, [live], datetime(2026, 3, 5, 1, 59, tzinfo=UTC))
    assert len(sent(store)) == 1
    tick(store, [live], datetime(2026, 3, 5, 2, 0, tzinfo=UTC))  # Thursday, 09:00 in Jakarta
    assert sent(store) == [(1, "email"), (2, "email")]


def test_a_wait_for_an_event_ends_with_it_or_with_its_time(store: Warehouse) -> None:
    customer(store, 1, 2, 3)
    wait = {"event": "Product Viewed", "where": {"brand": "Illy"}, "timeout": "2 days"}
    met, late = [{"id": "mail", "send": SEND}], [{"id": "push", "send": PUSH}]
    live = walk({"id": "w", "wait": {**wait, "then": met, "else": late}})
    event(store, 1, "Product Viewed", NOW - HOUR, brand="Illy")  # before: does not count
    tick(store, [live], NOW)
    event(store, 1, "Product Viewed", NOW + HOUR, brand="Lavazza")
    event(store, 2, "Product Viewed", NOW + HOUR, brand="Illy")
    tick(store, [live], NOW + 2 * HOUR)
    assert sent(store) == [(2, "email")]
    event(store, 3, "Product Viewed", NOW + 3 * DAY, brand="Illy")  # too late, though it is heard with the time-out
    tick(store, [live], NOW + 3 * DAY + HOUR)
    assert sent(store) == [(1, "push"), (2, "email"), (3, "push")]
    assert ways(store) == [(1, "w", "late"), (2, "w", "met"), (3, "w", "late")]


def test_a_wait_for_a_condition_ends_when_it_holds(store: Warehouse) -> None:
    customer(store, 1, 2)
    live = walk(
        {"id": "w", "wait": {"when": {"orders": {"at_least": 1}}, "timeout": "9 days"}}, {"id": "m", "send": SEND}
    )
    tick(store, [live], NOW)
    assert where(store) == {1: "w/held", 2: "w/held"}
    order(store, 2, NOW + HOUR)
    tick(store, [live], NOW + 2 * HOUR)
    assert sent(store) == [(2, "email")]


def test_who_meets_a_condition_does_not_wait_for_it(duck: Warehouse) -> None:
    customer(duck, 1)
    order(duck, 1, NOW - DAY)
    wait = {"when": {"orders": {"at_least": 1}}, "timeout": "9 days"}
    tick(duck, [walk({"id": "w", "wait": wait}, {"id": "m", "send": SEND})], NOW)
    assert sent(duck) == [(1, "email")]


def test_a_wait_for_a_reply_ends_with_an_answer_on_its_channel(duck: Warehouse) -> None:
    customer(duck, 1, 2)
    wait = {"reply": "sms", "timeout": "1 day", "then": [{"id": "m", "send": SEND}]}
    live = walk({"id": "t", "send": SMS}, {"id": "w", "wait": wait})
    tick(duck, [live], NOW)
    event(duck, 1, "Message Received", NOW + HOUR, channel="sms", text="yes")
    event(duck, 2, "Message Received", NOW + HOUR, channel="email", text="yes")
    tick(duck, [live], NOW + 2 * HOUR)
    assert sent(duck) == [(1, "email"), (1, "sms"), (2, "sms")]


def test_a_wait_until_a_date_of_the_customer_counts_days_by_their_calendar(store: Warehouse) -> None:
    customer(store, 1, 2, 3)
    (
        trait(store, 1, "expires", "2026-03-10"),
        trait(store, 2, "expires", "2026-03-02"),
        trait(store, 3, "expires", "soon"),
    )
    live = walk({"id": "w", "wait": {"date": "expires", "offset": "-3 days", "at": "08:00"}}, {"id": "m", "send": SEND})
    tick(store, [live], NOW)
    assert sent(store) == [(2, "email"), (3, "email")]  # past, and none: nothing to wait for
    tick(store, [live], datetime(2026, 3, 7, 7, 59, tzinfo=UTC))
    assert len(sent(store)) == 2
    tick(store, [live], datetime(2026, 3, 7, 8, 0, tzinfo=UTC))
    assert len(sent(store)) == 3


# -- cascade


@pytest.mark.parametrize("stop", ["delivered", "opened", "clicked", "replied", "ordered", {"event": "Shop Visited"}])
def test_a_cascade_stops_on_what_it_names(duck: Warehouse, stop: Any) -> None:
    customer(duck, 1, 2)
    cascade = {"channels": [{**SEND, "wait": "1 day"}, PUSH], "stop_on": [stop]}
    live = walk({"id": "c", "cascade": cascade})
    tick(duck, [live], NOW)
    if stop == "ordered":
        order(duck, 1, NOW + HOUR)
    elif stop == "replied":
        event(duck, 1, "Message Received", NOW + HOUR, channel="email")
    elif isinstance(stop, dict):
        event(duck, 1, "Shop Visited", NOW + HOUR)
    else:
        react(duck, 1, "email", stop, NOW + HOUR)
    tick(duck, [live], NOW + DAY)
    assert sent(duck) == [(1, "email"), (2, "email"), (2, "push")]
    assert ends(duck)[1] == "reacted"


def test_a_cascade_goes_on_at_once_where_the_message_could_not_be_delivered(store: Warehouse) -> None:
    customer(store, 1, 2)
    cascade = {"channels": [{**SEND, "wait": "3 days"}, PUSH]}
    live = [
        walk({"id": "c", "cascade": cascade}),
        walk({"id": "c", "cascade": {**cascade, "on_failure": "wait"}}, name="b"),
    ]
    tick(store, live, NOW)
    fail(store, 1, "email", NOW + MINUTE)
    tick(store, live, NOW + 2 * MINUTE)
    assert sent(store) == [(1, "email"), (1, "email"), (1, "push"), (2, "email"), (2, "email")]


def test_a_cascade_of_the_best_order_tries_each_channel_once_as_each_person_likes_it(
    duck: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer(duck, 1, 2)

    def likes(store: Warehouse, people: Any, held: Any, at: Any) -> Any:
        listed = [("email", 0), ("push", 1)]
        rows = [(1, channel, rank) for channel, rank in listed] + [(2, channel, 1 - rank) for channel, rank in listed]
        columns = list(zip(*rows, strict=True))
        table = {"customer_id": pa.array(columns[0]), "channel": list(columns[1]), "rank": pa.array(columns[2])}
        return store.stage("likes", pa.table(table))

    monkeypatch.setattr(cascades, "ranks", likes)
    channels = [{**SEND, "wait": "1 day"}, {**PUSH, "wait": "1 day"}]
    live = walk({"id": "c", "cascade": {"channels": channels, "order": "best"}})
    tick(duck, [live], NOW)
    assert sent(duck) == [(1, "email"), (2, "push")]
    tick(duck, [live], NOW + DAY)
    assert sent(duck) == [(1, "email"), (1, "push"), (2, "email"), (2, "push")]


def test_who_has_reacted_is_not_told_the_same_again_by_another_journey(duck: Warehouse) -> None:
    customer(duck, 1, 2)
    tick(duck, [walk({"id": "m", "send": {**SEND, "content": "spring"}})], NOW)
    react(duck, 1, "email", "opened", NOW + HOUR)
    other = walk({"id": "p", "send": {**PUSH, "content": "spring"}}, {"id": "s", "send": SMS}, name="other")
    tick(duck, [other], NOW + DAY)
    assert sent(duck) == [(1, "email"), (1, "sms"), (2, "email"), (2, "push"), (2, "sms")]
    assert "already_reached" in reasons(duck, 1)


# -- what happens outside


def test_outward_steps_are_planned_once_for_each_who_comes_by(store: Warehouse) -> None:
    customer(store, 1)
    steps = [
        {"id": "u", "update": {"tier": "gold"}},
        {"id": "e", "event": {"name": "Won Back", "properties": {"step": 1}}},
        {"id": "h", "webhook": {"url": "https://shop.example/hook", "data": {"a": 1}}},
        {"id": "l", "audience": {"add": "won"}},
        {"id": "n", "note": "points come later"},
        {"id": "p", "points": {"amount": 100}},
        {"id": "k", "coupon": {"pool": "spring"}},
    ]
    live = walk(*steps)
    tick(store, [live], NOW)
    tick(store, [live], NOW)
    assert effects(store) == [
        (1, "audience", {"add": "won"}),
        (1, "coupon", {"pool": "spring"}),
        (1, "event", {"name": "Won Back", "properties": {"step": 1}}),
        (1, "points", {"amount": 100}),
        (1, "update", {"tier": "gold"}),
        (1, "webhook", {"url": "https://shop.example/hook", "data": {"a": 1}}),
    ]
    assert where(store) == {1: "(completed)"}


def test_a_call_is_a_message_on_the_channel_call_under_the_same_policy(duck: Warehouse) -> None:
    customer(duck, 1, channels=("call",), consents=("call",))
    customer(duck, 2, channels=("call",), consents=())
    tick(duck, [walk({"id": "c", "call": {"template": "script"}})], NOW)
    assert sent(duck) == [(1, "call")]
    assert reasons(duck, 2) == ["no_consent"]
