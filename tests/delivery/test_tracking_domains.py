"""Each brand's messages lead to its own domain, every link of them; the server answers on any and trusts no host."""

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from onevoice.content import parts, templates
from onevoice.content.brand import read
from onevoice.demo.doubles import Doubles
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.settings import Settings
from tests.conftest import NOW
from tests.delivery.builders import queued
from tests.delivery.sending import MJML, at_now, entries, prepare, send_all
from tests.delivery.test_routes import BASE, call, news

OWN = "https://links.corner.example"


def brand(name: str, tracking_url: str = "") -> dict[str, Any]:
    return {"kind": "brand", "name": name, "title": name.title(), "tracking_url": tracking_url}


def sent(settings: Settings, db: Engine) -> dict[str, Any]:
    """The mail of a brand that has a domain and of one that has none, by recipient."""
    with db.begin() as connection:
        for document in (brand("corner", OWN), {**brand("plain"), "default": True}):
            parts.save(connection, document, NOW)
    fields = {
        "subject": "Hello",
        "mjml": MJML.replace("</mj-text>", ' <a href="{{ preferences_url }}">p</a></mj-text>'),
    }
    with Doubles() as doubles:
        prepare(db, [queued(1, template="ours"), queued(2)])
        with db.begin() as connection:
            document = {"name": "ours", "channel": "email", "brand": "corner", "locales": {"en": fields}}
            templates.save(connection, document, NOW, Path())
        send_all(at_now(settings, channels=doubles.channels(), public_url=BASE), db)
        return {mail.recipient: mail for mail in doubles.smtp.mails}


def ours(mail: Any) -> set[str]:
    """Every address on our side, in the body's parts and the headers."""
    whole = mail.part("html") + mail.part("plain") + str(mail.parsed()["list-unsubscribe"])
    return set(re.findall(r"https?://[^\s\"'<>]+/(?:c|o|u|h|preferences)/[\w-]+", whole))


def test_every_link_of_a_brands_mail_is_on_its_domain_and_works_there(settings: Settings, db: Engine) -> None:
    mails = sent(settings, db)
    found, others = ours(mails["customer1@example.com"]), ours(mails["customer2@example.com"])
    assert {re.sub(r"/[^/]+$", "", one) for one in found} == {
        f"{OWN}/{way}" for way in ("c", "o", "u", "h", "preferences")
    }
    assert all(one.startswith(f"{BASE}/") for one in others) and others
    ready = at_now(settings, public_url=BASE, channels=Doubles(base_url=BASE).channels())
    (click,) = (one for one in found if "/c/" in one)
    for host in ("links.corner.example", "evil.example"):
        answer = call(ready, db, "GET", click.removeprefix(OWN), headers={"host": host})
        assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.example/offers?a=1&b=2")
    (out,) = (one for one in found if "/u/" in one)
    page = call(ready, db, "GET", out.removeprefix(OWN), headers={"host": "evil.example"})
    assert page.status_code == 200 and "evil.example" not in page.text
    assert call(ready, db, "POST", out.removeprefix(OWN), content="List-Unsubscribe=One-Click").status_code == 200


def test_the_trap_is_first_unseen_and_tells_what_follows_it(settings: Settings, db: Engine) -> None:
    mail = sent(settings, db)["customer1@example.com"]
    first, rest = re.findall(r"<a [^>]*>.*?</a>", mail.part("html"), re.DOTALL)[0], mail.part("plain")
    assert f'href="{OWN}/h/' in first and "display:none" in first and 'aria-hidden="true"' in first
    assert "/h/" not in rest
    (trap,) = re.findall(r'href="([^"]+)"', first)
    ready = at_now(settings, public_url=BASE, channels=Doubles(base_url=BASE).channels())
    before = len(entries(db))
    assert call(ready, db, "GET", trap.removeprefix(OWN)).status_code == 204
    assert call(ready, db, "GET", trap.removeprefix(OWN)[:-1] + "!").status_code == 204
    assert len(entries(db)) == before + 1
    told = news(db)[-1]
    assert (told.news, told.machine, told.detail["machine"]) == ("trapped", True, "trapped")


@pytest.mark.parametrize("wrong", ["links.corner.example", "https://corner.example/path", "javascript://x", "https://"])
def test_a_domain_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidInput, match="tracking_url"):
        read(brand("corner", wrong))
