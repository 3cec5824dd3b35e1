"""The consent ledger: appended once, told to the inbox in the same transaction, the newest word counts."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import Connection, Engine, insert

from onevoice.customers import consent
from onevoice.customers.consent import Consent
from onevoice.customers.models import identifier
from onevoice.customers.schemas import ConsentEntry
from onevoice.database import inbox
from onevoice.database.inbox import Kind
from onevoice.kernel.errors import InvalidInput
from tests.conftest import NOW

GRANTED = Consent(1, "email", "offers", "granted", NOW, "form", {"text": "Yes, send me offers"}, "user_id", "anna")


def later(word: Consent, state: str, hours: int = 1) -> Consent:
    return replace(word, state=state, occurred_at=word.occurred_at + timedelta(hours=hours))


def told(db: Engine) -> list[ConsentEntry]:
    with db.connect() as connection:
        entries = [entry for *_, entry in inbox.read(connection, (0, 0), 100)]
    assert {entry.kind for entry in entries} <= {Kind.CONSENT}
    return [msgspec.json.decode(entry.payload, type=ConsentEntry) for entry in entries]


def state(connection: Connection, who: int = 1, channel: str = "email", topic: str = "offers") -> str:
    return consent.newest(connection, [(who, channel, topic)])[0]


def test_a_word_told_twice_is_one_row_and_one_entry(db: Engine) -> None:
    with db.begin() as connection:
        assert consent.record(connection, [GRANTED, GRANTED], NOW) == 1
    with db.begin() as connection:
        assert consent.record(connection, [GRANTED], NOW) == 0
    assert told(db) == [ConsentEntry(1, "email", "offers", "granted", NOW, "user_id", "anna")]


def test_what_is_rolled_back_was_never_told(db: Engine) -> None:
    with db.connect() as connection:
        consent.record(connection, [GRANTED], NOW)
        connection.rollback()
        assert state(connection) == ""
    assert told(db) == []


def test_the_newest_word_counts_in_whatever_order_they_come(db: Engine) -> None:
    with db.begin() as connection:
        consent.record(connection, [later(GRANTED, "withdrawn"), GRANTED], NOW)
        assert state(connection) == "withdrawn"
        consent.record(connection, [later(GRANTED, "granted", 2)], NOW)
        assert state(connection) == "granted"
        assert state(connection, topic="news") == state(connection, channel="sms") == state(connection, who=2) == ""


def test_at_the_same_instant_the_refusal_wins(db: Engine) -> None:
    with db.begin() as connection:
        consent.record(connection, [later(GRANTED, "granted"), later(GRANTED, "denied")], NOW)
        assert state(connection) == "denied"


def test_a_refusal_of_everything_counts_for_each_topic_and_channel_until_a_newer_grant(db: Engine) -> None:
    with db.begin() as connection:
        consent.record(connection, [GRANTED, replace(later(GRANTED, "withdrawn"), channel="*", topic="*")], NOW)
        assert state(connection) == state(connection, channel="sms", topic="news") == "withdrawn"
        consent.record(connection, [later(GRANTED, "granted", 2)], NOW)
        assert (state(connection), state(connection, channel="sms")) == ("granted", "withdrawn")


def test_a_word_under_any_identifier_of_the_customer_counts(db: Engine) -> None:
    with db.begin() as connection:
        connection.execute(
            insert(identifier),
            [
                {"identifier_id": number, "namespace": "n", "value": str(number), "customer_id": customer}
                for number, customer in ((1, 1), (2, 1), (3, 3))
            ],
        )
        consent.record(connection, [GRANTED, replace(later(GRANTED, "withdrawn"), identifier_id=2)], NOW)
        words = consent.newest(connection, [(1, "email", "offers"), (2, "email", "offers"), (3, "email", "offers")])
    assert words == ["withdrawn", "withdrawn", ""]


def test_a_state_that_is_none_is_refused(db: Engine) -> None:
    with db.begin() as connection, pytest.raises(InvalidInput, match="maybe"):
        consent.record(connection, [replace(GRANTED, state="maybe")], NOW)
