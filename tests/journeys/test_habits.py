"""Best channel and best hour: learned of the person, shrunk to their like, weighed with what it costs."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import pytest

from onevoice.delivery.facts import MESSAGES
from onevoice.journeys.best import best_hours, ranked
from onevoice.journeys.document import parse, written
from onevoice.journeys.facts import CHANNEL_HABITS, HOUR_HABITS, LIKE_HABITS
from onevoice.journeys.habits import HALF_LIFE_DAYS, LIKE_STRENGTH, STRONG, WEAK, learn, learn_daily
from onevoice.journeys.service import SavedJourney
from onevoice.journeys.tick import tick
from onevoice.journeys.worth import Prices, known, worth_of_action
from onevoice.kernel.clock import naive
from onevoice.kernel.errors import InvalidInput
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.builders import add, customer, order

PRICES: Prices = {"email": 0.001, "sms": {"else": 0.05, "IT": 0.08}, "push": 0.0002}


def message(number: int, customer_id: int, channel: str, at: datetime, **changes: Any) -> dict[str, Any]:
    """A message that went out."""
    return {
        "message_id": f"m{number}",
        "journey": "old",
        "journey_version": 1,
        "step": "s",
        "channel": channel,
        "enrolment_id": f"n{number}",
        "identifier_id": customer_id,
        "customer_id": customer_id,
        "address": "a",
        "template": "t",
        "locale": "it",
        "topic": "offers",
        "planned_at": naive(at),
        "tick": 1,
        "accepted_at": naive(at),
        "status": "delivered",
        **changes,
    }


def clicked(at: datetime) -> dict[str, Any]:
    return {"opened_at": naive(at), "clicked_at": naive(at)}


def everybody(store: Warehouse) -> ibis.Table:
    return store.table(MESSAGES).select("customer_id").distinct()


def choice(store: Warehouse, prices: Prices | None = None) -> dict[int, list[str]]:
    """Each customer's channels, the best first."""
    rows = store.rows(ranked(store, everybody(store), ["email", "push", "sms"], NOW, prices))
    found: dict[int, list[str]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["rank"]):
        found[row["customer_id"]].append(row["channel"])
    return dict(found)


def test_the_rates_are_those_of_the_formula(store: Warehouse) -> None:
    dice, sent, acted = Random(3), defaultdict[Any, float](float), defaultdict[Any, float](float)
    customer(store, *range(1, 21))
    rows = []
    for number in range(400):
        who, channel = dice.randrange(1, 21), dice.choice(["email", "sms"])
        age = dice.uniform(3, 300)
        at = NOW - timedelta(days=age)
        did = dice.random() < (0.8 if who % 4 == 0 else 0.1)
        rows.append(message(number, who, channel, at, **(clicked(at) if did else {})))
        weight = 0.5 ** (int(age * 86_400) / (HALF_LIFE_DAYS * 86_400))
        sent[who, channel] += weight
        acted[who, channel] += weight * did
    rows.append(message(998, 1, "sms", NOW - timedelta(hours=1)))  # may still be acted upon
    rows.append(message(999, 1, "sms", NOW - timedelta(days=5), accepted_at=None))  # never went out
    add(store, MESSAGES, *rows)
    learn(store, NOW)
    learn(store, NOW)  # twice is once
    like = {(row["alike"], row["channel"]): row for row in store.rows(store.table(LIKE_HABITS))}
    own = {(row["customer_id"], row["channel"]): row for row in store.rows(store.table(CHANNEL_HABITS))}
    assert own.keys() == sent.keys()
    for channel in ("email", "sms"):
        people = {who: n for (who, where), n in sent.items() if where == channel}
        n, did = sum(people.values()), sum(acted[who, channel] for who in people)
        mean = did / n
        apart = sum(m * (acted[who, channel] / m - mean) ** 2 for who, m in people.items())
        free = len(people) - 1
        likeness = (apart - mean * (1 - mean) * free) / (
            mean * (1 - mean) * (n - sum(m * m for m in people.values()) / n - free)
        )
        strength = min(max(1 / likeness - 1 if likeness > 0 else STRONG, WEAK), STRONG)
        assert like["", channel]["rate"] == pytest.approx(mean, rel=1e-4)
        assert like["", channel]["strength"] == pytest.approx(strength, rel=1e-3)
        of_like = (did + LIKE_STRENGTH * mean) / (n + LIKE_STRENGTH)  # all twenty are alike
        for who, m in people.items():
            expected = (acted[who, channel] + strength * of_like) / (m + strength)
            assert own[who, channel]["rate"] == pytest.approx(expected, rel=1e-3)


