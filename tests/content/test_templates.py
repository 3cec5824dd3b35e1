"""Templates: saved as versions with all their locales, refused where wrong, found by the locale that fits best."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from onevoice.content import templates
from onevoice.content.rendering import Template, UntrackedLinks, render
from onevoice.kernel.errors import InvalidInput, NotFound
from tests.conftest import NOW
from tests.delivery.sending import MJML

HERE = Path()


def sms(**locales: str) -> dict[str, Any]:
    return {"kind": "template", "name": "t", "channel": "sms", "locales": {k: {"text": v} for k, v in locales.items()}}


def email(**fields: Any) -> dict[str, Any]:
    made = {"subject": "Hi", "mjml": MJML, **fields}
    return {"kind": "template", "name": "t", "channel": "email", "locales": {"en": made}}


def saved(db: Engine, document: dict[str, Any], directory: Path = HERE) -> tuple[int, bool]:
    with db.begin() as connection:
        return templates.save(connection, document, NOW, directory)


def found(db: Engine, version: int = 1, locale: str = "en", channel: str = "") -> Template:
    with db.connect() as connection:
        whole = templates.get(connection, "t", version)
    return whole.prepared(channel or whole.variants[0].channel, locale)


def content(db: Engine, locale: str = "en", version: int = 1, **variables: Any) -> dict[str, str]:
    return render(found(db, version, locale), variables, UntrackedLinks())


def test_a_change_makes_a_version_and_no_change_makes_none(db: Engine) -> None:
    assert saved(db, sms(en="Hi STOP")) == (1, True)
    assert saved(db, sms(en="Hi STOP")) == (1, False)
    assert saved(db, sms(en="Hi STOP", it="Ciao STOP")) == (2, True)
    assert content(db, "it", 1) == {"text": "Hi STOP"}
    assert content(db, "it", 2) == {"text": "Ciao STOP"}
    with db.connect() as connection:
        assert templates.newest_versions(connection) == {"t": 2}


def test_the_locale_falls_back_to_its_language_then_english_then_what_there_is(db: Engine) -> None:
    saved(db, {**sms(**{"en": "en STOP", "it": "it STOP", "pt-BR": "br STOP"}), "name": "t"})
    chosen = {locale: found(db, 1, locale).locale for locale in ("it", "it-CH", "it_IT", "pt-BR", "ar", "en-GB", "xx")}
    assert chosen == {"it": "it", "it-CH": "it", "it_IT": "it", "pt-BR": "pt-BR", "ar": "en", "en-GB": "en", "xx": "en"}
    saved(db, sms(ro="ro STOP"))
    assert found(db, 2, "ar").locale == "ro"
    with pytest.raises(NotFound):
        found(db, 9)
    with pytest.raises(NotFound, match="email"):
        found(db, 2, "ro", "email")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (sms(en="Buy now"), "opt out"),
        (sms(en="Buy STOPPED"), "opt out"),
        (sms(en="{{ a STOP"), "Liquid"),
        (sms(en="{{ a | shout }} STOP"), "shout"),
        ({**sms(), "locales": {}}, "locales"),
        ({**sms(en="STOP"), "channel": "fax"}, "fax"),
        ({**sms(en="STOP"), "name": ""}, "name"),
        (email(subjct="typo"), "subjct"),
        (email(mjml="<mjml><mj-body><mj-nonsense></mj-nonsense></mj-body></mjml>"), "mj-nonsense"),
        (email(mjml="<mjml><mj-body>"), "mjml"),
        (email(mjml=MJML.replace("<mj-section>", '<mj-section mood="{{ a }}">')), "mj-text"),
        (email(mjml="<mjml><mj-body>{% if a %}</mj-body></mjml>"), "Liquid"),
        ({"kind": "template", "name": "t", "channel": "push", "locales": {"en": {"title": "x"}}}, "body"),
    ],
)
def test_what_is_wrong_is_refused_with_a_word_that_helps(db: Engine, document: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        saved(db, document)
    with db.connect() as connection:
        assert templates.newest_versions(connection) == {}


def test_mjml_may_lie_in_a_file_beside_the_document_and_nowhere_else(db: Engine, tmp_path: Path) -> None:
    (tmp_path / "secret.mjml").write_text(MJML)
    directory = tmp_path / "templates"
    directory.mkdir()
    (directory / "hello.mjml").write_text(MJML)
    document = email(mjml_file="hello.mjml")
    del document["locales"]["en"]["mjml"]
    assert saved(db, document, directory) == (1, True)
    assert saved(db, document, directory) == (1, False)
    (directory / "hello.mjml").write_text(MJML.replace("Hello", "Good day"))
    assert saved(db, document, directory) == (2, True)
    for outside in ("../secret.mjml", str(tmp_path / "secret.mjml"), "missing.mjml"):
        document["locales"]["en"]["mjml_file"] = outside
        with pytest.raises(InvalidInput, match="mjml_file"):
            saved(db, document, directory)


def test_an_email_has_html_for_all_text_for_some_and_escapes_what_it_is_told(db: Engine) -> None:
    saved(db, email(subject="For {{ customer.first_name }}", preheader="A gift for {{ customer.first_name }}"))
    made = content(db, customer={"first_name": "<b>Tom & Co"})
    assert made["subject"] == "For <b>Tom & Co"
    assert "Hello &lt;b&gt;Tom &amp; Co, è ora" in made["html"]
    assert "A gift for &lt;b&gt;Tom" in made["html"]
    assert "Hello <b>Tom & Co, è ora: offers (https://shop.example/offers?a=1&b=2)" in made["text"]
    assert "gift" not in made["text"]  # the preheader is for the mail program's list
    assert UntrackedLinks.unsubscribe_url in made["html"]
    assert UntrackedLinks.unsubscribe_url in made["text"]


def test_liquid_around_sections_and_within_tables_and_styles_survives_the_html_tools(db: Engine) -> None:
    mjml = """<mjml><mj-head><mj-style>.x { color: #123456; }</mj-style></mj-head><mj-body>
    {% if customer.products.first %}<mj-section><mj-column><mj-table>
    {% for product in customer.products %}<tr><td class="x">{{ product.name | upcase }}</td></tr>{% endfor %}
    </mj-table><mj-button href="https://shop.example/{{ customer.products.first.id }}?x={{ n }}">Go</mj-button>
    </mj-column></mj-section>{% endif %}<mj-section><mj-column><mj-text>End {{ unsubscribe_url }}</mj-text></mj-column>
    </mj-section></mj-body></mjml>"""
    saved(db, email(mjml=mjml))
    products = [{"id": "p1", "name": "tea"}, {"id": "p2", "name": "milk"}]
    full = content(db, customer={"products": products}, n=5)
    rows = full["html"].split("<table")[-2 if "TEA" not in full["html"].split("<table")[-1] else -1]
    assert full["html"].index('<tr><td class="x"') < full["html"].index("TEA") < full["html"].index("MILK")
    assert "color: #123456" in full["html"]
    assert 'href="https://shop.example/p1?x=5"' in full["html"]
    assert rows
    empty = content(db, customer={"products": []})
    assert "TEA" not in empty["html"]
    assert "<mj-" not in full["html"]
    assert "End" in empty["html"]


class Numbered(UntrackedLinks):
    """Numbers the links in place of tracking them."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def tracked(self, address: str) -> str:
        self.asked.append(address)
        return f"https://t.example/{len(self.asked) - 1}"


def test_web_links_are_tracked_in_every_channel_and_the_way_out_is_not(db: Engine) -> None:
    links = Numbered()
    saved(db, sms(en="See https://shop.example/a?b={{ n }}, or {{ url | track }}. STOP {{ unsubscribe_url }}"))
    made = render(found(db), {"n": 7, "url": "https://shop.example/own"}, links)
    assert made["text"] == f"See https://t.example/0, or https://t.example/1. STOP {links.unsubscribe_url}"
    assert links.asked == ["https://shop.example/a?b=7", "https://shop.example/own"]

    links = Numbered()
    push = {"title": "T", "body": "B", "link": "https://shop.example/{{ n }}"}
    saved(db, {"kind": "template", "name": "t", "channel": "push", "locales": {"en": push}})
    assert render(found(db, 2), {"n": 7}, links)["link"] == "https://t.example/0"

    links = Numbered()
    mjml = MJML.replace("offers</a>", 'offers</a> <a href="{{ url }}">x</a> <a href="mailto:a@b.example">m</a>')
    saved(db, email(mjml=mjml))
    made = render(found(db, 3), {"url": "https://shop.example/?q=<&"}, links)
    assert links.asked == ["https://shop.example/offers?a=1&b=2", "https://shop.example/?q=<&"]
    assert 'href="https://t.example/1"' in made["html"]
    assert 'href="mailto:a@b.example"' in made["html"]
    assert "(https://t.example/0)" in made["text"]  # the same link, the same address in both parts


def test_a_value_can_be_a_link_only_where_the_template_says_so(db: Engine) -> None:
    links = Numbered()
    saved(db, sms(en="{{ name }} STOP"))
    assert render(found(db), {"name": "https://evil.example"}, links)["text"] == "https://evil.example STOP"
    assert links.asked == []
