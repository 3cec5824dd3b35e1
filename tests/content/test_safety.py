"""Whatever an author writes, saving takes or refuses it; whatever a customer is called, a message stays what it is."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onevoice.channels.mime import header_text
from onevoice.content import blocks, brand, templates
from onevoice.content.language import _environment, parse
from onevoice.content.parts import Kit
from onevoice.content.rendering import Template, UntrackedLinks, prepared, render
from onevoice.kernel.errors import InvalidInput

FILTERS = sorted(_environment(True, "it", False).filters)
WORDS = [
    "a",
    "customer.first_name",
    "a[0]",
    "a['b']",
    "'x'",
    '"<b>"',
    "1",
    "-7",
    "1.5",
    "nil",
    "(1..99999999)",
    "'now'",
]
MARKUP = """<mjml> </mjml> <mj-body> </mj-body> <mj-section> </mj-section> <mj-column> </mj-column> <mj-text> </mj-text>
<mj-raw> </mj-raw> <mj-head> </mj-head> <mj-style> <!-- --> <![CDATA[ ]]> <div <a href=" > < & &amp; &# ' {{ }} {% %}
{%- -%} | : , . lq0ql {%raw%} {%endraw%} {%else%} {%endif%} {%endfor%} {%link%} {%endlink%} {%liquid"""
TAGS = ("{% if a %}", "{% for a in b %}", "{% render 'footer' %}", "{% render 'x'", "{% with a: b %}", "{% endwith %}")
PIECES = st.one_of(
    st.sampled_from([*MARKUP.split(), *TAGS]),
    st.tuples(st.sampled_from(WORDS), st.sampled_from(FILTERS), st.lists(st.sampled_from(WORDS), max_size=2)).map(
        lambda found: f"{{{{ {found[0]} | {found[1]}: {', '.join(found[2])} }}}}".replace(":  }}", " }}")
    ),
    st.text(max_size=6),
)
TEXTS = st.lists(PIECES, max_size=14).map("".join)
SAVED = {"a": ["1", 2, None, {"b": -3.5}], "b": {"c": "d"}, "customer": {"first_name": "Ada"}}


def tried(channel: str, fields: dict[str, str]) -> None:
    """Saves and renders; anything but a refusal is a fault."""
    document = {"kind": "template", "name": "t", "channel": channel, "locales": {"it": fields}, "transactional": True}
    try:
        made = templates.draft(document, Path(), Kit({}, {}))
        render(made.prepared(channel, "it"), SAVED, UntrackedLinks())
    except InvalidInput as error:
        assert error.message


@settings(max_examples=250, deadline=None)
@given(text=TEXTS)
def test_no_text_can_make_saving_or_rendering_fail_but_by_refusing(text: str) -> None:
    tried("sms", {"text": text})
    tried("push", {"title": text, "body": text, "link": text})
    body = f"<mjml><mj-body><mj-section><mj-column><mj-text>{text}</mj-text></mj-column></mj-section></mj-body></mjml>"
    tried("email", {"subject": text, "preheader": text, "mjml": body})
    tried("email", {"subject": "x", "mjml": text})


@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_no_brand_or_block_can_either(text: str) -> None:
    for read, document in (
        (brand.read, {"kind": "brand", "name": "b", "title": text, "fonts": {"body": text or "x"}}),
        (blocks.read, {"kind": "block", "name": "b", "locales": {"en": {"mjml": text, "text": text}}}),
    ):
        try:
            read(document)
        except InvalidInput as error:
            assert error.message


class Tags(HTMLParser):
    """Collects the elements of a document, and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(" ".join([tag, *sorted(name for name, _ in attrs)]))


def elements(html: str) -> list[str]:
    reader = Tags()
    reader.feed(html)
    reader.close()
    return reader.found


MJML = """<mjml><mj-body><mj-section><mj-column><mj-text>Hi {{ a }} <a title="{{ a }}" href="{{ a }}">x</a>
<a href="https://a.b/?q={{ a }}">y</a> {{ a | default: 'x' }} {% for one in b %}{{ one }}{% endfor %}</mj-text>
</mj-column></mj-section></mj-body></mjml>"""
MAIL = templates.draft(
    {
        "kind": "template",
        "name": "t",
        "channel": "email",
        "locales": {"en": {"subject": "For {{ a }}", "preheader": "{{ a }}", "mjml": MJML}},
    },
    Path(),
    Kit({}, {}),
).prepared("email", "en")
PLAIN = elements(render(MAIL, {"a": "x", "b": ["x"]}, UntrackedLinks())["html"])
NASTY = """<script> </div> " ' > <!-- --> &lt; javascript:x ]]> </style> =?utf-8?b? +ADw- {{b}} {%if%}"""
CONTROLS = ("\r\nBcc: a@b.c\r\n\r\n", "\n", "\x00", "\x01", "\x85", "\u2028", "%01https://x.example%01")
HOSTILE = st.lists(
    st.one_of(
        st.sampled_from([*NASTY.split(), *CONTROLS]),
        st.text(max_size=4),
    ),
    min_size=1,
    max_size=6,
).map("".join)


@settings(max_examples=200, deadline=None)
@given(value=HOSTILE)
def test_no_value_can_leave_its_place(value: str) -> None:
    value = value.replace("\x01", "")  # as composing does with what comes from outside
    made = render(MAIL, {"a": value, "b": [value]}, UntrackedLinks())
    assert elements(made["html"]) == PLAIN
    subject = header_text(made["subject"])
    assert "\n" not in made["subject"] and "\r" not in made["subject"] and "\x00" not in made["subject"]
    assert all(line.startswith(" =?utf-8?b?") for line in subject.split("\r\n")[1:])


@settings(max_examples=250, deadline=None)
@given(value=HOSTILE, chain=st.lists(st.sampled_from(FILTERS), min_size=1, max_size=3))
def test_no_filter_lets_a_value_out_either(value: str, chain: list[str]) -> None:
    given_to = {"replace": "'a', 'b'", "append": "'x'", "prepend": "'x'", "plural": "other: '#'", "money": "'EUR'"}
    written = " | ".join(f"{one}: {given_to[one]}" if one in given_to else one for one in chain)
    try:
        field = parse(f"<p>{{{{ a | {written} }}}}</p>", html=True)
        made = render(Template("t", 1, "email", "en", {"html": field}, True), {"a": value}, UntrackedLinks())["html"]
    except InvalidInput:
        return
    allowed = {"p", "br"}  # newline_to_br
    assert {one.split()[0] for one in elements(made)} <= allowed, (written, made)


def test_a_name_cannot_become_a_header_and_a_link_stays_in_its_attribute() -> None:
    one = prepared(
        "t", 1, "email", "en", {"subject": "Hi {{ a }}", "html": '<a href="{{ a }}">x</a>', "text": "{{ a }}"}
    )
    made = render(one, {"a": 'x\r\nBcc: all@example.com\r\n\r\n" onclick="x'}, UntrackedLinks())
    assert made["subject"] == 'Hi x Bcc: all@example.com " onclick="x'
    assert made["html"].count('"') == 2


@pytest.mark.parametrize("depth", [151, 100_000])
def test_an_email_too_deep_for_the_tools_is_refused_before_they_see_it(depth: int) -> None:
    deep = "<mjml><mj-body>" + "<mj-raw>" * depth + "</mj-raw>" * depth + "</mj-body></mjml>"
    document = {"kind": "template", "name": "t", "channel": "email", "locales": {"en": {"subject": "x", "mjml": deep}}}
    with pytest.raises(InvalidInput, match=r"150 elements|characters"):
        templates.draft(document, Path(), Kit({}, {}))
