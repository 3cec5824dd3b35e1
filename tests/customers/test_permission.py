"""May we contact: the rule word by word, and equal in the warehouse and in the database whatever was said."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, insert

from onevoice.customers import consent, load
from onevoice.customers.consent import Consent, Permission, everybody, policies, soft_opt_in
from onevoice.customers.consent.policies import cutoff
from onevoice.customers.consent.rule import REASONS, Words, ruling
from onevoice.customers.facts import CONSENT_EXPIRIES, CONSENTS, IDENTIFIERS
from onevoice.customers.models import identifier
from onevoice.customers.schemas import ConsentEntry, ConsentExpiry
from onevoice.database.inbox import Entry, Kind
from onevoice.kernel.clock import aware, naive
from onevoice.kernel.errors import InvalidInput
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.builders import add

BOUGHT = {"order_id": "o1", "similar_goods": True, "opt_out_offered": True}
PROFILE = {1: 1, 2: 1, 3: 3}
"""Which customer an identifier is of."""


def ago(months: int, hours: int = 0) -> datetime:
    return cutoff(NOW, months) + timedelta(hours=hours)


def said(state: str, at: datetime, **changes: Any) -> Consent:
    evidence = BOUGHT if state == "soft_opt_in" else {}
    return replace(Consent(1, "email", "offers", state, at, "form", evidence, country="IT"), **changes)


def answers(store: Warehouse, channel: str = "email", topic: str = "offers") -> dict[int, Permission]:
    """What the warehouse says, by customer."""
    found = everybody.permission(store, channel, topic, NOW)
    rows = store.rows(found)
    assert all((row["permitted"] == 1) == (row["state"] in consent.PERMITTED) for row in rows)
    return {
        row["customer_id"]: Permission(row["state"], aware(row["since"]), row["basis"], row["reason"]) for row in rows
    }


def tell(store: Warehouse, connection: Connection, words: Sequence[Consent], rules: Sequence[ConsentExpiry]) -> None:
    """Says the words to database and warehouse, in two loads, so that the second meets what the first left."""
    for table in (CONSENTS, CONSENT_EXPIRIES, IDENTIFIERS):
        store.delete(table, store.table(table).select(table.order_by[0]).distinct())
    add(
        store,
        IDENTIFIERS,
        *(
            {"identifier_id": n, "namespace": "n", "value": str(n), "customer_id": of, "cluster_id": of}
            | {"first_seen_at": naive(NOW), "revision": 1}
            for n, of in PROFILE.items()
        ),
    )
    published = [
        {"identifier_id": n, "namespace": "n", "value": str(n), "customer_id": of} for n, of in PROFILE.items()
    ]
    connection.execute(insert(identifier), published)
    consent.record(connection, words, NOW)
    if rules:
        document = {"kind": "consent_policy", "name": "shop", "expiry": msgspec.to_builtins(rules)}
        policies.save(connection, document, NOW)
    told = [Entry(0, Kind.CONSENT_POLICY, NOW, msgspec.json.encode(list(rules)))]
    load.load_policies(store, told)
    entries = [
        Entry(
            0,
            Kind.CONSENT,
            NOW,
            msgspec.json.encode(
                ConsentEntry(w.identifier_id, w.channel, w.topic, w.state, w.occurred_at, country=w.country)
            ),
        )
        for w in words
    ]
    # Two words that differ in their country alone are one to the ledger, which hands on the last.
    entries = list({w.id: entry for w, entry in zip(words, entries, strict=True)}.values())
    half = len(entries) // 2
    for part in (entries[:half], entries[half:]):
        load.load_consents(store, part, b"s" * 32, 1, [])


YEAR = [ConsentExpiry(12)]
CASES = {
    "silence": ([], [], ("none", "never_asked")),
    "a grant": ([said("granted", ago(1))], [], ("granted", "granted")),
    "a grant taken back": ([said("granted", ago(2)), said("withdrawn", ago(1))], [], ("withdrawn", "withdrawn")),
    "at one instant refusal wins": ([said("granted", ago(1)), said("denied", ago(1))], [], ("denied", "denied")),
    "a new grant": ([said("denied", ago(2)), said("granted", ago(1))], [], ("granted", "granted")),
    "an old grant": ([said("granted", ago(12))], YEAR, ("expired", "consent_too_old")),
    "one hour younger": ([said("granted", ago(12, 1))], YEAR, ("granted", "granted")),
    "renewed": ([said("granted", ago(20)), said("granted", ago(3))], YEAR, ("granted", "granted")),
    "a rule for others": ([said("granted", ago(20))], [ConsentExpiry(12, country="DE")], ("granted", "granted")),
    "a rule for SMS": ([said("granted", ago(20))], [ConsentExpiry(12, channel="sms")], ("granted", "granted")),
    "the shortest of rules": (
        [said("granted", ago(20))],
        [ConsentExpiry(24), ConsentExpiry(12, country="IT", topic="offers")],
        ("expired", "consent_too_old"),
    ),
    "too old, then refused": (
        [said("granted", ago(20)), said("withdrawn", ago(19))],
        YEAR,
        ("withdrawn", "withdrawn"),
    ),
    "a purchase": ([said("soft_opt_in", ago(1))], [], ("soft_opt_in", "soft_opt_in")),
    "a purchase never takes a refusal back": (
        [said("denied", ago(2)), said("soft_opt_in", ago(1))],
        [],
        ("denied", "denied"),
    ),
    "a purchase after a grant grew too old": (
        [said("denied", ago(30)), said("granted", ago(20)), said("soft_opt_in", ago(1))],
        YEAR,
        ("soft_opt_in", "soft_opt_in"),
    ),
    "a purchase long ago in Ireland": (
        [said("soft_opt_in", ago(12), country="IE")],
        [],
        ("expired", "soft_opt_in_over"),
    ),
    "a purchase in Ireland": ([said("soft_opt_in", ago(11), country="IE")], [], ("soft_opt_in", "soft_opt_in")),
    "asked to confirm": ([said("pending", NOW - timedelta(days=1))], [], ("pending", "awaiting_confirmation")),
    "not confirmed": ([said("pending", NOW - timedelta(days=7))], [], ("expired", "not_confirmed")),
    "asked again, the grant stands": (
        [said("granted", ago(2)), said("pending", NOW - timedelta(days=1))],
        [],
        ("granted", "granted"),
    ),
    "asked again after a refusal": (
        [said("denied", ago(2)), said("pending", NOW - timedelta(days=1))],
        [],
        ("pending", "awaiting_confirmation"),
    ),
    "never confirmed after a refusal": (
        [said("denied", ago(2)), said("pending", NOW - timedelta(days=8))],
        [],
        ("denied", "denied"),
    ),
    "a refusal of everything": (
        [said("granted", ago(2)), said("withdrawn", ago(1), channel="*", topic="*")],
        [],
        ("withdrawn", "withdrawn"),
    ),
    "another identifier of the same customer": (
        [said("granted", ago(2)), said("withdrawn", ago(1), identifier_id=2)],
        [],
        ("withdrawn", "withdrawn"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_rule_word_by_word(case: str, duck: Warehouse, db: Engine) -> None:
    words, rules, expected = CASES[case]
    with db.begin() as connection:
        tell(duck, connection, words, rules)
        (found,) = consent.permissions(connection, [(1, "email", "offers")], NOW)
    assert (found.state, found.reason) == expected
    assert answers(duck).get(1, Permission()) == found
    assert found.reason in REASONS


WORDS = st.builds(
    Consent,
    identifier_id=st.sampled_from(list(PROFILE)),
    channel=st.sampled_from(["email", "sms", "*"]),
    topic=st.sampled_from(["offers", "news", "*"]),
    state=st.sampled_from(consent.STATES),
    occurred_at=st.sampled_from([ago(30), ago(12), ago(12, 1), ago(3), NOW - timedelta(days=3), NOW]),
    origin=st.just("form"),
    evidence=st.just(BOUGHT),
    country=st.sampled_from(["", "IT", "IE", "DE", "GB"]),
).filter(lambda word: word.state != "soft_opt_in" or word.country in soft_opt_in.allowed(word.channel))
RULES = st.builds(
    ConsentExpiry,
    months=st.sampled_from([1, 12, 24]),
    country=st.sampled_from(["*", "IT", "IE"]),
    channel=st.sampled_from(["*", "sms"]),
    topic=st.sampled_from(["*", "news"]),
    state=st.sampled_from(["*", "granted", "soft_opt_in"]),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(WORDS, max_size=8), rules=st.lists(RULES, max_size=3))
@example(words=[said("granted", ago(12), country=""), said("granted", ago(12), country="IT")], rules=YEAR)
def test_the_warehouse_and_the_database_give_the_same_answer(
    words: list[Consent], rules: list[ConsentExpiry], store: Warehouse, db: Engine
) -> None:
    asked = [(n, channel, topic) for n in PROFILE for channel in ("email", "sms") for topic in ("offers", "news")]
    with db.connect() as connection:
        tell(store, connection, words, rules)
        found = dict(zip(asked, consent.permissions(connection, asked, NOW), strict=True))
        connection.rollback()
    for channel in ("email", "sms"):
        for topic in ("offers", "news"):
            held = answers(store, channel, topic)
            for number, customer in PROFILE.items():
                assert held.get(customer, Permission()) == found[number, channel, topic], (number, channel, topic)


@given(st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=5, max_size=5))
def test_nobody_is_contacted_against_a_refusal(days: list[int | None]) -> None:
    granted, refused, denied, soft, pending = (
        None if day is None else NOW - timedelta(days=day) for day in (days[0], days[1], days[2], days[3], days[4])
    )
    refused = max(filter(None, (refused, denied)), default=None)
    found = ruling(Words(granted, granted, refused, denied, soft, soft, pending), NOW)
    if found.permitted:
        assert refused is None or (granted is not None and granted > refused)


def test_months_are_the_calendars() -> None:
    assert cutoff(datetime(2026, 3, 31, 9, tzinfo=UTC), 1) == datetime(2026, 2, 28, 9, tzinfo=UTC)
    assert cutoff(datetime(2026, 1, 15, tzinfo=UTC), 13) == datetime(2024, 12, 15, tzinfo=UTC)
    assert cutoff(datetime(2028, 2, 29, tzinfo=UTC), 12) == datetime(2027, 2, 28, tzinfo=UTC)


def test_only_those_asked_about_are_answered(store: Warehouse, db: Engine) -> None:
    with db.begin() as connection:
        tell(store, connection, [said("granted", ago(1)), said("granted", ago(1), identifier_id=3)], [])
    third = store.table(IDENTIFIERS).filter(store.table(IDENTIFIERS).customer_id == 3).select("customer_id")
    for among in (third, [3]):
        found = everybody.permission(store, "email", "offers", NOW, among)
        assert [row["customer_id"] for row in store.rows(found.select("customer_id"))] == [3]


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"country": ""}, "not known"),
        ({"country": "AE"}, "in AE"),
        ({"channel": "sms"}, "for sms in IT"),
        ({"channel": "*"}, "for *"),
        ({"evidence": {**BOUGHT, "order_id": ""}}, "order_id"),
        ({"evidence": {**BOUGHT, "similar_goods": False}}, "similar_goods"),
        ({"evidence": {**BOUGHT, "opt_out_offered": "yes"}}, "opt_out_offered"),
    ],
)
def test_a_soft_opt_in_that_the_law_does_not_know_is_refused(db: Engine, changes: dict[str, Any], missing: str) -> None:
    with db.begin() as connection, pytest.raises(InvalidInput) as refused:
        consent.record(connection, [said("soft_opt_in", ago(1), **changes)], NOW)
    assert missing in refused.value.message


def test_double_opt_in_is_asked_for_in_germany_and_wherever_the_shop_says(db: Engine) -> None:
    with db.begin() as connection:
        assert policies.must_confirm(connection, "de", "email", "offers")
        assert not policies.must_confirm(connection, "IT", "email", "offers")
        document = {
            "kind": "consent_policy",
            "name": "confirm",
            "double_opt_in": [{"topic": "news"}, {"country": "DE", "required": False}],
        }
        assert policies.save(connection, document, NOW) == (1, True)
        assert policies.save(connection, document, NOW) == (1, False)
        assert policies.must_confirm(connection, "IT", "sms", "news")
        assert policies.must_confirm(connection, "DE", "email", "news")
        assert not policies.must_confirm(connection, "DE", "email", "offers")
        with pytest.raises(InvalidInput, match="months"):
            policies.save(connection, {"kind": "consent_policy", "name": "x", "expiry": [{"months": 0}]}, NOW)
