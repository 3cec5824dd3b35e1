"""What is looked at before a template goes to many: each doubt is a Finding, an error where it must not be launched.

A template is tried on real customers' variables where they are given, else on typical ones. Nothing is fetched: whether
links are dead is asked apart (`links.dead`), because it takes seconds.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import Connection

from onevoice.content import asked, markup, sample, templates
from onevoice.content.checks_words import said
from onevoice.content.compiling import UNSUBSCRIBE, says_how_to_opt_out
from onevoice.content.language import parse
from onevoice.content.rendering import UntrackedLinks, render
from onevoice.content.templates import SavedTemplate, Variant, chosen
from onevoice.content.texting import UCS, sms
from onevoice.kernel import brought
from onevoice.kernel.errors import InvalidInput, NotFound

GMAIL_CLIPS = 102 * 1024
"""Bytes of HTML after which Gmail hides the rest, and the way to unsubscribe with it."""

LONGEST_SUBJECT = 60
"""Characters of a subject that most mail programs show."""

LONGEST_PUSH = {"title": 50, "body": 150}
"""Characters of a push message that most screens show."""

WHATSAPP_LIMITS = {"header": 60, "body": 1_024, "footer": 60, "button": 25}
"""Characters (developers.facebook.com, WhatsApp templates, components)."""

LONGEST_SENDER = 11
"""Characters of a sender's name in letters (GSM 03.40: 11 of 7 bits)."""

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One doubt: which rule, where, and what it saw. `said` puts it into words."""

    severity: Severity
    rule: str
    channel: str = ""
    locale: str = ""
    seen: Mapping[str, Any] = field(default_factory=dict)
    template: str = ""  # what it is about: a template, or `segment NAME`

    def said(self, locale: str = "en") -> str:
        """The sentence, in one of the five languages."""
        return said(self.rule, self.seen, locale)


@dataclass(frozen=True)
class Circumstances:
    """What a check is told of what the template is for; all may be left out."""

    customers: Sequence[Mapping[str, Any]] = ()  # variables of some real customers, as the hand-off makes them
    audience: Mapping[str, int] = field(default_factory=dict)  # customers by locale
    prices: Mapping[str, Decimal] = field(default_factory=dict)  # of one message or SMS part, by channel
    senders: Mapping[str, str] = field(default_factory=dict)  # by channel, as the settings have them
    channels: Sequence[str] = ()  # those it is to be sent on
    event: bool = True  # whether its journey is one that people come into by an event


NOTHING_KNOWN = Circumstances()


def check(template: SavedTemplate, told: Circumstances = NOTHING_KNOWN) -> list[Finding]:
    """All doubts about a template, errors first."""
    found = [*_coverage(template, told)]
    for variant in template.variants:
        found += _variant(template, variant, told)
    distinct = {repr(one): one for one in found}.values()
    named = [Finding(f.severity, f.rule, f.channel, f.locale, f.seen, template.name) for f in distinct]
    return sorted(named, key=lambda one: (one.severity != "error", one.channel, one.locale))


def check_saved(
    connection: Connection, used: Iterable[tuple[str, str]], told: Circumstances = NOTHING_KNOWN
) -> list[Finding]:
    """The doubts about saved templates, each named with a channel it is to be sent on; for a journey's launch."""
    channels: dict[str, list[str]] = {}
    for name, channel in used:
        channels.setdefault(name, []).append(channel)
    found: list[Finding] = []
    for name, wanted in channels.items():
        try:
            template = templates.get(connection, name)
        except NotFound:
            found.append(Finding("error", "no_template", seen={"template": name}, template=name))
            continue
        found += [one for one in check(template, replace(told, channels=wanted)) if one.channel in ("", *wanted)]
    return found


# -- the whole


def _coverage(template: SavedTemplate, told: Circumstances) -> Iterator[Finding]:
    there: dict[str, list[str]] = {}
    for one in template.variants:
        there.setdefault(one.channel, []).append(one.locale)
    for channel in told.channels:
        if channel not in there:
            yield Finding("error", "no_variant", channel, seen={"template": template.name, "channel": channel})
    for channel, locales in there.items():
        for locale, customers in sorted(told.audience.items()):
            gets = chosen(locales, locale, template.options.default_locale)
            if gets.split("-")[0] != locale.replace("_", "-").split("-")[0]:
                seen = {"locale": locale, "customers": customers, "gets": gets}
                yield Finding("warning", "falls_back", channel, locale, seen)


# -- a variant