def test_the_channel_on_which_a_person_answers_comes_first(store: Warehouse) -> None:
    customer(store, 1, 2, 3)
    rows = []
    for day in range(3, 33):
        at = NOW - timedelta(days=day)
        for who, loved in ((1, "sms"), (2, "email")):
            for place, channel in enumerate(("email", "push", "sms")):
                did = clicked(at) if channel == loved else {}
                rows.append(message(day * 10 + place + 1000 * who, who, channel, at, **did))
    rows.append(message(9, 3, "email", NOW))  # of the third nothing is known yet
    add(store, MESSAGES, *rows)
    learn(store, NOW)
    found = choice(store)
    assert (found[1][0], found[2][0]) == ("sms", "email")
    assert found[3] == ["email", "sms", "push"]  # as the others do; of equal ones the journey's order
    # An action is worth 1 as long as nobody has ordered after one: less than such an SMS costs, whoever answers on it.
    assert choice(store, {**PRICES, "sms": 1.5})[1][-1] == "sms"


def test_before_anything_is_learned_the_cheapest_comes_first(store: Warehouse) -> None:
    customer(store, 1)
    add(store, MESSAGES, message(1, 1, "email", NOW))
    learn(store, NOW)
    assert choice(store) == {1: ["email", "push", "sms"]}
    assert choice(store, PRICES) == {1: ["push", "email", "sms"]}


def test_the_price_is_that_of_the_country(store: Warehouse) -> None:
    customer(store, 1, 2)
    store.execute("UPDATE profiles SET country = 'IT' WHERE customer_id = 1") if store.is_duckdb else store.execute(
        "ALTER TABLE profiles UPDATE country = 'IT' WHERE customer_id = 1 SETTINGS mutations_sync = 1"
    )
    add(store, MESSAGES, message(1, 1, "sms", NOW), message(2, 2, "sms", NOW))
    rows = store.rows(ranked(store, everybody(store), ["sms"], NOW, PRICES))
    assert {row["customer_id"]: row["price"] for row in rows} == {1: 0.08, 2: 0.05}


def test_the_price_is_what_was_paid_where_nobody_says_it(store: Warehouse) -> None:
    customer(store, 1, 2, 3)
    add(
        store,
        MESSAGES,
        message(1, 1, "sms", NOW - timedelta(days=9), cost=Decimal("0.04")),
        message(2, 2, "sms", NOW - timedelta(days=9), cost=Decimal("0.08")),
        message(3, 3, "sms", NOW - timedelta(days=99), cost=Decimal(5)),  # too long ago
        message(4, 3, "email", NOW),
    )
    learn(store, NOW)
    rows = store.rows(ranked(store, everybody(store), ["sms", "email"], NOW))
    assert {(row["customer_id"], row["channel"]): row["price"] for row in rows} == {
        (who, channel): pytest.approx(price) for who in (1, 2, 3) for channel, price in (("sms", 0.06), ("email", 0.0))
    }


def test_what_an_action_is_worth_is_what_was_ordered_after_it(store: Warehouse) -> None:
    customer(store, 1, 2)
    at = NOW - timedelta(days=20)
    assert worth_of_action(store, NOW) == 1.0  # nothing known
    rows = [message(n, 1 + n % 2, "email", at, **clicked(at)) for n in range(4)]
    add(store, MESSAGES, *rows)
    order(store, 1, at + timedelta(days=1))
    order(store, 2, at + timedelta(days=9))  # too late to be put down to it
    assert worth_of_action(store, NOW) == pytest.approx(2 * 10 / 4)  # two messages were clicked before that order
    assert known(store)[0] == 1.0  # until it is learned
    learn(store, NOW)
    assert known(store)[0] == pytest.approx(5)
    (row, _) = store.rows(ranked(store, everybody(store), ["email"], NOW))
    assert row["worth"] == pytest.approx(5)


