"""The contact policy: each rule, their order, and quiet hours on the customer's own wall."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onevoice.customers.contact import Cap as HouseCap
from onevoice.customers.contact import ContactPolicy, ControlGroup, Place, Quiet, quiet_until
from onevoice.customers.facts import ADDRESSES, SUPPRESSIONS
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys.document import Cap, Policy, QuietHours
from onevoice.journeys.policy import Ask, House, decide, seen
from onevoice.journeys.tick import tick
from onevoice.journeys.why import why
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.builders import BEFORE, add, address, consent, customer, journey, sent, suppress

DAY = timedelta(days=1)
NIGHT = QuietHours("21:00", "08:00")
STRICT = Policy(cap=Cap(messages=1, days=7), quiet_hours=NIGHT)


def decided(
    store: Warehouse, *numbers: int, reacted: tuple[int, ...] = (), at: datetime = NOW, **changes: Any
) -> dict[int, Any]:
    """The policy's rows about an e-mail on offers, by customer."""
    candidates = store.stage(
        "candidates",
        pa.table(
            {
                "enrolment_id": [f"n{number}" for number in numbers],
                "customer_id": list(numbers),
                "reacted": [number in reacted for number in numbers],
            }
        ),
    )
    ask = Ask(**{"journey": "mine", "step": "send", "channel": "email", "topic": "offers", "own": STRICT, **changes})
    rows = decide(store, candidates, ask, at, reacted=candidates.filter(candidates.reacted))
    columns = ("customer_id", "outcome", "reason", "address", "locale", "until", "counted")
    found = store.rows(rows.select(*columns, seen=seen(store, rows, ask)))
    assert sorted(row["customer_id"] for row in found) == sorted(numbers)
    return {row["customer_id"]: {**row, "seen": json.loads(row["seen"])} for row in found}


def message(store: Warehouse, number: int, planned_at: datetime, **changes: Any) -> None:
    """A message that was planned before, by whatever journey."""
    texts = ("message_id", "journey", "step", "channel", "enrolment_id", "address", "template", "locale", "topic")
    values = {name: name for name in texts} | {"journey_version": 1, "identifier_id": number, "customer_id": number}
    add(store, MESSAGES, **{**values, "planned_at": naive(planned_at), "tick": 1, "status": "accepted", **changes})


def test_the_rules_are_asked_in_their_order(store: Warehouse) -> None:
    """One customer to whom every rule objects; as each is satisfied, the next is the reason."""
    customer(store, 1, channels=(), consents=(), zone="America/Los_Angeles")  # where it is 02:00
    message(store, 1, NOW - DAY)
    suppress(store, 1, "email")
    found = [decided(store, 1, reacted=(1,))[1]["reason"], decided(store, 1)[1]["reason"]]
    add(store, ADDRESSES, **address(1, "email"))
    found.append(decided(store, 1)[1]["reason"])
    store.delete(SUPPRESSIONS, store.table(SUPPRESSIONS).select("address_hash"))
    found.append(decided(store, 1)[1]["reason"])
    consent(store, 1, "email", "granted", BEFORE)
    found.append(decided(store, 1)[1]["reason"])
    roomy = Policy(cap=Cap(messages=2, days=7), quiet_hours=NIGHT)
    found.append(decided(store, 1, own=roomy)[1]["reason"])
    found.append(decided(store, 1, own=Policy(cap=roomy.cap))[1]["reason"])
    assert found == [
        "already_reached",
        "unreachable",
        "suppressed",
        "no_consent",
        "over_cap",
        "quiet_hours",
        "allowed",
    ]


