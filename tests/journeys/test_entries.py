"""Every way into a journey, and who may come in again: each as a sentence."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from onevoice.customers.contact.document import ContactPolicy, ControlGroup
from onevoice.customers.facts import TRAITS
from onevoice.journeys.calendars import occurrences
from onevoice.journeys.clocks import next_at, zone_of
from onevoice.journeys.enrolment import REQUESTED, SCANNED
from onevoice.journeys.entries import Schedule
from onevoice.journeys.facts import ENROLMENTS
from onevoice.journeys.service import SavedJourney
from onevoice.journeys.tick import tick
from onevoice.kernel.clock import naive
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.segments.membership import LEFT
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.builders import BEFORE, add, customer, event, journey, order, sent

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MAIL = [{"id": "mail", "send": {"channel": "email", "template": "t"}}]
ORDERED = {"event": "Order Completed", "key": "cart_id", "timeout": "1 hour", "then": [{"id": "x", "exit": {}}]}
CART = {"event": {"name": "Cart Updated", "where": {"total": {"above": 20}}, "key": "cart_id"}}


def enters(entry: dict[str, Any], steps: Any = MAIL, **changes: Any) -> SavedJourney:
    return journey(entry=entry, steps=steps, **{"policy": {}, "goal": None, **changes})


def entered(store: Warehouse) -> list[tuple[int, str]]:
    """Customer and key of every enrolment."""
    return sorted((row["customer_id"], row["key"]) for row in store.rows(store.table(ENROLMENTS)))


def joins(store: Warehouse, number: int, at: datetime, segment: str = "vip") -> None:
    add(store, SEGMENT_MEMBERS, segment=segment, customer_id=number, entered_at=naive(at))


def leaves(store: Warehouse, number: int, at: datetime, segment: str = "vip") -> None:
    members = store.table(SEGMENT_MEMBERS)
    gone = members.filter(members.segment == segment, members.customer_id == number)
    store.delete(SEGMENT_MEMBERS, gone.select("segment", "customer_id"))
    event(store, number, LEFT, at, segment=segment)


def test_who_leaves_a_segment_comes_in(store: Warehouse) -> None:
    customer(store, 1, 2, segment="vip")
    live = enters({"left": "vip"})
    tick(store, [live], NOW)
    assert sent(store) == []
    leaves(store, 2, NOW + HOUR)
    tick(store, [live], NOW + 2 * HOUR)
    assert sent(store) == [(2, "email")]


def test_who_enters_a_segment_again_comes_in_again_only_where_the_journey_says_so(store: Warehouse) -> None:
    customer(store, 1, segment="vip")
    rules: list[str] = ["never", "always", "5 days"]
    live = [enters({"segment": "vip", "reentry": rule}, name=rule) for rule in rules]
    counts = []
    for day in range(7):
        if day == 2:
            leaves(store, 1, NOW + 2 * DAY)
        if day == 3:
            joins(store, 1, NOW + 3 * DAY - HOUR)
        tick(store, live, NOW + day * DAY)
        rows = store.rows(store.table(ENROLMENTS))
        counts.append([sum(row["journey"] == rule for row in rows) for rule in rules])
    assert counts == [[1, 1, 1]] * 3 + [[1, 2, 1]] * 2 + [[1, 2, 2]] * 2


def test_an_event_lets_in_who_did_it_once_for_each_key_if_its_properties_are_right(store: Warehouse) -> None:
    customer(store, 1, 2)
    steps = [
        {
            "id": "w",
            "wait": {
                "event": "Order Completed",
                "key": "cart_id",
                "timeout": "1 hour",
                "then": [{"id": "x", "exit": {}}],
            },
        },
        *MAIL,
    ]
    live = enters(CART, steps)
    tick(store, [live], NOW)
    for cart, total in (("a", 30), ("a", 40), ("b", 50), ("c", 10)):
        event(store, 1, "Cart Updated", NOW + timedelta(minutes=total), cart_id=cart, total=total)
    event(store, 2, "Cart Updated", NOW + timedelta(minutes=30), total=99)  # without the key
    tick(store, [live], NOW + HOUR)
    assert entered(store) == [(1, "a"), (1, "b")]
    event(store, 1, "Order Completed", NOW + HOUR, cart_id="a")  # of that cart alone
    tick(store, [live], NOW + 2 * HOUR)
    assert sent(store) == [(1, "email")]
    event(store, 1, "Cart Updated", NOW + 2 * HOUR, cart_id="a", total=40)
    tick(store, [live], NOW + 3 * HOUR)
    assert len(entered(store)) == 2


def test_what_was_done_before_the_journey_hears_of_its_entry_counts_from_the_entry_on(duck: Warehouse) -> None:
    """The cart and its order come in one load: nobody is reminded of what they have bought."""
    customer(duck, 1, 2)
    live = enters(CART, [{"id": "w", "wait": ORDERED}, *MAIL])
    tick(duck, [live], NOW)
    for number in (1, 2):
        event(duck, number, "Cart Updated", NOW + HOUR, cart_id=f"c{number}", total=99)
    event(duck, 1, "Order Completed", NOW + HOUR + timedelta(seconds=1), cart_id="c1")
    tick(duck, [live], NOW + HOUR + timedelta(seconds=5))
    tick(duck, [live], NOW + 3 * HOUR)
    assert sent(duck) == [(2, "email")]


def test_an_event_from_long_ago_lets_nobody_in(duck: Warehouse) -> None:
    customer(duck, 1)
    live = enters({"event": {"name": "Signed Up"}})
    tick(duck, [live], NOW)
    event(duck, 1, "Signed Up", NOW - 10 * DAY)  # such as from an import
    tick(duck, [live], NOW + HOUR)
    assert entered(duck) == []


def test_no_event_is_lost_or_heard_twice_however_the_clock_jumps(duck: Warehouse) -> None:
    customer(duck, 1, 2, 3)
    live = enters({"event": {"name": "Signed Up"}, "reentry": "always"})
    clock = [NOW, NOW + DAY, NOW - DAY, NOW + 2 * DAY, NOW - HOUR, NOW - HOUR]
    for number, now in enumerate(clock):
        if 1 <= number <= 3:
            event(duck, number, "Signed Up", now)
        tick(duck, [live], now)
    assert entered(duck) == [(1, ""), (2, ""), (3, "")]


def test_a_journey_launched_now_takes_in_what_came_since_and_not_before(duck: Warehouse) -> None:
    customer(duck, 1, 2)
    event(duck, 1, "Signed Up", NOW - HOUR)
    event(duck, 2, "Signed Up", NOW + HOUR)
    found = enters({"event": {"name": "Signed Up"}})
    live = SavedJourney(found.name, 1, "live", NOW, found.definition, launched_at=NOW)
    tick(duck, [live], NOW + 2 * HOUR)
    assert entered(duck) == [(2, "")]


def test_a_request_and_a_code_let_in_whom_they_name(duck: Warehouse) -> None:
    customer(duck, 1, 2, 3)
    live = [enters({"api": True}, name="asked"), enters({"code": {"to": "https://shop.example/"}}, name="scanned")]
    tick(duck, live, NOW)
    event(duck, 1, REQUESTED, NOW, journey="asked", key="o1")
    event(duck, 2, SCANNED, NOW, journey="scanned")
    event(duck, 2, SCANNED, NOW + HOUR, journey="scanned")
    event(duck, 3, REQUESTED, NOW, journey="another")
    tick(duck, live, NOW + HOUR)
    assert entered(duck) == [(1, "o1"), (2, "")]


def test_a_schedule_lets_in_each_time_whoever_meets_its_condition(store: Warehouse) -> None:
    customer(store, 1, 2)
    order(store, 1, NOW - DAY)
    who = {"orders": {"at_least": 1}}
    schedule = {"every": "week", "on": ["tuesday"], "at": "09:00", "zone": "Europe/Rome"}
    live = enters({"schedule": schedule, "who": who})
    tick(store, [live], NOW)  # a Monday
    tick(store, [live], datetime(2026, 3, 3, 7, 59, tzinfo=UTC))
    assert sent(store) == []
    tick(store, [live], datetime(2026, 3, 3, 8, 0, tzinfo=UTC))
    tick(store, [live], datetime(2026, 3, 3, 8, 0, tzinfo=UTC))
    tick(store, [live], datetime(2026, 3, 3, 7, 0, tzinfo=UTC))  # set back
    tick(store, [live], datetime(2026, 3, 3, 8, 1, tzinfo=UTC))
    assert sent(store) == [(1, "email")]
    tick(store, [live], datetime(2026, 3, 11, 0, 0, tzinfo=UTC))  # nobody looked at the very time
    assert sent(store) == [(1, "email")] * 2


def test_a_birthday_comes_each_year_by_the_customers_own_clock(store: Warehouse) -> None:
    customer(store, 1, zone="Asia/Jakarta")
    customer(store, 2, zone="America/Sao_Paulo")
    customer(store, 3)
    for number, day in ((1, "1990-03-06"), (2, "1985-03-06"), (3, "1992-02-29")):
        known = {"identifier_id": number, "customer_id": number, "name": "birthday", "value": json.dumps(day)}
        add(store, TRAITS, **known, occurred_at=BEFORE, event_id=f"b{number}")
    live = enters({"date": {"trait": "birthday", "offset": "-3 days", "at": "09:00"}})
    tick(store, [live], NOW)
    found = []
    for hour in range(0, 48, 3):
        tick(store, [live], datetime(2026, 3, 3, tzinfo=UTC) + hour * HOUR)
        found.append([number for number, _ in sent(store)])
    assert found[0] == [] and found[1] == [1]  # 09:00 in Jakarta is 02:00 UTC
    assert found[3] == [1] and found[4] == [1, 2]  # and in São Paulo 12:00
    tick(store, [live], datetime(2027, 2, 25, 9, 30, tzinfo=UTC))  # the 28th stands for the 29th
    assert sent(store)[-1] == (3, "email")
    tick(store, [live], datetime(2027, 3, 3, 20, 0, tzinfo=UTC))
    assert [number for number, _ in sent(store)] == [1, 1, 2, 2, 3]


def test_who_is_in_the_control_group_comes_into_no_journey_that_counts_it(store: Warehouse) -> None:
    numbers = [number * 7_919_000_003 for number in range(1, 101)]
    customer(store, *numbers, segment="vip")
    live = [enters({"segment": "vip"}, name="a"), enters({"segment": "vip"}, name="b", control=False)]
    tick(store, live, NOW, ContactPolicy("contact_policy", "default", control_group=ControlGroup(0.2, "house")))
    rows = store.rows(store.table(ENROLMENTS))
    arms = {
        name: {row["customer_id"] for row in rows if (row["journey"], row["arm"]) == (name, "control")} for name in "ab"
    }
    assert 8 <= len(arms["a"]) <= 34 and not arms["b"]
    assert len(sent(store)) == 200 - len(arms["a"])


# -- clocks


ZONES = ("Europe/Rome", "Europe/Bucharest", "Asia/Jakarta", "Asia/Riyadh", "Africa/Cairo", "America/Sao_Paulo")


def test_a_time_that_a_night_skips_or_shows_twice_comes_once() -> None:
    nights = [  # the clocks go forward and back; in Jakarta, Riyadh and (since 2019) São Paulo they stay
        ("Europe/Rome", "2026-03-29", "2026-10-25", "02:30"),
        ("Europe/Bucharest", "2026-03-29", "2026-10-25", "03:30"),
        ("Africa/Cairo", "2026-04-24", "2026-10-29", "00:30"),
        ("America/Sao_Paulo", "2018-11-04", "2018-02-17", "00:30"),
        ("Asia/Jakarta", "2026-03-29", "2026-10-25", "02:30"),
        ("Asia/Riyadh", "2026-03-29", "2026-10-25", "02:30"),
    ]
    for zone, forward, back, wall in nights:
        for day in (forward, back):
            noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=zone_of(zone))
            since, until = noon - DAY, noon
            schedule = Schedule(at=wall, every="day", zone=zone)
            found = occurrences(schedule, since.astimezone(UTC), until.astimezone(UTC))
            assert len(found) == 1, (zone, day)
            assert (
                next_at(since.astimezone(UTC), datetime.fromisoformat(f"{day}T{wall}").time(), zone_of(zone))
                == found[0]
            )


@settings(max_examples=200, deadline=None)
@given(
    at=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
    zone=st.sampled_from(ZONES),
    wall=st.times().map(lambda one: one.replace(second=0, microsecond=0)),
)
def test_the_next_time_is_never_before_now_nor_more_than_a_day_and_an_hour_away(at: Any, zone: Any, wall: Any) -> None:
    now = at.replace(tzinfo=UTC)
    found = next_at(now, wall, zone_of(zone))
    assert now <= found <= now + timedelta(hours=25, minutes=1)
    shown = found.astimezone(zone_of(zone)).replace(tzinfo=None).time()
    assert shown == wall or shown.hour == (wall.hour + 1) % 24  # a skipped time is the hour after