def test_the_best_hour_is_by_the_persons_own_clock_on_both_sides_of_summer_time(store: Warehouse) -> None:
    rows, number = [], 0
    for who, zone in ((1, "Europe/Rome"), (2, "Asia/Jakarta")):
        customer(store, who, zone=zone)
        for month in range(1, 13):
            for day in range(1, 8):
                number += 1
                at = datetime(2025, month, day, 18, 20, tzinfo=ZoneInfo(zone)).astimezone(UTC)
                rows.append(message(number, who, "email", at, opened_at=naive(at)))
    customer(store, 3, zone="Africa/Cairo")
    rows.append(message(number + 1, 3, "email", NOW))
    add(store, MESSAGES, *rows)
    now = datetime(2026, 3, 2, tzinfo=UTC)
    learn(store, now)
    found = {
        row["customer_id"]: row for row in store.rows(best_hours(store, everybody(store), ibis.timestamp(naive(now))))
    }
    assert [found[who]["hour"] for who in (1, 2, 3)] == [18, 18, 18]  # the third as their like do
    assert found[1]["share"] > found[3]["share"] and found[3]["active"] == 0


def test_it_is_learned_once_a_day(duck: Warehouse) -> None:
    assert [learn_daily(duck, NOW + timedelta(hours=hours)) for hours in (0, 1, 23, 24, 25)] == [
        True,
        False,
        False,
        True,
        False,
    ]


def test_of_hours_nobody_has_shown_the_first_of_the_day_is_taken(store: Warehouse) -> None:
    customer(store, 1)
    add(store, MESSAGES, message(1, 1, "email", NOW))
    learn(store, NOW)
    assert [row["hour"] for row in store.rows(best_hours(store, everybody(store), ibis.timestamp(naive(NOW))))] == [8]
    assert store.count(store.table(HOUR_HABITS)) == 1


BEST = {
    "kind": "journey",
    "name": "best",
    "entry": {"segment": "dormant"},
    "topic": "offers",
    "holdout": 0.0,
    "steps": [
        {"id": "hour", "wait": {"best_hour": True}},
        {
            "id": "reach",
            "cascade": {
                "order": "best",
                "prices": {"sms": {"IT": 0.07, "else": 0.05}},
                "channels": [
                    {"channel": "email", "template": "e", "wait": "1 day"},
                    {"channel": "sms", "template": "s", "wait": "1 day"},
                ],
            },
        },
    ],
}


def test_a_journey_waits_for_the_best_hour_and_begins_with_the_best_channel(duck: Warehouse) -> None:
    customer(duck, 1, 2, zone="Europe/Rome")
    rows = []
    for day in range(3, 33):
        at = datetime(2026, 2, 1, 19, 10, tzinfo=ZoneInfo("Europe/Rome")) - timedelta(days=day)
        for who, loved in ((1, "sms"), (2, "email")):
            for place, channel in enumerate(("email", "sms")):
                did = clicked(at) if channel == loved else {}
                rows.append(message(day * 10 + place + 1000 * who, who, channel, at, cost=Decimal("0.01"), **did))
    add(duck, MESSAGES, *rows)
    saved = [SavedJourney("best", 1, "live", NOW, parse_and_write(BEST))]
    planned = duck.table(MESSAGES).filter(ibis._.journey == "best").order_by("planned_at", "customer_id")

    def told() -> list[tuple[int, str]]:
        return [(row["customer_id"], row["channel"]) for row in duck.rows(planned)]

    start = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    tick(duck, saved, start)
    tick(duck, saved, start + timedelta(hours=8, minutes=59))
    assert told() == []  # at 17:59 in UTC it is 18:59 in Rome
    tick(duck, saved, start + timedelta(hours=9))
    assert told() == [(1, "sms"), (2, "email")]
    tick(duck, saved, start + timedelta(hours=33))
    assert told()[2:] == [(1, "email"), (2, "sms")]


def parse_and_write(document: dict[str, Any]) -> dict[str, Any]:
    return written(parse(document))


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("prices", {"prices": {"fax": 1.0}}),
        ("channels", {"channels": [{"channel": "sms", "template": "a"}, {"channel": "sms", "template": "b"}]}),
    ],
)
def test_a_cascade_that_cannot_be_ordered_is_refused(place: str, change: dict[str, Any]) -> None:
    cascade = {**BEST["steps"][1]["cascade"], "prices": {}, **change}  # type: ignore[index]
    with pytest.raises(InvalidInput, match=place):
        parse({**BEST, "steps": [{"id": "reach", "cascade": cascade}]})


def test_best_hour_stands_alone_but_for_its_weekdays() -> None:
    parse({**BEST, "steps": [{"id": "w", "wait": {"best_hour": True, "on": ["monday", "friday"]}}, BEST["steps"][1]]})  # type: ignore[index]
    with pytest.raises(InvalidInput, match="only `on`"):
        parse({**BEST, "steps": [{"id": "w", "wait": {"best_hour": True, "at": "10:00"}}, BEST["steps"][1]]})  # type: ignore[index]
