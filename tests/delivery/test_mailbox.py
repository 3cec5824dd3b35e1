"""E-mail that comes back: who must not be written to again, who complained, who answered; nothing on anybody's word."""

from mailbox import Maildir
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from onevoice.customers import consent, suppression
from onevoice.customers.consent import Consent
from onevoice.customers.suppression import address_hash
from onevoice.delivery import consequences, mailbox, queue
from onevoice.delivery.tokens import Tokens, Use
from onevoice.kernel.errors import InvalidInput
from tests.channels.mails import answer, bounce, complaint
from tests.conftest import NOW
from tests.delivery.builders import message_id, queued
from tests.delivery.test_inbound import events, replies
from tests.delivery.test_routes import news

SECRET = b"s" * 32
ANNA = "anna@mail.example"
KEY = ("email", address_hash(SECRET, "email", ANNA))


def sent(db: Engine, number: int = 1) -> int:
    """A message to Anna; returns its number in links."""
    with db.begin() as connection:
        queue.enqueue(connection, [queue.line(queued(number, identifier_id=1, address=ANNA))], number)
        found: int = connection.execute(
            text("UPDATE message SET attempts = 1, attempted_at = :at WHERE id = :id RETURNING number"),
            {"at": NOW, "id": message_id(number)},
        ).scalar_one()
    return found


def token(number: int) -> str:
    return Tokens(SECRET).message(number, Use.UNSUBSCRIBE)


def receive(db: Engine, raw: bytes, recipient: str = "") -> mailbox.Received:
    with db.begin() as connection:
        return mailbox.receive(connection, SECRET, raw, NOW, recipient)


def suppressed(db: Engine) -> str:
    with db.connect() as connection:
        return suppression.reasons(connection, [KEY]).get(KEY, "")


def test_a_hard_bounce_names_its_message_by_the_return_path_and_ends_the_address(db: Engine) -> None:
    number = sent(db)
    to = f"b+{Tokens(SECRET).answer(number)}@bounce.example"
    for _ in range(2):
        assert receive(db, bounce(to=to)) == mailbox.Received("hard_bounce", str(message_id(1)), "5.1.1")
    told = news(db)
    assert {(one.news, one.error_code) for one in told} == {("bounced", "5.1.1")}
    assert len({one.event_id for one in told}) == 1  # twice is once in the warehouse
    assert suppressed(db) == "bounced"


def test_a_bounce_without_our_signature_is_nobodys(db: Engine) -> None:
    number = sent(db)
    forged = Tokens(b"x" * 32).answer(number)
    assert receive(db, bounce(to=f"b+{forged}@bounce.example")).what == "foreign"
    assert receive(db, complaint(unsubscribe="A" * 16)).what == "foreign"
    assert (news(db), suppressed(db)) == ([], "")


def test_soft_bounces_are_news_until_there_are_too_many(db: Engine) -> None:
    for number in range(1, consequences.SOFT_BOUNCES + 1):
        assert suppressed(db) == ""
        full = bounce(status="4.2.2", said="smtp; 452 4.2.2 full", unsubscribe=token(sent(db, number)))
        assert receive(db, full).what == "soft_bounce"
        receive(db, full)  # the same once more counts once
    assert suppressed(db) == "bounced"


def test_a_complaint_suppresses_and_withdraws(db: Engine) -> None:
    with db.begin() as connection:
        consent.record(connection, [Consent(1, "email", "offers", "granted", NOW.replace(hour=1), "form")], NOW)
    receive(db, complaint(unsubscribe=token(sent(db))))
    assert suppressed(db) == "complained"
    with db.connect() as connection:
        assert consent.permissions(connection, [(1, "email", "offers")], NOW)[0].state == "withdrawn"
    assert "complained" in {one.news for one in news(db)}


def test_an_answer_is_a_reply_only_from_the_address_it_went_to(db: Engine) -> None:
    sent(db)
    receive(db, answer(answers=str(message_id(1)), sender="eve@mail.example", id="r2"))
    assert replies(db) == []
    receive(db, answer(answers=str(message_id(1))))
    assert replies(db) == [str(message_id(1))]
    assert [one["properties"]["text"] for one in events(db)] == ["Yes please."] * 2


@pytest.mark.parametrize("more", ["Auto-Submitted: auto-replied\n", "X-Autoreply: yes\n"])
def test_what_a_machine_answers_is_no_reply(db: Engine, more: str) -> None:
    sent(db)
    assert receive(db, answer(answers=str(message_id(1)), more=more)).what == "auto_reply"
    assert (replies(db), events(db)) == ([], [])


def test_unsubscribe_by_mail_is_heeded(db: Engine) -> None:
    sent(db)
    receive(db, answer("", answers=str(message_id(1)), subject="unsubscribe"))
    assert suppressed(db) == "unsubscribed"


def test_a_token_of_a_return_path_is_for_one_message() -> None:
    tokens = Tokens(SECRET)
    assert tokens.read_answer(tokens.answer(77).upper()) == 77
    assert tokens.read_answer(tokens.message(77, Use.OPEN)) is None
    assert tokens.read_answer("a" * 20) is None


def test_a_maildir_is_read_once_and_what_cannot_be_taken_stays_new(db: Engine, tmp_path: Path) -> None:
    box = Maildir(tmp_path / "bounces")
    for raw in (bounce(to=f"b+{Tokens(SECRET).answer(sent(db))}@bounce.example"), complaint(), answer()):
        box.add(raw)
    broken = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(OperationalError):
        mailbox.collect(broken, SECRET, tmp_path / "bounces", lambda: NOW)
    assert mailbox.new_in(tmp_path / "bounces") == 3
    taken = mailbox.collect(db, SECRET, tmp_path / "bounces", lambda: NOW)
    assert taken == {"hard_bounce": 1, "foreign": 1, "reply": 1}
    assert mailbox.new_in(tmp_path / "bounces") == 0 and len(box) == 3
    assert {one.get_flags() for one in Maildir(tmp_path / "bounces")} == {"S"}
    assert mailbox.collect(db, SECRET, tmp_path / "bounces", lambda: NOW) == {}
    with pytest.raises(InvalidInput, match="Maildir"):
        mailbox.collect(db, SECRET, tmp_path, lambda: NOW)
