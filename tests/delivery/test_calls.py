"""The list of calls: shown with what to say, taken by one, ended by a result that is news of the message."""

from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from onevoice.content import templates
from onevoice.customers import suppression
from onevoice.customers.suppression import address_hash
from onevoice.delivery import calls, queue
from onevoice.delivery.links import LinkMaker
from onevoice.kernel.errors import Conflict, InvalidInput, NotFound
from tests.conftest import NOW
from tests.delivery.builders import message_id, queued
from tests.delivery.test_routes import news

SECRET = b"s" * 32
PHONE = "+39333000111"
TEMPLATE = {
    "name": "call",
    "channel": "call",
    "locales": {"en": {"title": "Cart left behind", "script": "Hello {{ customer.first_name }}, you left a cart."}},
}


@pytest.fixture
def call(db: Engine) -> UUID:
    """An open call."""
    with db.begin() as connection:
        templates.save(connection, TEMPLATE, NOW, Path())
        queue.enqueue(connection, [queue.line(queued(1, channel="call", address=PHONE, template="call"))], 1)
        connection.execute(text("UPDATE message SET state = 'accepted', settled_at = :at"), {"at": NOW})
        connection.execute(text("INSERT INTO identifier VALUES (1, 'user_id', 'u1', 1)"))
    return message_id(1)


def listed(db: Engine, agent: str = "") -> list[dict[str, object]]:
    return calls.listed(db, LinkMaker(SECRET, "https://n.example"), NOW, agent=agent)


def end(db: Engine, call: UUID, agent: str, result: str) -> None:
    with db.begin() as connection:
        calls.end(connection, SECRET, call, agent, result, "a note", NOW)


def test_a_call_is_shown_with_what_to_say_and_taken_by_one(db: Engine, call: UUID) -> None:
    (shown,) = listed(db)
    assert (shown["number"], shown["script"]) == (PHONE, "Hello Name1, you left a cart.")
    with db.begin() as connection:
        calls.take(connection, call, "eva", NOW)
        calls.take(connection, call, "eva", NOW)
    with db.begin() as connection, pytest.raises(Conflict):
        calls.take(connection, call, "ugo", NOW)
    assert (len(listed(db, "eva")), listed(db, "ugo")) == (1, [])


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("talked", ["replied"]),
        ("voicemail", ["delivered"]),
        ("wrong_number", ["failed"]),
        ("no_more_calls", ["replied", "unsubscribed"]),
    ],
)
def test_a_result_is_news_and_ends_the_call(db: Engine, call: UUID, result: str, words: list[str]) -> None:
    end(db, call, "eva", result)
    assert [one.news for one in news(db)] == words
    assert listed(db) == []
    with db.begin() as connection, pytest.raises(NotFound):
        calls.take(connection, call, "eva", NOW)
    with db.connect() as connection:
        key = ("call", address_hash(SECRET, "call", PHONE))
        reason = suppression.reasons(connection, [key]).get(key, "")
    assert reason == {"wrong_number": "bounced", "no_more_calls": "unsubscribed"}.get(result, "")


def test_where_nobody_answers_it_goes_back_on_the_list(db: Engine, call: UUID) -> None:
    end(db, call, "eva", "no_answer")
    (shown,) = listed(db, "ugo")
    assert (shown["taken_by"], shown["tries"]) == ("", 1)
    assert news(db) == []
    with db.begin() as connection, pytest.raises(InvalidInput):
        calls.end(connection, SECRET, call, "eva", "sold", "", NOW)
