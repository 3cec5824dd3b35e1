"""Double opt-in: a grant that counts once it was confirmed through its own address, by a person, once."""

import re
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine

from onevoice.customers import consent
from onevoice.customers.consent import Consent, ledger
from onevoice.delivery import double_opt_in
from onevoice.delivery.double_opt_in import MOST_ASKED
from onevoice.delivery.double_opt_in_words import WORDS
from onevoice.delivery.tokens import Tokens
from onevoice.demo.doubles import Doubles
from onevoice.kernel.clock import SharedClock
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.settings import Settings
from tests.conftest import NOW
from tests.delivery.consenting import BASE, Browser
from tests.delivery.sending import at_now, send_all

WISH = Consent(1, "email", "offers", "granted", NOW, "form", {"page": "/checkout"}, text="Ja, gern!", country="DE")
ADDRESS = "anna@example.com"


@pytest.fixture
def ready(settings: Settings) -> Settings:
    return at_now(settings, public_url=BASE)


def asked(ready: Settings, db: Engine, wish: Consent = WISH, address: str = ADDRESS) -> UUID:
    with db.begin() as connection:
        now = ready.clock().now()
        return double_opt_in.ask(connection, wish, address, Tokens(ready.secret()), BASE, now)


def url(ready: Settings, number: UUID) -> str:
    return f"{BASE}/consent/{Tokens(ready.secret()).confirmation(number)}"


def state(db: Engine, channel: str = "email") -> str:
    with db.connect() as connection:
        return consent.permissions(connection, [(1, channel, "offers")], NOW + timedelta(hours=1))[0].state


def granted(db: Engine) -> list[dict[str, object]]:
    with db.connect() as connection:
        return [row for row in ledger.history(connection, [1]) if row["state"] == "granted"]


@pytest.mark.parametrize("locale", WORDS)
def test_the_customer_is_asked_by_a_message_in_their_language_and_confirms_on_its_page(
    settings: Settings, db: Engine, locale: str
) -> None:
    with Doubles() as doubles:
        ready = at_now(settings, public_url=BASE, channels=doubles.channels())
        asked(ready, db, Consent(1, "email", "offers", "granted", NOW, "form", locale=locale))
        assert state(db) == "pending"
        assert send_all(ready, db) == {"accepted": 1}
        (mail,) = doubles.smtp.mails
        html, plain = mail.part("html"), mail.part("plain")
    link = re.search(rf"{BASE}/consent/[\w-]{{40}}", html)
    assert link and link[0] in plain and f"{BASE}/c/" not in html
    assert WORDS[locale].confirm in html and f'dir="{"rtl" if locale == "ar" else "ltr"}"' in html
    browser = Browser(db, ready)
    page = browser.open(link[0]).text
    assert WORDS[locale].confirm in page and state(db) == "pending"
    done = browser.post(link[0], []).text
    assert WORDS[locale].done_title in done and state(db) == "granted"
    assert browser.open(re.search(r'href="([^"]+)"', done)[1]).status_code == 200  # type: ignore[index]


def test_looking_at_a_link_confirms_nothing(ready: Settings, db: Engine) -> None:
    link = url(ready, asked(ready, db))
    for _ in range(3):
        assert Browser(db, ready).open(link).status_code == 200
    assert state(db) == "pending" and granted(db) == []


def test_the_evidence_holds_both_steps_and_the_text_that_was_agreed_to(ready: Settings, db: Engine) -> None:
    number = asked(ready, db)
    Browser(db, ready).post(url(ready, number), [])
    (row,) = granted(db)
    evidence = row["evidence"]
    assert isinstance(evidence, dict)
    assert evidence["confirms"] == str(number) and evidence["page"] == "double_opt_in" and "user_agent" in evidence
    assert (row["text"], row["country"], row["origin"]) == ("Ja, gern!", "DE", "double_opt_in")


def test_pressing_twice_is_pressing_once_and_does_not_undo_a_withdrawal(ready: Settings, db: Engine) -> None:
    browser, link = Browser(db, ready), url(ready, asked(ready, db))
    browser.post(link, [])
    SharedClock(ready.data_dir / "clock").move(NOW + timedelta(minutes=5))
    with db.begin() as connection:
        away = Consent(1, "email", "offers", "withdrawn", NOW + timedelta(minutes=4), "one_click")
        consent.record(connection, [away], NOW)
    assert WORDS["en"].used_title in browser.post(link, []).text
    assert WORDS["en"].used_title in browser.open(link).text
    assert len(granted(db)) == 1 and state(db) == "withdrawn"


def test_a_link_that_has_run_out_says_so_and_sends_a_new_one(ready: Settings, db: Engine) -> None:
    browser, link = Browser(db, ready), url(ready, asked(ready, db))
    SharedClock(ready.data_dir / "clock").move(NOW + timedelta(days=7))
    page = browser.open(link)
    assert page.status_code == 410 and WORDS["en"].again in page.text and ADDRESS not in page.text
    assert browser.post(link, []).status_code == 410 and granted(db) == []
    assert WORDS["en"].sent_title in browser.post(link, [("action", "again")]).text
    with db.connect() as connection:
        newest = next(row for row in ledger.history(connection, [1]) if row["state"] == "pending")
    browser.post(url(ready, UUID(newest["id"])), [])
    assert len(granted(db)) == 1


def test_a_link_for_one_thing_opens_nothing_else(ready: Settings, db: Engine) -> None:
    number = asked(ready, db)
    tokens, browser = Tokens(ready.secret()), Browser(db, ready)
    assert tokens.read_preferences(tokens.confirmation(number)) is None
    assert tokens.read_confirmation(tokens.preferences(1)) is None
    other = Tokens(b"another" * 4).confirmation(number)
    for wrong in (other, "x" * 40, tokens.confirmation(UUID(int=1))):
        assert browser.open(f"/consent/{wrong}").status_code == 404
        assert browser.post(f"/consent/{wrong}", []).status_code == 404
    assert state(db) == "pending"


def test_nobody_is_asked_again_and_again(ready: Settings, db: Engine) -> None:
    clock = SharedClock(ready.data_dir / "clock")
    for minute in range(MOST_ASKED):
        clock.move(NOW + timedelta(minutes=minute))
        asked(ready, db)
    clock.move(NOW + timedelta(minutes=9))
    with pytest.raises(InvalidInput, match="3 times"):
        asked(ready, db)


def test_what_cannot_be_confirmed_by_a_link_is_refused(ready: Settings, db: Engine) -> None:
    with pytest.raises(InvalidInput, match="push"):
        asked(ready, db, Consent(1, "push", "offers", "granted", NOW, "form"))


def test_an_sms_asks_too(settings: Settings, db: Engine) -> None:
    with Doubles() as doubles:
        ready = at_now(settings, public_url=BASE, channels=doubles.channels())
        asked(ready, db, Consent(1, "sms", "offers", "granted", NOW, "till", locale="ro"), "+40722123456")
        assert send_all(ready, db) == {"accepted": 1}
    assert state(db, "sms") == "pending"
