"""The consent ledger: appended once, told to the inbox in the same transaction, the newest word counts."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import Connection, Engine, insert, text
from sqlalchemy.exc import IntegrityError

from onevoice.customers import consent
from onevoice.customers.consent import Consent, ledger
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
    return consent.permissions(connection, [(who, channel, topic)], NOW)[0].state


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
        assert state(connection) == "none"
    assert told(db) == []


def test_the_newest_word_counts_in_whatever_order_they_come(db: Engine) -> None:
    with db.begin() as connection:
        consent.record(connection, [later(GRANTED, "withdrawn"), GRANTED], NOW)
        assert state(connection) == "withdrawn"
        consent.record(connection, [later(GRANTED, "granted", 2)], NOW)
        assert state(connection) == "granted"
        assert state(connection, topic="news") == state(connection, channel="sms") == state(connection, who=2) == "none"


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
        found = [state(connection, who) for who in (1, 2, 3)]
    assert found == ["withdrawn", "withdrawn", "none"]


def test_a_state_that_is_none_is_refused(db: Engine) -> None:
    with db.begin() as connection, pytest.raises(InvalidInput, match="maybe"):
        consent.record(connection, [replace(GRANTED, state="maybe")], NOW)


def test_the_very_text_is_kept_once_per_wording_and_language(db: Engine) -> None:
    with_text = replace(GRANTED, text="Yes, write to me", locale="en", actor="agent:Mara", country="it")
    with db.begin() as connection:
        consent.record(connection, [with_text, replace(with_text, identifier_id=2)], NOW)
        consent.record(connection, [replace(with_text, text="Sì, scrivetemi", locale="it", identifier_id=3)], NOW)
        assert connection.execute(text("SELECT count(*) FROM consent_text")).scalar() == 2
        (told,) = ledger.history(connection, [1])
    assert (told["text"], told["locale"], told["actor"], told["country"]) == (
        "Yes, write to me",
        "en",
        "agent:Mara",
        "IT",
    )


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE consent_ledger SET state = 'granted'",
        "DELETE FROM consent_ledger",
        "TRUNCATE consent_ledger",
        "UPDATE consent_text SET text = 'other'",
        "DELETE FROM consent_text",
    ],
)
def test_the_database_refuses_to_change_what_was_said(db: Engine, change: str) -> None:
    with db.begin() as connection:
        consent.record(connection, [replace(GRANTED, text="Yes")], NOW)
    with db.begin() as connection, pytest.raises(IntegrityError, match="append-only"):
        connection.execute(text(change))


def test_an_erasure_takes_a_persons_words_and_nobody_elses_and_shuts_the_door_again(db: Engine) -> None:
    with db.begin() as connection:
        consent.record(connection, [GRANTED, replace(GRANTED, identifier_id=2)], NOW)
        assert consent.erase(connection, [1]) == 1
        assert [row["identifier_id"] for row in ledger.history(connection, [1, 2])] == [2]
        with pytest.raises(IntegrityError, match="append-only"):
            connection.execute(text("DELETE FROM consent_ledger"))
