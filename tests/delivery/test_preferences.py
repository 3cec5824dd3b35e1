"""The preference page: what it shows, what a visit changes, and what it never gives away."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from onevoice.customers import consent
from onevoice.customers.consent import Consent, ledger, topics
from onevoice.database.inbox import Kind
from onevoice.delivery.links import LinkMaker
from onevoice.delivery.queue import enqueue, line
from onevoice.demo.doubles import Doubles
from onevoice.kernel.clock import SharedClock
from onevoice.kernel.locales import LOCALES, direction
from onevoice.kernel.settings import Settings
from tests.conftest import NOW
from tests.delivery.builders import message_id, queued
from tests.delivery.consenting import BASE, Browser, Form
from tests.delivery.sending import at_now, entries

GRANTED = Consent(1, "email", "offers", "granted", NOW - timedelta(days=9), "form")
OFFERS = {
    "kind": "topic",
    "name": "offers",
    "titles": {"en": "Offers", "it": "Offerte", "ar": "العروض"},
    "descriptions": {"en": "The best prices of the week."},
}


@pytest.fixture
def ready(settings: Settings, db: Engine) -> Settings:
    """A customer with a grant for offers by e-mail, a message to them in Italian, and two topics."""
    made = at_now(settings, public_url=BASE, channels=Doubles(base_url=BASE).channels())
    with db.begin() as connection:
        enqueue(connection, map(line, [queued(1, locale="it"), queued(2)]), 1)
        topics.save(connection, OFFERS, NOW)
        topics.save(connection, {"kind": "topic", "name": "news", "position": 1}, NOW)
        consent.record(connection, [GRANTED], NOW)
    return made


def link(ready: Settings, db: Engine, number: int = 1) -> str:
    with db.connect() as connection:
        found = connection.scalar(text("SELECT number FROM message WHERE id = :id"), {"id": message_id(number)})
    return LinkMaker(ready.secret(), BASE).of_message(found).preferences_url


def state(db: Engine, channel: str = "email", topic: str = "offers", who: int = 1) -> str:
    with db.connect() as connection:
        return consent.permissions(connection, [(who, channel, topic)], NOW)[0].state


def words(db: Engine, who: int = 1) -> list[dict[str, object]]:
    with db.connect() as connection:
        return [row for row in ledger.history(connection, [who]) if row["origin"] == "preference_page"]


def test_it_shows_each_topic_on_each_channel_as_it_is(ready: Settings, db: Engine) -> None:
    page = Browser(db, ready).open(link(ready, db)).text
    found = Form(page)
    assert found.switches == {
        f"{topic}|{channel}": (topic, channel) == ("offers", "email")
        for topic in ("offers", "news")
        for channel in ("email", "sms", "push")
    }
    assert found.shown == ["offers|email"] and found.labelled == len(found.switches)
    assert "Offerte" in page and "The best prices of the week." in page


@pytest.mark.parametrize("locale", LOCALES)
def test_it_speaks_the_five_languages_in_their_direction(ready: Settings, db: Engine, locale: str) -> None:
    page = Browser(db, ready).open(f"{link(ready, db)}?language={locale}").text
    assert f'<html lang="{locale}" dir="{direction(locale)}">' in page
    assert all(f'lang="{other}"' in page for other in LOCALES)
    assert "<script" not in page and "http://" not in page and "https://" not in page


def test_a_change_is_a_word_of_the_ledger_with_the_very_text_shown(ready: Settings, db: Engine) -> None:
    browser, url = Browser(db, ready), link(ready, db)
    page = browser.save(url, "news|sms").text
    assert "salvate" in page
    assert (state(db), state(db, "sms", "news")) == ("withdrawn", "granted")
    told = {row["state"]: row for row in words(db)}
    assert set(told) == {"granted", "withdrawn"} and {row["locale"] for row in told.values()} == {"it"}
    shown = str(told["withdrawn"]["text"]).split("\n")
    assert shown[1:] == ["Offerte: The best prices of the week.", "E-mail: spento"]
    assert shown[0] in page
    evidence = told["granted"]["evidence"]
    assert isinstance(evidence, dict) and evidence["message"] == str(message_id(1)) and "ip" in evidence
    assert Form(page).switches["news|sms"] and not Form(page).switches["offers|email"]


def test_saving_what_is_so_already_writes_nothing_and_neither_does_looking(ready: Settings, db: Engine) -> None:
    browser, url = Browser(db, ready), link(ready, db)
    browser.open(url)
    assert "cambiato nulla" in browser.save(url, "offers|email").text
    assert words(db) == []


def test_an_old_page_does_not_take_back_what_was_changed_since(ready: Settings, db: Engine) -> None:
    browser, url = Browser(db, ready), link(ready, db)
    shown = Form(browser.open(url).text).shown
    with db.begin() as connection:
        withdrawn = replace(GRANTED, state="withdrawn", occurred_at=NOW - timedelta(minutes=1))
        consent.record(connection, [withdrawn], NOW)
    browser.post(url, [*(("shown", key) for key in shown), ("on", "offers|email"), ("on", "news|email")])
    assert (state(db), state(db, topic="news")) == ("withdrawn", "granted")


def test_stopping_everything_is_one_word_for_all_and_a_later_switch_counts_again(ready: Settings, db: Engine) -> None:
    browser, url = Browser(db, ready), link(ready, db)
    browser.save(url, "offers|email", "news|push")
    for _ in range(2):
        answer = browser.post(url, [("action", "stop")])
        assert "stopped" in answer.headers["location"]
    stops = [row for row in words(db) if row["channel"] == "*"]
    assert len(stops) == 1 and "Annulla ogni iscrizione" in str(stops[0]["text"])
    assert {state(db, channel, topic) for channel in ("email", "push", "sms") for topic in ("offers", "news")} == {
        "withdrawn"
    }
    SharedClock(ready.data_dir / "clock").move(NOW + timedelta(minutes=1))
    browser.save(url, "news|push")
    assert (state(db, "push", "news"), state(db)) == ("granted", "withdrawn")


def test_unsubscribing_from_what_the_message_was_about_is_news_of_it(ready: Settings, db: Engine) -> None:
    browser, url = Browser(db, ready), link(ready, db)
    browser.save(url, "offers|email", "news|sms")
    assert [one for one in entries(db) if one.kind is Kind.MESSAGE] == []
    browser.save(url, "news|sms")
    (told,) = [one for one in entries(db) if one.kind is Kind.MESSAGE]
    assert b"unsubscribed" in told.payload


def test_made_up_switches_count_for_nothing(ready: Settings, db: Engine) -> None:
    browser = Browser(db, ready)
    for key in ("salaries|email", "*|*", "offers|fax", "offers", "' OR 1=1", "\x00"):
        browser.post(link(ready, db), [("shown", "offers|email"), ("on", "offers|email"), ("on", key)])
    assert words(db) == []


def test_a_link_opens_its_own_customers_choices_only(ready: Settings, db: Engine) -> None:
    browser, url = Browser(db, ready), link(ready, db)
    token = url.rsplit("/", 1)[1]
    other = link(ready, db, 2).rsplit("/", 1)[1]
    for wrong in (other[:12] + token[12:], token[:-1] + ("A" if token[-1] != "A" else "B"), token[:-1], "x", "é"):
        assert browser.open(f"/preferences/{wrong}").status_code == 404
        assert browser.post(f"/preferences/{wrong}", [("action", "stop")]).status_code == 404
    browser.save(link(ready, db, 2), "news|email")
    assert (state(db, topic="news", who=2), state(db, topic="news")) == ("granted", "none")


def test_the_address_is_masked_and_the_token_stays_on_the_page(ready: Settings, db: Engine) -> None:
    answer = Browser(db, ready).open(link(ready, db))
    assert "customer1@" not in answer.text and "c•••@example.com" in answer.text
    assert answer.headers["referrer-policy"] == "no-referrer" and "no-store" in answer.headers["cache-control"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "set-cookie" not in answer.headers


def test_a_redirect_leads_to_the_page_and_nowhere_else(ready: Settings, db: Engine) -> None:
    url = link(ready, db)
    answer = Browser(db, ready).post(
        f"{url}?language=//evil.example&done=//evil.example", [("action", "//evil.example"), ("next", "//evil.example")]
    )
    assert answer.status_code == 303 and answer.headers["location"] == "?language=it&done=unchanged"
    assert "evil" not in Browser(db, ready).open(f"{url}?done=<b>evil").text


def test_too_many_changes_in_a_short_time_are_put_off(ready: Settings, db: Engine) -> None:
    browser, url = Browser(db, ready), link(ready, db)
    codes = [browser.post(url, [("action", "save")]).status_code for _ in range(21)]
    assert codes == [303] * 20 + [429]
    SharedClock(ready.data_dir / "clock").move(NOW + timedelta(minutes=11))
    assert browser.post(url, [("action", "save")]).status_code == 303


def test_a_form_without_end_is_refused(ready: Settings, db: Engine) -> None:
    with pytest.raises(Exception, match="50,000"):
        Browser(db, ready).post(link(ready, db), [("on", "x" * 60_000)])
