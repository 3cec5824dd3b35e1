"""Stopping by a word: at once, with the very text as proof, confirmed once; what only looks so waits for a person."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from onevoice.customers import consent, suppression
from onevoice.customers.consent import Consent
from onevoice.customers.identifiers import Identifier
from onevoice.customers.suppression import address_hash
from onevoice.delivery import inbound, opt_outs
from onevoice.delivery.opt_out_words import START_WORDS, STOP_WORDS, Wish, wish
from onevoice.kernel.errors import NotFound
from tests.conftest import NOW
from tests.delivery.test_inbound import PHONE, SECRET, sent, take, written

KEY = ("sms", address_hash(SECRET, "sms", PHONE))


@pytest.fixture
def ready(db: Engine) -> Engine:
    """A database with a customer who has consented to offers and was sent one."""
    with db.begin() as connection:
        connection.execute(text("INSERT INTO identifier VALUES (1, 'user_id', 'u1', 1)"))
        connection.execute(text("UPDATE identifier SET identifier_id = :id"), {"id": who().id})
        granted = Consent(who().id, "sms", "offers", "granted", NOW.replace(hour=1), "form")
        consent.record(connection, [granted], NOW)
    sent(db, identifier_id=who().id, locale="it")
    return db


def who() -> Identifier:
    return Identifier("user_id", "u1")


def state(db: Engine) -> tuple[str, str]:
    """The consent to offers, and why the address is suppressed."""
    with db.connect() as connection:
        permission = consent.permissions(connection, [(who().id, "sms", "offers")], NOW)[0]
        return permission.state, suppression.reasons(connection, [KEY]).get(KEY, "")


def confirmations(db: Engine) -> list[tuple[str, str, int]]:
    with db.connect() as connection:
        rows = connection.execute(
            text("SELECT template, locale, transactional FROM message WHERE step = 'opt_out' ORDER BY number")
        )
        return [tuple(row) for row in rows]


@pytest.mark.parametrize("word", [word for words in STOP_WORDS.values() for word in words])
def test_every_word_stops_however_it_is_written(word: str) -> None:
    for written_so in (word, word.upper(), f" {word.capitalize()}! ", f"“{word}.”"):
        assert wish(written_so) is Wish.STOP


@pytest.mark.parametrize("word", [word for words in START_WORDS.values() for word in words])
def test_every_word_starts(word: str) -> None:
    assert wish(word.upper()) is Wish.START


@pytest.mark.parametrize("written_so", ["OPRESTE", "ايقاف", "الغاء", "Dezaboneaza-ma", "إيقـــاف", "STOP\n", "opt-out"])
def test_people_write_without_the_marks(written_so: str) -> None:
    assert wish(written_so) is Wish.STOP


@pytest.mark.parametrize(
    "written_so",
    [
        "Please stop texting me",
        "non voglio più ricevere questi messaggi",
        "nu mai vreau mesaje",
        "tolong jangan kirim lagi",
        "من فضلك لا ترسل رسائل",
    ],
)
def test_what_looks_so_is_for_a_person(written_so: str) -> None:
    assert wish(written_so) is Wish.PERHAPS_STOP


@pytest.mark.parametrize(
    "written_so", ["Thanks!", "Grazie, arrivo domani", "Da, multumesc", "Ok, terima kasih", "نعم شكرا", ""]
)
def test_other_texts_are_left_alone(written_so: str) -> None:
    assert wish(written_so) is Wish.NOTHING


def test_a_word_withdraws_at_once_and_is_confirmed_once(ready: Engine) -> None:
    assert state(ready) == ("granted", "")
    take(ready, written("Stop"))
    assert state(ready) == ("withdrawn", "unsubscribed")
    with ready.connect() as connection:
        (proof,) = connection.scalars(text("SELECT evidence FROM consent_ledger WHERE state = 'withdrawn'"))
    assert proof["text"] == "Stop"
    take(ready, written("STOP", 2))
    assert confirmations(ready) == [("stopped_sms", "it", 1)]


def test_a_word_that_the_provider_has_answered_is_not_answered_again(ready: Engine) -> None:
    take(ready, written("STOP", is_confirmed=True))
    assert state(ready) == ("withdrawn", "unsubscribed")
    assert confirmations(ready) == []


def test_start_gives_back_what_stop_took_and_nothing_else(ready: Engine) -> None:
    take(ready, written("START", 1))
    assert state(ready) == ("granted", "")
    assert confirmations(ready) == []  # nothing was stopped
    take(ready, written("stop", 2))
    later = written("start", 3)
    with ready.begin() as connection:
        inbound.take(connection, SECRET, later, NOW + timedelta(minutes=1))
    with ready.connect() as connection:
        asked = [(who().id, "sms", topic) for topic in ("offers", "news")]
        found = consent.permissions(connection, asked, NOW + timedelta(minutes=2))
    assert [one.state for one in found] == ["granted", "withdrawn"]
    assert [name for name, *_ in confirmations(ready)] == ["stopped_sms", "started_sms"]


def test_a_stranger_can_stop_too(db: Engine) -> None:
    take(db, written("unsubscribe"))
    with db.connect() as connection:
        assert suppression.reasons(connection, [KEY]) == {KEY: "unsubscribed"}


def test_a_person_decides_on_what_looks_like_a_stop(ready: Engine) -> None:
    take(ready, written("please stop texting me", 1))
    take(ready, written("I will stop by tomorrow", 2))
    assert state(ready) == ("granted", "")
    with ready.begin() as connection:
        first, second = opt_outs.waiting(connection)
        by_text = {one["text"]: one["id"] for one in (first, second)}
        opt_outs.decide(connection, SECRET, [by_text["I will stop by tomorrow"]], False, "eva", NOW)
    assert state(ready) == ("granted", "")
    with ready.begin() as connection:
        opt_outs.decide(connection, SECRET, [by_text["please stop texting me"]], True, "eva", NOW)
        assert opt_outs.waiting(connection) == []
    assert state(ready) == ("withdrawn", "unsubscribed")
    with ready.begin() as connection, pytest.raises(NotFound):
        opt_outs.decide(connection, SECRET, [by_text["please stop texting me"]], True, "eva", NOW)