def test_a_decision_keeps_what_the_rules_saw(store: Warehouse) -> None:
    customer(store, 1, zone="America/Los_Angeles")
    customer(store, 2, channels=(), consents=())
    suppress(store, 1, "email")
    message(store, 1, NOW - DAY, journey='the "other"')
    found = decided(store, 1, 2)
    assert found[1]["seen"] == {
        "objections": "suppressed,over_cap,quiet_hours,",
        "address": True,
        "suppressed": "bounced",
        "consent": "granted",
        "caps": {"1/7 days": 1},
        "cap_until": "2026-03-08 10:00:00",
        "last_journey": 'the "other"',
        "time_zone": "America/Los_Angeles",
        "quiet_until": "2026-03-02 16:00:00",
    }
    assert found[2]["seen"] == {
        "objections": "unreachable,no_consent,",
        "address": False,
        "suppressed": "",
        "consent": "none",
        "caps": {"1/7 days": 0},
        "time_zone": "UTC",
    }
    assert [(found[n]["outcome"], found[n]["address"]) for n in (1, 2)] == [("skip", "email-1"), ("skip", None)]


def test_the_newest_word_counts_over_all_identifiers_channels_and_topics_and_a_tie_is_a_refusal(
    store: Warehouse,
) -> None:
    words = {
        1: [],
        2: [("withdrawn", 1, {})],
        3: [("withdrawn", -1, {})],
        4: [("withdrawn", 0, {})],
        5: [("denied", 1, {"channel": "*", "topic": "*"})],
        6: [("denied", 1, {"channel": "sms"})],
        7: [("denied", 1, {"topic": "news"})],
        8: [("denied", 1, {"topic": "*"}), ("granted", 2, {"channel": "*"})],
    }
    customer(store, *words, channels=("email",), consents=("email",))
    customer(store, 9, channels=("email",), consents=())
    for number, told in words.items():
        for place, (state, days, where) in enumerate(told):
            other = {"channel": "email", "identifier_id": number + 100 + place, **where}
            consent(store, number, state=state, at=BEFORE + days * DAY, **other)
    found = {number: row["reason"] for number, row in decided(store, *words, 9).items()}
    refused = {2, 4, 5, 9}
    assert found == {number: "no_consent" if number in refused else "allowed" for number in found}


def test_the_cap_counts_what_was_planned_in_its_window_on_any_channel_and_not_what_was_not_sent(
    store: Warehouse,
) -> None:
    customer(store, 1, 2, 3, 4)
    message(store, 1, NOW - 7 * DAY + timedelta(seconds=1), channel="sms", journey="other")
    message(store, 2, NOW - 7 * DAY)
    message(store, 3, NOW - DAY, status="skipped")
    found = {number: row["reason"] for number, row in decided(store, 1, 2, 3, 4).items()}
    assert found == {1: "over_cap", 2: "allowed", 3: "allowed", 4: "allowed"}


def test_who_is_put_off_is_due_when_the_quiet_hours_end_where_they_live(store: Warehouse) -> None:
    zones = {1: "Asia/Jakarta", 2: "America/Los_Angeles", 3: "Asia/Tokyo", 4: "Mars/Olympus", 5: "Europe", 6: 'a"\\\n'}
    for number, zone in zones.items():
        customer(store, number, zone=zone)
    found = decided(store, *zones, own=Policy(quiet_hours=QuietHours("18:30", "08:00")))
    until = {number: row["until"] for number, row in found.items() if row["outcome"] == "defer"}
    assert until == {2: datetime(2026, 3, 2, 16), 3: datetime(2026, 3, 2, 23)}
    shown = {number: row["seen"]["time_zone"] for number, row in found.items()}
    assert shown == {1: zones[1], 2: zones[2], 3: zones[3], 4: "UTC", 5: "UTC", 6: "UTC"}


@pytest.mark.parametrize(
    "zone", ["Europe/Rome", "America/New_York", "Asia/Jakarta", "Africa/Cairo", "Europe/Bucharest"]
)
@pytest.mark.parametrize("night", [datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 10, 24, 23, tzinfo=UTC)])
def test_quiet_hours_end_at_eight_on_the_wall_whatever_the_clocks_do(zone: str, night: datetime) -> None:
    for hour in range(30):
        now = night + timedelta(hours=hour)
        until, there = quiet_until([Quiet("21:00", "08:00")], Place(zone), now), now.astimezone(ZoneInfo(zone))
        assert (until is not None) == (there.hour >= 21 or there.hour < 8)
        if until:
            wall = until.astimezone(ZoneInfo(zone))
            assert (wall.hour, wall.minute) == (8, 0) and timedelta() < until - now <= timedelta(hours=12)