def _variant(template: SavedTemplate, variant: Variant, told: Circumstances) -> Iterator[Finding]:
    for one in (*_variables(variant, told), *_contents(template, variant, told)):
        yield Finding(one.severity, one.rule, variant.channel, variant.locale, one.seen)


def _variables(variant: Variant, told: Circumstances) -> Iterator[Finding]:
    every: set[asked.Names] = set()
    relied: set[asked.Names] = set()
    for text in variant.fields.values():
        parsed = parse(text, html=False, locale=variant.locale)
        every |= asked.paths(parsed)
        relied |= asked.relied_on(parsed)
    for names in sorted(every):
        if not _is_known(names, variant.brand):
            yield Finding("error", "unknown_variable", seen={"variable": ".".join(names)})
        elif names[0] == "event" and not told.event:
            yield Finding("error", "no_event", seen={"variable": ".".join(names)})
    for names in sorted(relied):
        missing = sum(asked.value(one, names) in (None, "", []) for one in told.customers)
        if missing and _is_known(names, variant.brand) and names[0] not in sample.OURS:
            seen = {"variable": ".".join(names), "missing": missing, "customers": len(told.customers)}
            yield Finding("warning", "missing_for_customers", seen=seen)


def _is_known(names: asked.Names, brand: Mapping[str, Any]) -> bool:
    """Whether the hand-off or the rendering knows the path; of lists and of what a moment brings no more is asked."""
    if names[0] == "brand":
        return not brand or len(names) == 1 or names[1] in brand
    if names[0] in sample.OURS or names[0] in sample.OF_A_MOMENT:
        return True
    if names[0] not in sample.VARIABLES:
        return False
    typical = sample.VARIABLES[names[0]]
    return len(names) == 1 or not isinstance(typical, dict) or names[1] in typical


def _contents(template: SavedTemplate, variant: Variant, told: Circumstances) -> Iterator[Finding]:
    prepared = template.prepared(variant.channel, variant.locale)
    rendered = []
    for variables in told.customers or (sample.VARIABLES,):
        try:
            rendered.append(render(prepared, variables, UntrackedLinks()))
        except InvalidInput as error:
            yield Finding("error", "does_not_render", seen={"why": error.message.splitlines()[0]})
    if not rendered:
        return
    looks = {"email": _email, "sms": _sms, "push": _push, "webpush": _push, "whatsapp": _whatsapp, "call": _call}
    look = looks.get(variant.channel, _brought)
    yield from look(template, variant, rendered, told)


