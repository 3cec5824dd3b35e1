"""Brands, blocks, several channels, right to left: one document, compiled with what is shared, renewed with it."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from onevoice.content import brand, filters, sample, standard_blocks, templates
from onevoice.content.language import parse
from onevoice.content.markup import seen
from onevoice.content.parts import Kit
from onevoice.content.rendering import UntrackedLinks, render
from onevoice.content.structure import mirrored
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.locales import LOCALES
from tests.conftest import NOW
from tests.content.test_language import buffered

HERE = Path()
BRAND = {
    "kind": "brand",
    "name": "corner",
    "title": "Corner & Co",
    "website": "https://corner.example",
    "currency": "EUR",
    "country": "IT",
    "logo": {"url": "https://corner.example/logo.png"},
    "colours": {"primary": "#14532d"},
    "addresses": {"IT": "Via Roma 1, Torino", "US": "1 Corner Street, Springfield"},
    "senders": {"email": {"default": "Corner", "it": "Corner Italia"}},
    "legal": {"en": "Corner Ltd.", "it": "Corner S.p.A., P. IVA 01234567890"},
}
WHOLE = """<mjml><mj-body>
{% render 'header' %}
{% render 'products', items: recommended, columns: 2, currency: brand.currency %}
{% render 'coupon', code: coupon.code, value: '20 %', until: '2026-03-31', link: 'https://corner.example/offers' %}
{% render 'loyalty', points: loyalty.balance %}
{% render 'footer' %}
</mj-body></mjml>"""


def mail(mjml: str = WHOLE, *locales: str, **options: Any) -> dict[str, Any]:
    fields = {"subject": "Hi", "preheader": "x", "mjml": mjml}
    return {
        "kind": "template",
        "name": "t",
        "channel": "email",
        "locales": dict.fromkeys(locales or ("en",), fields),
    } | (options)


def kit(*documents: dict[str, Any], **changes: Any) -> Kit:
    found = brand.read({**BRAND, **changes})
    return Kit({found.name: found}, {})


def shown(document: dict[str, Any], locale: str = "en", made: Kit | None = None, **variables: Any) -> dict[str, str]:
    template = templates.draft(document, HERE, made or kit())
    channel = template.variants[0].channel
    made_of = render(template.prepared(channel, locale), sample.VARIABLES | variables, UntrackedLinks())
    return {name: text.replace(": ", ":") if name == "html" else text for name, text in made_of.items()}


@pytest.mark.parametrize("locale", LOCALES)
def test_the_standard_blocks_speak_every_language_and_the_brand_is_in_them(locale: str) -> None:
    known = {"coupon": {"code": "SPRING"}, "loyalty": {"balance": 3}}
    made = shown(mail(WHOLE, locale), locale, **known)
    html = made["html"]
    assert "Whole milk, 1 gal" in html and "SPRING" in html
    assert standard_blocks.WORDS[locale]["code"] in html
    assert standard_blocks.WORDS[locale]["unsubscribe"] in html
    assert "background:#14532d" in html  # the coupon's button
    assert 'alt="Corner &amp; Co"' in html
    assert "1 Corner Street, Springfield" in html  # the customer's country is US
    assert f'lang="{locale}" dir="{"rtl" if locale == "ar" else "ltr"}"' in html
    assert not seen(html).faint and not seen(html).without_alt
    assert "{{" not in html and "{%" not in html
    assert "SPRING" in made["text"] and "https://corner.example/offers" in made["text"]


def test_what_a_customer_lacks_leaves_its_block_out() -> None:
    bare = shown(mail(), recommended=[], customer={})["html"]
    assert "dashed" not in bare
    assert "<strong>" not in bare
    assert "Via Roma 1, Torino" in bare  # the brand's own country


def test_arabic_is_mirrored_and_what_an_author_lays_out_from_right_to_left_is_not() -> None:
    body = (
        '<mj-body><mj-section padding="1px 2px 3px 4px"><mj-column><mj-text align="left" padding-left="9px">x</mj-text>'
        "</mj-column></mj-section></mj-body></mjml>"
    )
    html = shown(mail("<mjml>" + body, "ar"), "ar")["html"]
    assert "padding:1px 4px 3px 2px" in html and "padding-right:9px" in html and "direction:rtl" in html
    assert "text-align:right" in html and "text-align:left" not in html and 'align="left"' not in html
    own = shown(mail('<mjml dir="rtl">' + body, "ar"), "ar")["html"]
    assert "padding:1px 2px 3px 4px" in own and "text-align:left" in own
    assert mirrored(html).count("text-align:left") == html.count("text-align:right")


def test_sections_and_colours_are_the_brand_s_unless_the_template_says_otherwise() -> None:
    section = "<mj-section><mj-column><mj-button href='https://a.b'>x</mj-button></mj-column></mj-section>"
    plain = shown(mail(f"<mjml><mj-body>{section}</mj-body></mjml>"))["html"]
    assert "background:#14532d" in plain and "background-color:#f3f4f6" in plain
    own = shown(mail(f'<mjml><mj-body background-color="#111111">{section}</mj-body></mjml>'))["html"]
    assert "background-color:#111111" in own and "#f3f4f6" not in own
    assert "#14532d" not in shown(mail(f"<mjml><mj-body>{section}</mj-body></mjml>"), made=Kit({}, {}))["html"]


def test_a_brand_that_changes_makes_new_versions_of_what_it_changes_and_leaves_the_old_alone(db: Engine) -> None:
    call = {"kind": "template", "name": "call", "channel": "call", "locales": {"en": {"title": "a", "script": "b"}}}
    with db.begin() as connection:
        templates.save(connection, {**call, "brand": ""}, NOW, HERE)
        assert templates.save_part(connection, BRAND, NOW) == (1, True)
        templates.save(connection, mail(), NOW, HERE)
    with db.begin() as connection:
        assert templates.save_part(connection, BRAND, NOW) == (1, False)
        before = templates.newest_versions(connection)
        assert templates.save_part(connection, {**BRAND, "colours": {"primary": "#7f1d1d"}}, NOW) == (2, True)
        after = templates.newest_versions(connection)
        assert {name: after[name] - before[name] for name in after} == {"t": 1, "call": 1}
        old, new = (templates.get(connection, "t", version).variants[0].fields["html"] for version in (1, 2))
    assert "#14532d" in old and "#7f1d1d" not in old
    assert "#7f1d1d" in new and "#14532d" not in new


def test_a_block_that_would_break_a_template_is_refused_whole(db: Engine) -> None:
    block = {"kind": "block", "name": "hero", "locales": {"en": {"mjml": "<mj-text>Hello</mj-text>", "text": "Hello"}}}
    inside = "<mjml><mj-body><mj-section><mj-column>{% render 'hero' %}</mj-column></mj-section></mj-body></mjml>"
    with db.begin() as connection:
        with pytest.raises(InvalidInput, match="line 1: There is no block 'hero'"):
            templates.save(connection, mail(inside), NOW, HERE)
        templates.save_part(connection, block, NOW)
        templates.save(connection, mail(inside), NOW, HERE)
    broken = {**block, "locales": {"en": {"mjml": "<mj-text>"}}}
    with pytest.raises(InvalidInput, match="'t' would be wrong"), db.begin() as connection:
        templates.save_part(connection, broken, NOW)
    with db.begin() as connection:
        assert templates.newest_versions(connection) == {"t": 1}
        itself = {**block, "locales": {"en": {"mjml": "{% render 'hero' %}"}}}
        with pytest.raises(InvalidInput, match="in itself"):
            templates.save_part(connection, itself, NOW)


def test_one_document_holds_all_channels_each_with_its_own_locales(db: Engine) -> None:
    document = {
        "kind": "template",
        "name": "t",
        "default_locale": "it",
        "channels": {
            "email": {"en": {"subject": "Hi", "mjml": WHOLE}, "it": {"subject": "Ciao", "mjml": WHOLE}},
            "sms": {"it": {"text": "Ciao {{ 12.5 | money: 'EUR' }} STOP"}},
            "push": {"en": {"title": "Hi", "body": "{% render 'loyalty', points: 2 %}"}},
            "whatsapp": {"ar": {"body": "مرحبا"}},
            "call": {"en": {"title": "Ask", "script": "Hello {{ brand.name }}"}},
        },
    }
    with db.begin() as connection:
        templates.save(connection, document, NOW, HERE)
        found = templates.get(connection, "t")
        assert found.document() == document
        assert [found.prepared("email", one).locale for one in ("ro", "en-GB", "it_CH")] == ["it", "en", "it"]
        assert templates.save(connection, found.document(), NOW, HERE) == (1, False)
        sms = templates.find(connection, "t", 1, "ar", "sms")
        push = templates.find(connection, "t", 1, "ar", "push")
    assert render(sms, {}, UntrackedLinks())["text"] == "Ciao 12,50 € STOP"  # a plain space: GSM-7
    assert render(push, {}, UntrackedLinks())["body"] == "You have 2 points"


@pytest.mark.parametrize(
    ("mjml", "said"),
    [
        (
            "<mjml>\n<mj-body>\n<mj-section>\n</mj-body></mjml>",
            "line 4: </mj-body> closes nothing; <mj-section> of",
        ),
        ("<mjml><mj-body>\n\n{{ a | shout }}</mj-body></mjml>", "line 3: unknown filter shout"),
        ("<mjml><mj-body>\n{% if a %}\n</mj-body></mjml>", "at the end: expected tag endif"),
        ("<mjml><mj-body>" + "<div>" * 200 + "</mj-body></mjml>", "150 elements within one another"),
        ("<mjml><mj-body>\n{% render 'nonsense' %}</mj-body></mjml>", "line 2: There is no block 'nonsense'"),
        (
            "<mjml><mj-body><mj-section><mj-column><mj-text>{% for a in (1..5000) %}x{% endfor %}"
            "{% for a in (1..5001) %}x{% endfor %}</mj-text></mj-column></mj-section></mj-body></mjml>",
            "never end: more than 10,000 rounds",
        ),
    ],
)
def test_a_bad_template_is_refused_with_its_line_and_the_reason(mjml: str, said: str) -> None:
    with pytest.raises(InvalidInput, match="email, en, ") as raised:
        templates.draft(mail(mjml), HERE, Kit({}, {}))
    assert said in raised.value.message


def test_a_template_that_takes_too_long_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onevoice.content.language.MOST_SECONDS", 0.05)
    slow = "{% for a in (1..9999) %}" + "{{ big | upcase | downcase | split: '' | join: ',' }}" * 9 + "{% endfor %}"
    source = templates.draft(
        {"kind": "template", "name": "t", "channel": "sms", "locales": {"en": {"text": "STOP"}}}, HERE, Kit({}, {})
    ).prepared("sms", "en")
    cut = type(source)("t", 1, "sms", "en", {"text": parse(slow, html=False)}, False)
    with pytest.raises(InvalidInput, match="longer than"):
        render(cut, {"big": "x" * 20_000}, UntrackedLinks())


VALUES = {
    "en": ("€1,234.50", "1,234.5", "20%", "March 2, 2026", "Monday, 02 March"),
    "it": ("1.234,50 €", "1.234,5", "20%", "2 marzo 2026", "lunedì, 02 marzo"),
    "ro": ("1.234,50 EUR", "1.234,5", "20 %", "2 martie 2026", "luni, 02 martie"),
    "id": ("€1.234,50", "1.234,5", "20%", "2 Maret 2026", "Senin, 02 Maret"),
    "ar": ("1,234.50 €", "1,234.5", "20%", "2 مارس 2026", "الاثنين, 02 مارس"),
}


@pytest.mark.parametrize("locale", LOCALES)
def test_filters_write_as_the_locale_does(locale: str) -> None:
    known = {"n": 1234.5, "share": 0.2, "at": "2026-03-02T10:00:00+00:00", "planned_at": "2026-03-01T23:30:00+00:00"}
    source = "{{ n | money: 'EUR' }};{{ n | number }};{{ share | percent }};"
    source += "{{ at | date: 'long' }};{{ at | date: '%A, %d %B' }}"
    template = parse(source, html=False, locale=locale, plain=True)
    assert tuple(buffered(template, known).split(";")) == VALUES[locale]


def test_filters_count_move_and_lead() -> None:
    known = {"n": 21, "at": "2026-01-31", "planned_at": "2026-03-01T23:30:00+00:00", "name": "Nicolò & co"}
    for source, expected in {
        "{{ n | plural: one: '# punct', few: '# puncte', other: '# de puncte' }}": "21 de puncte",
        "{{ 0 | plural: zero: 'niciun punct', other: '# de puncte' }}": "niciun punct",
        "{{ at | date_plus: 1, 'month' | date: '%F' }}": "2026-02-28",
        "{{ 'now' | date_minus: 90, 'minutes' }}": None,
        "{{ 'now' | date: '%F %R', zone: 'Asia/Jakarta' }}": "2026-03-02 06:30",
        "{{ '2026-03-10' | days_until }}": "9",
        "{{ at | days_until: '2026-02-01' }}": "-1",
        "{{ 'https://a.b/?x=1#y' | url_param: 'name', name }}": "https://a.b/?x=1&name=Nicol%C3%B2+%26+co#y",
        "{{ 'soon' | date: 'long' }}{{ 'many' | number }}{{ nothing | money: 'EUR' }}": "soonmany",
    }.items():
        template = parse(source, html=False, locale="ro")
        if expected is None:
            with pytest.raises(Exception, match="no unit"):
                buffered(template, known)
        else:
            assert buffered(template, known) == expected, source
    assert filters.PLANNED_AT in sample.VARIABLES