def test_where_the_wall_shows_the_end_twice_the_second_one_holds_for_whoever_comes_after_the_first() -> None:
    night, rome = [Quiet("21:00", "02:30")], Place("Europe/Rome")
    # On 25 October 2026 at 01:00 UTC it is 02:00 in Rome for the second time.
    first, second = datetime(2026, 10, 25, 0, 10, tzinfo=UTC), datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    assert quiet_until(night, rome, first) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert quiet_until(night, rome, second) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


INSTANT = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))
CLOCK = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
ZONE = st.one_of(st.sampled_from(sorted(available_timezones())), st.text(max_size=20), st.just("Europe"))


@given(zone=ZONE, now=INSTANT, start=CLOCK, end=CLOCK)
def test_whatever_the_zone_and_the_hours_who_is_put_off_is_put_off_to_later_and_not_for_long(
    zone: str, now: datetime, start: str, end: str
) -> None:
    until = quiet_until([Quiet(start, end)] if start != end else [], Place(zone), now)
    assert until is None or now < until <= now + timedelta(hours=26)


def test_a_policy_without_limits_lets_everybody_through_who_consents(store: Warehouse) -> None:
    customer(store, 1, zone="America/Los_Angeles")
    message(store, 1, NOW - timedelta(hours=1))
    found = decided(store, 1, own=Policy())[1]
    assert (found["outcome"], found["reason"], found["locale"]) == ("send", "allowed", "it")
    assert "caps" not in found["seen"] and found["counted"]


DAILY = House(ContactPolicy(caps=(HouseCap(1, "day"),)))


def test_who_is_put_off_by_a_cap_or_a_gap_is_asked_again_at_the_instant_it_ends_and_then_goes(store: Warehouse) -> None:
    customer(store, 1, 2)
    message(store, 1, NOW - DAY + timedelta(seconds=5))
    message(store, 2, NOW - timedelta(hours=1), channel="email")
    spaced = House(ContactPolicy(gaps={"email": "2 hours"}))
    capped, gapped = (decided(store, n, own=Policy(), house=rules)[n] for n, rules in ((1, DAILY), (2, spaced)))
    assert (capped["outcome"], capped["reason"], capped["until"]) == (
        "defer",
        "over_cap",
        naive(NOW) + timedelta(seconds=5),
    )
    assert (gapped["outcome"], gapped["reason"], gapped["until"]) == (
        "defer",
        "too_soon",
        naive(NOW) + timedelta(hours=1),
    )
    for number, rules, late in ((1, DAILY, timedelta(seconds=5)), (2, spaced, timedelta(hours=1))):
        just_before, then = NOW + late - timedelta(microseconds=1), NOW + late
        assert decided(store, number, own=Policy(), house=rules, at=just_before)[number]["outcome"] == "defer"
        assert decided(store, number, own=Policy(), house=rules, at=then)[number]["outcome"] == "send"


def test_what_would_be_put_off_beyond_the_patience_is_denied_at_once_and_a_journey_can_only_be_stricter(
    store: Warehouse,
) -> None:
    customer(store, 1)
    message(store, 1, NOW - timedelta(hours=1))
    outcomes = [
        decided(store, 1, own=Policy(defer_for=patience), house=DAILY)[1]["outcome"]
        for patience in ("", "23 hours", "22 hours", "30 days")
    ]
    assert outcomes == ["defer", "defer", "skip", "defer"]
    weekly = House(ContactPolicy(caps=(HouseCap(1, "week"),)))
    assert (
        decided(store, 1, own=Policy(cap=Cap(messages=9, days=1), defer_for="30 days"), house=weekly)[1]["outcome"]
        == "skip"
    )


