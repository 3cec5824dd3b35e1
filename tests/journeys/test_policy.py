"""The contact policy: each rule, their order, and quiet hours on the customer's own wall."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onevoice.customers.contact import Place, Quiet, quiet_until
from onevoice.customers.facts import ADDRESSES, SUPPRESSIONS
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys.document import Cap, Policy, QuietHours
from onevoice.journeys.policy import Ask, decide, seen
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.builders import BEFORE, add, address, consent, customer, suppress

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
    rows = decide(store, candidates, ask, at)
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
