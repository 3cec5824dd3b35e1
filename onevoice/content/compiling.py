"""From a template as written to one ready for Liquid: blocks put in, MJML to HTML, styles inlined, links marked.

Liquid is taken out before the HTML tools see the document and put back after them, so that no tool can break it.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Literal

import css_inline
import msgspec
from mjml import mjml2html
from msgspec import Meta

from onevoice.content import structure
from onevoice.content.blocks import Blocks, blank, expanded
from onevoice.content.brand import branded
from onevoice.content.language import parse
from onevoice.content.plain import plain_text
from onevoice.content.standard_blocks import find
from onevoice.kernel import brought
from onevoice.kernel.errors import InvalidInput

UNSUBSCRIBE = "unsubscribe_url"
"""The variable that holds the message's unsubscribe link."""

OPEN_PIXEL = "open_pixel_url"
"""The variable that holds the address of the picture whose request shows that an e-mail was opened."""

PREFERENCES = "preferences_url"
"""The variable that holds the address of the page on which the reader chooses what to get."""

TRAP = "trap_url"
"""The variable of a link that no reader sees: whoever follows it is a machine (delivery.unmasked)."""

CONFIRM = "confirm_url"
"""The variable of a double opt-in's message: the link that confirms."""

UNTRACKED = (UNSUBSCRIBE, PREFERENCES, CONFIRM, TRAP)
"""Links that lead to us and tell no interest in anything; they stay as they are."""

HTML_FIELDS = frozenset(("html",))
"""The fields in which what Liquid puts out is escaped."""

MJML_FIELDS = frozenset(("mjml", "preheader"))
"""The fields as written that end up in those."""


