"""Checks before launch: each doubt has a rule, a place and a sentence in five languages; a sound template has none."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from onevoice.content import checks, checks_words, templates
from onevoice.content.checks import Circumstances, Finding
from onevoice.content.markup import contrast, seen
from onevoice.content.parts import Kit
from onevoice.content.texting import sms
from onevoice.kernel.locales import LOCALES
from tests.conftest import NOW

MAIL = """<mjml><mj-body><mj-section><mj-column><mj-text>{inside}</mj-text>
<mj-text><a href="{{{{ unsubscribe_url }}}}">Unsubscribe</a></mj-text></mj-column></mj-section></mj-body></mjml>"""


def template(channel: str, options: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"kind": "template", "name": "t", "channel": channel, "locales": {"en": fields}, **(options or {})}


def mail(inside: str = "Hello", options: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    made = {"subject": "Your offers", "preheader": "of the week", "mjml": MAIL.format(inside=inside), **fields}
    return template("email", options, **made)


def found(document: dict[str, Any], **told: Any) -> list[Finding]:
    made = templates.draft(document, Path(), Kit({}, {}))
    return checks.check(made, Circumstances(**told))


def rules(document: dict[str, Any], **told: Any) -> set[str]:
    return {one.rule for one in found(document, **told)}


WHATSAPP = {"template": "offers_1", "body": "Hello {{ customer.first_name }}, here are your offers."}


@pytest.mark.parametrize(
    ("sound", "broken", "rule"),
    [
        (mail(), mail("{{ custommer.name }}"), "unknown_variable"),
        (mail("{{ customer.first_name }}"), mail("{{ customer.frist_name }}"), "unknown_variable"),
        (mail("{{ customer.traits.tier }}"), mail("{{ customer.tier }}"), "unknown_variable"),
        (mail("{{ event.properties.total }}"), mail("{{ event.total }}"), "unknown_variable"),
        (mail(), mail(mjml="<mjml><mj-body></mj-body></mjml>"), "no_unsubscribe"),
        (mail(options={"transactional": True}), mail(mjml="<mjml><mj-body></mj-body></mjml>"), "no_unsubscribe"),
        (mail(subject="x" * 60), mail(subject="x" * 61), "long_subject"),
        (mail(), mail(subject=" {{ nothing }} "), "no_subject"),
        (mail(), mail(preheader=""), "no_preheader"),
        (mail("<b style='color:#767676'>x</b>"), mail("<b style='color:#777777'>x</b>"), "faint"),
        (mail('<img src="https://a.b/c.png" alt="">'), mail('<img src="https://a.b/c.png">'), "no_alt"),
        (mail('<a href="https://a.b">x</a>'), mail('<a href="http://a.b">x</a>'), "open_link"),
        (mail('<a href="https://a.b">x</a>'), mail('<a href="#">x</a>'), "empty_link"),
        (mail("x" * 90_000), mail("x" * 105_000), "clipped"),
        (mail("{{ 5 | money: 'EUR' }}"), mail("{{ 5 | money }}"), "does_not_render"),
        (template("sms", text="Hi STOP"), template("sms", text="x" * 160 + " STOP"), "sms_parts"),
        (template("sms", text="è à STOP"), template("sms", text="ș STOP"), "sms_letters"),
        (template("push", title="a", body="b"), template("push", title="a" * 51, body="b"), "long_push"),
        (template("push", title="a", body="b"), template("push", title="a", body=" "), "empty_field"),
        (template("call", title="a", script="b"), template("call", title="a", script=""), "empty_field"),
        (template("whatsapp", **WHATSAPP), template("whatsapp", body=WHATSAPP["body"]), "whatsapp_no_template"),
        (
            template("whatsapp", **WHATSAPP),
            template("whatsapp", **{**WHATSAPP, "body": "Hi {{ journey }}"}),
            "whatsapp_edge",
        ),
        (
            template("whatsapp", **WHATSAPP),
            template("whatsapp", **{**WHATSAPP, "body": "a {{ topic }} {{ topic }} b"}),
            "whatsapp_adjacent",
        ),
        (
            template("whatsapp", **WHATSAPP),
            template("whatsapp", **{**WHATSAPP, "body": "a {% if topic %}b{% endif %} c"}),
            "whatsapp_logic",
        ),
        (template("whatsapp", **WHATSAPP), template("whatsapp", **WHATSAPP, footer="{{ topic }}"), "whatsapp_fixed"),
        (template("whatsapp", **WHATSAPP), template("whatsapp", **WHATSAPP, footer="x" * 61), "whatsapp_long"),
        (template("whatsapp", **WHATSAPP), template("whatsapp", **WHATSAPP, button="Go"), "whatsapp_button"),
        (
            template("whatsapp", {"transactional": True}, **WHATSAPP, category="utility"),
            template("whatsapp", **WHATSAPP, category="utility"),
            "whatsapp_category",
        ),
        (
            template("whatsapp", **WHATSAPP),
            template("whatsapp", {"transactional": True}, **WHATSAPP),
            "whatsapp_marketing",
        ),
        (
            template("whatsapp", **WHATSAPP, header="Hi {{ topic }}"),
            template("whatsapp", **WHATSAPP, header="{{ topic }} {{ journey }}"),
            "whatsapp_header",
        ),
    ],
)
def test_each_rule_finds_what_it_is_for_and_lets_the_rest_pass(
    sound: dict[str, Any], broken: dict[str, Any], rule: str
) -> None:
    assert rule not in rules(sound)
    assert rule in rules(broken)


def test_what_real_customers_lack_is_counted_unless_the_template_minds() -> None:
    customers = [{"customer": {"first_name": "Ada"}}, {"customer": {"first_name": None}}, {"customer": {}}]
    (one,) = [f for f in found(mail("Hi {{ customer.first_name }}"), customers=customers) if "missing" in f.rule]
    assert one.seen == {"variable": "customer.first_name", "missing": 2, "customers": 3}
    minding = [
        "{{ customer.first_name | default: 'you' }}",
        "{% if customer.first_name %}{{ customer.first_name }}{% endif %}",
        "{% if customer.products.first %}{{ customer.products.first.name }}{% endif %}",
        "{% assign name = customer.first_name %}{{ name }}",
        "{% for product in recommended %}{{ product.name }}{% endfor %}",
    ]
    for inside in minding:
        assert "missing_for_customers" not in rules(mail(inside), customers=customers), inside


def test_an_sms_is_measured_for_each_customer_and_priced() -> None:
    text = "{{ customer.first_name }}" * 20 + " STOP"
    customers = [{"customer": {"first_name": name}} for name in ("Al", "Alessandra", "Łukasz")]
    one = next(f for f in found(template("sms", text=text), customers=customers, prices={"sms": Decimal("0.07")}))
    assert one.rule == "sms_parts"
    assert (one.seen["parts"], one.seen["share"], one.seen["cost"]) == (2, 67, "0.14")
    assert sms("€" * 80).parts == 1
    assert sms("€" * 81).parts == 2
    assert sms("a 🎉").costly == ("🎉",)


@pytest.mark.parametrize(
    ("text", "sender", "rule"),
    [
        ("Hi STOP", "+15550100", None),
        ("Hi STOP", "CORNERMKT", "sms_no_reply"),
        ("Hi STOP", "MG" + "0a" * 16, None),
        ("Hi {{ unsubscribe_url }}", "CORNERMKT", None),
        ("Hi {{ unsubscribe_url }}", "CORNER MARKET", "sms_sender"),
    ],
)
def test_a_sender_that_is_no_number_cannot_be_answered(text: str, sender: str, rule: str | None) -> None:
    heard = rules(template("sms", text=text), senders={"sms": sender}) - {"sms_parts"}
    assert heard == ({rule} if rule else set())


def test_the_audience_s_languages_are_held_against_the_variants() -> None:
    said = {
        one.locale: (one.seen["gets"], one.seen["customers"])
        for one in found(mail(), audience={"en": 5, "en-GB": 2, "ar": 7, "it": 3})
    }
    assert said == {"ar": ("en", 7), "it": ("en", 3)}


def test_a_journey_asks_for_all_its_templates_at_once(db: Engine) -> None:
    with db.begin() as connection:
        templates.save(connection, template("sms", text="x" * 200 + " STOP"), NOW, Path())
        heard = checks.check_saved(connection, [("t", "sms"), ("t", "push"), ("gone", "email")])
    assert [(one.severity, one.rule, one.template) for one in heard if one.severity == "error"] == [
        ("error", "no_variant", "t"),
        ("error", "no_template", "gone"),
    ]
    assert "sms_parts" in {one.rule for one in heard}


def test_contrast_is_that_of_wcag_and_looks_behind_the_text() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    html = """<body><div style="background:#14532d"><span style="color:#14532d">gone</span>
    <a style="color:#ffffff;background:#c2410c">fine</a></div>
    <td bgcolor="#000"><p>gone too</p></td><div style="background:url(x.png)"><p style="color:#fff">unknown</p></div>
    <p style="display:none;color:#fff">hidden</p><p style="font-size:24px;color:#8a8a8a">large</p></body>"""
    assert [one.text for one in seen(html).faint] == ["gone", "gone too"]


def test_every_rule_has_a_sentence_in_every_language_with_the_same_gaps() -> None:
    seen_by = dict.fromkeys(["template", "channel", "locale", "customers", "gets", "variable", "missing", "why"], "7")
    seen_by |= dict.fromkeys(
        ["characters", "most", "kilobytes", "text", "colour", "behind", "ratio", "needed", "picture"], "7"
    )
    seen_by |= dict.fromkeys(
        ["link", "parts", "encoding", "share", "letters", "sender", "field", "category", "picture"], "7"
    )
    for rule, sentences in checks_words.SENTENCES.items():
        assert set(sentences) == set(LOCALES), rule
        assert len({checks_words.said(rule, seen_by, locale).count("7") for locale in LOCALES}) == 1, rule


def test_an_event_is_asked_for_only_where_one_lets_people_in() -> None:
    assert "no_event" in rules(mail("{{ event.properties.total }}"), event=False)
    assert "no_event" not in rules(mail("{{ event.properties.total }}"))
