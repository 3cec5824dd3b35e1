"""An e-mail is rendered and encoded piece by piece; whatever is in it, it says what the libraries' plain way says."""

import email
import email.policy
import html
import re
from email.message import EmailMessage
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from liquid import Environment

from onevoice.channels.adapter import OutboundMessage
from onevoice.channels.smtp import SmtpAdapter
from onevoice.content.language import parse
from onevoice.content.rendering import Template, UntrackedLinks, render

VALUES = st.one_of(
    st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n"), max_size=20),
    st.sampled_from([".", "..", "\n.\n", " ", "=", "x=1&y=2", "<b>", "è" * 80, "a" * 75, "a" * 76, ". ", "From x"]),
    st.integers(-5, 5),
    st.none(),
    st.sampled_from(["https://shop.example/a?b=1&c=2", "http://x.example"]),
)
PATHS = st.sampled_from(["name", "city.name", "item.name", "item.price", "nothing.at_all"])
OUTPUTS = st.one_of(
    st.sampled_from(["Ciao ", ".", "\n.", "..\n", "<p class='a'>", "</p>\n", "è", "=20", " ", "w " * 120, "w" * 150]),
    PATHS.map("{{{{ {} }}}}".format),
    PATHS.map('{{{{ {} | default: "Ciao <b>" }}}}'.format),
    PATHS.map("{{{{ {} | upcase | append: '&' }}}}".format),
)
LINKS = st.one_of(
    PATHS.map("{{% link %}}https://shop.example/p?a=1&amp;b={{{{ {} }}}}{{% endlink %}}".format),
    PATHS.map("{{% link %}} {{{{ {} }}}}\n{{% endlink %}}".format),
)
PLAIN = st.lists(OUTPUTS | LINKS, max_size=5).map("".join)
PARTS = st.one_of(
    PLAIN,
    PLAIN.map("{{% for item in items %}}{}{{% endfor %}}".format),
    PLAIN.map("{{% for item in items %}}{{% if item.name %}}{}{{% else %}}-{{% endif %}}{{% endfor %}}".format),
    st.tuples(PLAIN, PLAIN).map(
        lambda two: f"{{% if city.name == name %}}{two[0]}{{% elsif name %}}{two[1]}{{% endif %}}"
    ),
    PLAIN.map("{{% capture kept %}}{}{{% endcapture %}}{{{{ kept }}}}".format),
    PLAIN.map("{{% assign name = city.name %}}{}".format),
    st.just("{{ name }}{% if items %}{% assign name = city.name %}{{ name }}{% endif %}{{ name }}"),
)
SOURCES = st.lists(PARTS, max_size=4).map("".join)
ITEM = st.fixed_dictionaries({"name": VALUES}, optional={"price": VALUES}) | VALUES
VARIABLES = st.fixed_dictionaries(
    {"name": VALUES, "items": st.lists(ITEM, max_size=4)},
    optional={"city": st.fixed_dictionaries({"name": VALUES}) | VALUES},
)


class Tracked(UntrackedLinks):
    """Shows what an address was."""

    def tracked(self, address: str) -> str:
        return f"https://t.example/{len(address)}/{address.encode().hex()[:40]}"


def plainly(source: str, variables: dict[str, Any], *, is_html: bool) -> str:
    """What the template language's library makes of it, links found afterwards."""

    def ours(found: re.Match[str]) -> str:
        written = found[1].strip()
        if not written.startswith(("https://", "http://")):
            return written
        return Tracked().tracked(html.unescape(written) if is_html else written)

    made = source.replace("{% link %}", "\x02").replace("{% endlink %}", "\x03")
    rendered = Environment(autoescape=is_html).from_string(made).render(**variables)
    return re.sub("\x02(.*?)\x03", ours, rendered, flags=re.DOTALL)


@settings(max_examples=300, deadline=None)
@given(text=SOURCES, web=SOURCES, variables=VARIABLES)
def test_a_message_says_what_it_says_rendered_whole_and_built_by_the_standard_library(
    text: str, web: str, variables: dict[str, Any]
) -> None:
    fields = {"subject": parse("s", html=False), "html": parse(web, html=True), "text": parse(text, html=False)}
    content = render(Template("t", 1, "email", "en", fields, marks=True), variables, Tracked())
    wire = SmtpAdapter(sender="a@shop.example").encoded(OutboundMessage("m", "email", "b@x.example", content))
    assert b"\n." not in wire[:-3] and b"\n" not in wire.replace(b"\r\n", b"")
    assert max(map(len, wire.split(b"\r\n"))) <= 78

    expected = EmailMessage()
    expected.set_content(plainly(text, variables, is_html=False))
    expected.add_alternative(plainly(web, variables, is_html=True), subtype="html")
    came = email.message_from_bytes(wire[:-3].replace(b"\r\n", b"\n"), policy=email.policy.default)
    assert isinstance(came, EmailMessage)
    for kind in ("plain", "html"):
        ours, theirs = came.get_body((kind,)), expected.get_body((kind,))
        assert ours is not None and theirs is not None
        assert str(ours.get_content()).removesuffix("\n") == str(theirs.get_content()).removesuffix("\n")