class EmailSource(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An e-mail in one locale, as written. Without `text` the text part is derived from the HTML."""

    subject: str
    mjml: str
    preheader: str = ""
    text: str = ""


class PushSource(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A push message in one locale, as written."""

    title: str
    body: str
    link: str = ""


class SmsSource(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An SMS in one locale, as written. It must say how to opt out, unless the template is transactional."""

    text: str


class WhatsAppSource(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A WhatsApp message in one locale, as its approved template says it; `template` is the name it has at Meta."""

    body: str
    template: Annotated[str, Meta(pattern=r"^[a-z0-9_]{0,512}$")] = ""
    category: Literal["marketing", "utility", "authentication", "service"] = "marketing"
    header: str = ""
    footer: str = ""
    button: str = ""
    link: str = ""  # where the button leads


class CallSource(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What an agent sees who calls a customer: the reason in a line, and what to say."""

    title: str
    script: str


class BroughtSource(msgspec.Struct):
    """What every template has in common whose channel another package brings; see kernel.brought."""


Source = EmailSource | PushSource | SmsSource | WhatsAppSource | CallSource | BroughtSource

SOURCES: Mapping[str, type[Source]] = {
    "email": EmailSource,
    "push": PushSource,
    "webpush": PushSource,
    "sms": SmsSource,
    "whatsapp": WhatsAppSource,
    "call": CallSource,
}
"""What a template of each channel consists of."""


@cache
def source_kinds() -> Mapping[str, type[Source]]:
    """The same, with the channels that other packages bring."""
    return {name: _brought(one) for name, one in brought.channels().items()} | dict(SOURCES)


def _brought(channel: brought.Brought) -> type[Source]:
    fields = [(name, str) for name in channel.template_fields] + [(name, str, "") for name in channel.optional_fields]
    made: type[Any] = msgspec.defstruct(
        f"{channel.channel}Source", fields, bases=(BroughtSource,), forbid_unknown_fields=True, omit_defaults=True
    )
    return made


def compiled(
    source: Source,
    locale: str = "en",
    brand: Mapping[str, Any] | None = None,
    blocks: Blocks = find,
    *,
    transactional: bool = False,
) -> dict[str, str]:
    """The fields of the channel's content as Liquid. Raises InvalidInput saying what is wrong and where."""
    plain = isinstance(source, SmsSource)
    whole = {}
    for name, written in msgspec.to_builtins(source).items():
        is_html = name in MJML_FIELDS
        try:
            # Before the blocks are put in, so that errors show the author's own lines.
            parse(blank(written), html=is_html, locale=locale, plain=plain)
            whole[name] = expanded(written, locale, blocks, "mjml" if name == "mjml" else "text")
        except InvalidInput as error:
            raise InvalidInput(f"{name}: {error.message}") from error
    source = msgspec.convert(whole, type(source))
    if isinstance(source, EmailSource):
        fields = _email(source, locale, brand or {})
    elif isinstance(source, PushSource):
        fields = {"title": source.title, "body": source.body, "link": _whole_link(source.link)}
    elif isinstance(source, WhatsAppSource):
        fields = _whatsapp(source)
    elif isinstance(source, CallSource):
        fields = {"title": source.title, "script": source.script}
    elif isinstance(source, BroughtSource):
        written = msgspec.structs.asdict(source)
        fields = {name: (_whole_link if name == "link" else _mark_addresses)(text) for name, text in written.items()}
    else:
        if not transactional and not says_how_to_opt_out(source.text):
            raise InvalidInput(
                "text: an SMS must say how to opt out; add {{ unsubscribe_url }}, or the word STOP and read the replies"
            )
        fields = {"text": _mark_addresses(source.text)}
    for name, text in fields.items():
        try:
            parse(text, html=name in HTML_FIELDS, locale=locale, plain=plain)
        except InvalidInput as error:
            raise InvalidInput(f"{name}: {error.message}") from error
    return fields


def says_how_to_opt_out(text: str) -> bool:
    """Whether an SMS has a link, or the word that carriers answer to."""
    return UNSUBSCRIBE in text or re.search(r"\bSTOP\b", text) is not None


# -- e-mail


def _email(source: EmailSource, locale: str, brand: Mapping[str, Any]) -> dict[str, str]:
    try:
        structure.check(source.mjml)
    except InvalidInput as error:
        raise InvalidInput(f"mjml: {error.message}") from error
    if kept := _Liquid.PLACE.search(source.mjml + source.preheader):
        raise InvalidInput(f"mjml: the word {kept[0]} stands for something else while it is compiled; write another")
    mjml, is_mirrored = structure.in_language(branded(source.mjml, brand), locale)
    liquid = _Liquid()
    try:
        html = mjml2html(liquid.take_out(mjml), fonts={})  # no font is fetched from third parties
    except ValueError as error:
        raise InvalidInput(f"mjml: {error}") from error
    html = html.replace(' lang="und"', f' lang="{locale}"')
    inliner = css_inline.CSSInliner(keep_style_tags=True, keep_at_rules=True, load_remote_stylesheets=False)
    html = inliner.inline(html)
    liquid.check_all_in(html)
    if unknown := re.search(r"<(mj-[\w-]+)", html):
        raise InvalidInput(f"mjml: there is no element {unknown[1]}, or not in that place")
    if is_mirrored:
        html = structure.mirrored(html)
    text = source.text or _TAG_LINE.sub(r"\1", liquid.put_back(plain_text(html, liquid.PLACE)))
    if source.preheader:
        html = _after_body(html, _PREHEADER.format(liquid.take_out(source.preheader)))
    html = _after_body(html, _TRAP)  # first of all links, so that a scanner shows itself before it follows others
    pixel = f'<img src="{{{{ {OPEN_PIXEL} }}}}" width="1" height="1" alt="" style="display:block">'
    html = html.replace("</body>", f"{pixel}</body>")
    return {
        "subject": source.subject,
        "html": liquid.put_back(_HREF.sub(lambda found: _mark_href(found, liquid.put_back), html)),
        "text": _mark_addresses(text),
    }


_PREHEADER = '<div style="display:none;max-height:0;overflow:hidden;opacity:0">{}</div>'
_TRAP = f'<a href="{{{{ {TRAP} }}}}" rel="nofollow" tabindex="-1" aria-hidden="true" style="display:none"></a>'
_TAG_LINE = re.compile(r"^((?:\{%[^\n]*?%\})+)\n+", re.MULTILINE)
_HREF = re.compile(r'(<(?:a|area)\b[^>]*?\shref=")([^"]*)(")')


def _mark_href(found: re.Match[str], put_back: Callable[[str], str]) -> str:
    before, address, after = found.groups()
    written = put_back(address)
    if (
        any(name in written for name in UNTRACKED)
        or "| track" in written
        or not written.startswith(("http://", "https://", "{{", "{%"))
    ):
        return found[0]
    return f"{before}{{% link %}}{address}{{% endlink %}}{after}"


def _after_body(html: str, inserted: str) -> str:
    return re.sub(r"<body\b[^>]*>", lambda found: found[0] + inserted, html, count=1)


class _Liquid:
    """Keeps the Liquid of a document while HTML tools work on the rest."""

    PLACE = re.compile(r"lq\d+ql")
    _LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
    _KEPT = re.compile(r"<!--(lq\d+ql)-->|(lq\d+ql)")

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def take_out(self, document: str) -> str:
        """The document with a word in place of each output, a comment in place of each tag (a word in attributes)."""
        parts, end = [], 0
        for found in self._LIQUID.finditer(document):
            parts.append(document[end : found.start()])
            place = f"lq{len(self.kept)}ql"
            self.kept[place] = found[0]
            before = document[: found.start()]
            in_tag = before.rfind("<") > before.rfind(">")
            parts.append(place if in_tag or found[0].startswith("{{") else f"<!--{place}-->")
            end = found.end()
        return "".join([*parts, document[end:]])

    def put_back(self, document: str) -> str:
        """The document with its Liquid."""
        return self._KEPT.sub(lambda found: self.kept[found[1] or found[2]], document)

    def check_all_in(self, html: str) -> None:
        """Raises InvalidInput where a tool has dropped Liquid, as MJML does outside of its content elements."""
        for place, written in self.kept.items():
            if place not in html:
                raise InvalidInput(f"mjml: {written} stands where MJML keeps no text; put it into mj-text or mj-raw")


# -- push, SMS, WhatsApp


def _whatsapp(source: WhatsAppSource) -> dict[str, str]:
    """What the adapter needs beside the words travels with them; none of it is Liquid."""
    words = {name: getattr(source, name) for name in ("header", "body", "footer", "button")}
    return {
        **words,
        "body": _mark_addresses(source.body),
        "link": _whole_link(source.link),
        "template": source.template,
        "category": source.category,
    }


_ADDRESS = re.compile(r"(\{%.*?%\}|\{\{.*?\}\})|https?://(?:\{\{.*?\}\}|[^\s<>\"'(){}])+", re.DOTALL)
"""Also Liquid, so that an address within it is passed by."""


def _mark_addresses(text: str) -> str:
    def mark(found: re.Match[str]) -> str:
        if found[1]:
            return found[0]
        address = found[0].rstrip(".,;:!?")
        return f"{{% link %}}{address}{{% endlink %}}{found[0][len(address) :]}"

    return _ADDRESS.sub(mark, text)


def _whole_link(link: str) -> str:
    if not link or any(name in link for name in UNTRACKED) or "| track" in link:
        return link
    return f"{{% link %}}{link}{{% endlink %}}"