def test_a_transactional_message_needs_no_consent_and_is_neither_counted_nor_capped(store: Warehouse) -> None:
    customer(store, 1, 2, consents=(), zone="America/Los_Angeles")
    suppress(store, 2, "email")
    message(store, 1, NOW - timedelta(hours=1))
    rules = House(ContactPolicy(caps=(HouseCap(1, "day"),), control_group=ControlGroup(0.99)))
    found = decided(store, 1, 2, transactional=True, house=rules)
    assert [found[n]["reason"] for n in (1, 2)] == ["allowed", "suppressed"]
    assert found[1]["counted"] is False and found[1]["seen"]["consent"] == "contract"
    store.delete(MESSAGES, store.table(MESSAGES).select("message_id"))
    customer(store, 3)
    message(store, 3, NOW - timedelta(hours=1), counted=False)
    assert decided(store, 3, own=Policy(), house=DAILY)[3]["reason"] == "allowed"


def test_the_control_group_is_a_share_that_stays_and_another_salt_deals_anew(store: Warehouse) -> None:
    people = [number * 7_919_000_003 for number in range(1, 401)]
    customer(store, *people)

    def held(salt: str) -> set[int]:
        rules = House(ContactPolicy(control_group=ControlGroup(0.25, salt)))
        found = decided(store, *people, own=Policy(), house=rules)
        return {number for number, row in found.items() if row["reason"] == "control_group"}

    first = held("one")
    assert 60 < len(first) < 140 and held("one") == first
    assert 5 < len(first & held("two")) < 60
    assert decided(
        store, *first, own=Policy(), control=False, house=House(ContactPolicy(control_group=ControlGroup(0.25, "one")))
    )


def test_of_two_messages_for_one_person_at_once_one_is_sent_where_the_cap_has_one_place(store: Warehouse) -> None:
    customer(store, 1)
    twice = store.stage("candidates", pa.table({"enrolment_id": ["a", "b"], "customer_id": [1, 1]}))
    rows = decide(store, twice, Ask("mine", "send", "email", "offers", house=DAILY), NOW)
    found = {row["enrolment_id"]: row for row in store.rows(rows)}
    assert (found["a"]["outcome"], found["b"]["outcome"]) == ("send", "defer")
    assert (found["b"]["reason"], found["b"]["winner"]) == ("outranked", "mine")


def one_send(name: str, priority: int, channel: str = "email", wait: str = "") -> Any:
    """A journey of one message, after a wait."""
    steps: list[dict[str, Any]] = [{"id": "pause", "wait": wait}] if wait else []
    steps.append({"id": "tell", "send": {"channel": channel, "template": name}})
    return journey(name=name, priority=priority, steps=steps, policy={})


@pytest.mark.parametrize("channel", ["email", "push"])
def test_the_better_message_of_a_persons_day_is_awaited_and_if_it_is_not_sent_the_other_goes(
    store: Warehouse, channel: str
) -> None:
    customer(store, 1, consents=("email",))
    live = [one_send("lesser", 0), one_send("better", 5, channel, "2 hours")]
    later = NOW + timedelta(hours=2)
    tick(store, live, NOW, DAILY.policy)
    (told,) = why(store, 1, "lesser")
    assert (told["outcome"], told["reason"], told["seen"]["winner"]) == ("defer", "outranked", "better")
    assert told["seen"]["until"] == f"{naive(later):%Y-%m-%d %H:%M:%S}" and sent(store) == []
    tick(store, live, later, DAILY.policy)
    if channel == "push":  # where there is no consent
        assert sent(store) == [(1, "email")] and why(store, 1, "lesser")[0]["outcome"] == "send"
        return
    told = why(store, 1, "lesser")[0]
    assert (told["outcome"], told["reason"], told["seen"]["winner"]) == ("defer", "outranked", "better")
    assert told["seen"]["until"] == f"{naive(later + DAY):%Y-%m-%d %H:%M:%S}"
    tick(store, live, later + DAY, DAILY.policy)
    assert len(sent(store)) == 2 and why(store, 1, "lesser")[0]["outcome"] == "send"


def test_a_better_message_of_tomorrow_is_not_awaited(store: Warehouse) -> None:
    customer(store, 1)
    tick(store, [one_send("lesser", 0), one_send("better", 5, wait="20 hours")], NOW, DAILY.policy)
    assert sent(store) == [(1, "email")]