def _email(
    template: SavedTemplate, variant: Variant, rendered: Sequence[Mapping[str, str]], told: Circumstances
) -> Iterator[Finding]:
    largest = max(rendered, key=lambda one: len(one["html"].encode()))
    found = markup.seen(largest["html"])
    subject = max((one["subject"] for one in rendered), key=len)
    if not all(one["subject"].strip() for one in rendered):
        yield Finding("error", "no_subject")
    if len(subject) > LONGEST_SUBJECT:
        yield Finding("warning", "long_subject", seen={"characters": len(subject), "most": LONGEST_SUBJECT})
    if not variant.source.get("preheader"):
        yield Finding("warning", "no_preheader")
    if not template.options.transactional and UNSUBSCRIBE not in variant.fields["html"]:
        yield Finding("error", "no_unsubscribe")
    size = len(largest["html"].encode())
    if size > GMAIL_CLIPS:
        yield Finding("warning", "clipped", seen={"kilobytes": round(size / 1024), "most": GMAIL_CLIPS // 1024})
    for faint in dict.fromkeys(found.faint):
        seen = {"text": faint.text, "colour": faint.colour, "behind": faint.behind, "ratio": faint.ratio}
        yield Finding("warning", "faint", seen={**seen, "needed": faint.needed})
    for picture in dict.fromkeys(found.without_alt):
        yield Finding("warning", "no_alt", seen={"picture": picture})
    for shown in dict.fromkeys(found.empty_links):
        yield Finding("error", "empty_link", seen={"text": shown})
    for link in dict.fromkeys(found.links):
        if link.startswith("http://"):
            yield Finding("warning", "open_link", seen={"link": link})
    addresses = [address for address in variant.brand.get("addresses", {}).values() if address]
    told_address = any(" ".join(address.split()) in " ".join(found.text.split()) for address in addresses)
    if addresses and not told_address and not template.options.transactional:
        yield Finding("warning", "no_postal_address")


def _sms(
    template: SavedTemplate, variant: Variant, rendered: Sequence[Mapping[str, str]], told: Circumstances
) -> Iterator[Finding]:
    texts = [sms(one["text"]) for one in rendered]
    longest = max(texts, key=lambda one: (one.parts, one.characters))
    price = told.prices.get("sms", Decimal(0))
    cost = {"cost": str(price * longest.parts)} if price else {}
    if longest.parts > 1:
        share = round(100 * sum(one.parts > 1 for one in texts) / len(texts))
        seen = {"characters": longest.characters, "parts": longest.parts, "encoding": longest.encoding, "share": share}
        yield Finding("warning", "sms_parts", seen={**seen, **cost})
    costly = dict.fromkeys(letter for one in texts if one.encoding == UCS for letter in one.costly)
    if costly:
        yield Finding("warning", "sms_letters", seen={"letters": " ".join(list(costly)[:12])})
    if template.options.transactional:
        return
    has_link = UNSUBSCRIBE in variant.fields["text"]
    sender = told.senders.get("sms", "") or variant.brand.get("senders", {}).get("sms", "")
    if not says_how_to_opt_out(variant.fields["text"]):
        yield Finding("error", "sms_no_way_out")
    elif not has_link and re.search("[A-Za-z]", sender) and not re.fullmatch("MG[0-9a-f]{32}", sender):
        yield Finding("error", "sms_no_reply", seen={"sender": sender})
    if re.search("[A-Za-z]", sender) and len(sender) > LONGEST_SENDER and not sender.startswith("MG"):
        yield Finding("error", "sms_sender", seen={"sender": sender, "most": LONGEST_SENDER})


def _push(
    template: SavedTemplate, variant: Variant, rendered: Sequence[Mapping[str, str]], told: Circumstances
) -> Iterator[Finding]:
    for name, most in LONGEST_PUSH.items():
        longest = max(len(one[name]) for one in rendered)
        if longest > most:
            yield Finding("warning", "long_push", seen={"field": name, "characters": longest, "most": most})
        if not all(one[name].strip() for one in rendered):
            yield Finding("error", "empty_field", seen={"field": name})


_PLACE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_TAG = re.compile(r"\{%.*?%\}", re.DOTALL)


def _whatsapp(
    template: SavedTemplate, variant: Variant, rendered: Sequence[Mapping[str, str]], told: Circumstances
) -> Iterator[Finding]:
    source = variant.source
    category = source.get("category", "marketing")
    if category != "service" and not source.get("template"):
        yield Finding("error", "whatsapp_no_template")
    if category in ("utility", "authentication") and not template.options.transactional:
        yield Finding("error", "whatsapp_category", seen={"category": category})
    if category == "marketing" and template.options.transactional:
        yield Finding("warning", "whatsapp_marketing")
    body = _TAG.sub("", source["body"]).strip()
    if category != "service":
        if re.match(_PLACE, body) or re.search(r"\}\}$", body):
            yield Finding("error", "whatsapp_edge")
        if re.search(r"\}\}\s*\{\{", body):
            yield Finding("error", "whatsapp_adjacent")
        if "{%" in source["body"] + source.get("header", ""):
            yield Finding("error", "whatsapp_logic")
    if len(_PLACE.findall(source.get("header", ""))) > 1 or "\n" in source.get("header", "").strip():
        yield Finding("error", "whatsapp_header")
    for name in ("footer", "button"):
        if "{{" in source.get(name, ""):
            yield Finding("error", "whatsapp_fixed", seen={"field": name})
    for name, most in WHATSAPP_LIMITS.items():
        longest = max(len(one.get(name, "")) for one in rendered)
        if longest > most:
            yield Finding("error", "whatsapp_long", seen={"field": name, "characters": longest, "most": most})
    if bool(source.get("button")) != bool(source.get("link")):
        yield Finding("error", "whatsapp_button")


def _brought(
    template: SavedTemplate, variant: Variant, rendered: Sequence[Mapping[str, str]], told: Circumstances
) -> Iterator[Finding]:
    """Of a channel that another package brings: no more is known than which fields it needs."""
    for name in brought.channels()[variant.channel].template_fields:
        if not all(one[name].strip() for one in rendered):
            yield Finding("error", "empty_field", seen={"field": name})


def _call(
    template: SavedTemplate, variant: Variant, rendered: Sequence[Mapping[str, str]], told: Circumstances
) -> Iterator[Finding]:
    for name in ("title", "script"):
        if not all(one[name].strip() for one in rendered):
            yield Finding("error", "empty_field", seen={"field": name})
