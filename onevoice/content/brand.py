"""The brand kit: logo, colours, fonts, senders, tone and footer, kept once and used by every variant.

In Liquid it is `brand`; in MJML it is also the defaults of the elements, which a template may override. A brand is
compiled into the templates that use it: when it changes, they get a new version, and what was sent stays as it was.
"""

import re
from collections.abc import Mapping
from html import escape
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from onevoice.kernel.errors import InvalidInput

Colour = Annotated[str, Meta(pattern="^#[0-9a-fA-F]{6}$")]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
Country = Annotated[str, Meta(pattern="^[A-Z]{2}$")]


class Logo(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A picture on the web. `alt` is what is read where pictures are not shown."""

    url: Annotated[str, Meta(pattern="^https?://")]
    alt: str = ""
    width: Annotated[int, Meta(ge=16, le=600)] = 160  # pixels


class Colours(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Each `on_` is the colour of what stands on the other."""

    primary: Colour = "#1f4e79"
    on_primary: Colour = "#ffffff"
    background: Colour = "#f3f4f6"
    surface: Colour = "#ffffff"
    text: Colour = "#1f2328"
    muted: Colour = "#59636e"
    link: Colour = "#0b57a4"
    border: Colour = "#d1d9e0"


class Fonts(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """CSS font families, each with fonts that mail programs have."""

    body: Name = "Helvetica, Arial, sans-serif"
    heading: str = ""  # empty: as the body


class Brand(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A brand as written. By locale: its tag or language; `default` where there is none for it."""

    kind: Literal["brand"]
    name: Name
    title: Name  # what customers call it
    default: bool = False  # the brand of templates that name none
    website: str = ""
    tracking_url: Annotated[str, Meta(pattern=r"^(https?://[a-z0-9.-]+(:\d+)?)?$")] = (
        ""  # where its messages' links lead
    )
    currency: Annotated[str, Meta(pattern="^([A-Z]{3})?$")] = ""
    country: str = ""  # whose address is shown where the customer's country has none
    logo: Logo | None = None
    colours: Colours = msgspec.field(default_factory=Colours)
    fonts: Fonts = msgspec.field(default_factory=Fonts)
    tone: dict[str, str] = {}  # by locale: how we speak, for those who write
    addresses: dict[Country, str] = {}  # by country: the postal address that the law asks for
    senders: dict[str, dict[str, Name]] = {}  # by channel and locale: what the recipient sees as sender
    legal: dict[str, str] = {}  # by locale: the footer's small print


def read(document: Mapping[str, Any]) -> Brand:
    """The brand. Raises InvalidInput naming the place."""
    try:
        brand = msgspec.convert(document, Brand)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"Brand {document.get('name', '')!r}: {error}") from error
    if brand.country and brand.country not in brand.addresses:
        raise InvalidInput(f"Brand {brand.name!r}: `country` is {brand.country}, which `addresses` lacks")
    for family in (brand.fonts.body, brand.fonts.heading):
        if re.search(r'[<>"{};&]', family):
            raise InvalidInput(f'Brand {brand.name!r}: a font family must not hold any of < > " {{ }} ; &')
    for names in brand.senders.values():
        if any(not name.isprintable() for name in names.values()):
            raise InvalidInput(f"Brand {brand.name!r}: a sender's name must be one line of text")
    return brand


def values(brand: Brand | None, locale: str) -> dict[str, Any]:
    """What `brand` is in a variant of that locale."""
    if brand is None:
        return {}
    senders = {channel: in_locale(names, locale) for channel, names in brand.senders.items()}
    addresses = dict(sorted(brand.addresses.items()))
    return {
        "name": brand.title,
        "website": brand.website,
        "tracking_url": brand.tracking_url,
        "currency": brand.currency,
        "logo": msgspec.to_builtins(brand.logo) | {"alt": brand.logo.alt or brand.title, "width": brand.logo.width}
        if brand.logo
        else None,
        "colours": {name: getattr(brand.colours, name) for name in Colours.__struct_fields__},
        "fonts": {"body": brand.fonts.body, "heading": brand.fonts.heading or brand.fonts.body},
        "tone": in_locale(brand.tone, locale),
        "address": addresses.get(brand.country) or next(iter(addresses.values()), ""),
        "addresses": addresses,
        "senders": {channel: name for channel, name in senders.items() if name},
        "legal": in_locale(brand.legal, locale),
    }


def in_locale(words: Mapping[str, str], locale: str) -> str:
    """The words for the locale, else its language, else `default`, else English, else none."""
    wishes = (locale, locale.replace("_", "-").split("-")[0], "default", "en")
    return next((words[wish] for wish in wishes if wish in words), "")


def branded(mjml: str, values: Mapping[str, Any]) -> str:
    """MJML with the brand's values in place of `{{ brand... }}` and as the defaults of its elements."""
    if not values:
        return mjml
    filled = _VALUE.sub(lambda found: _value(found, values), mjml)
    head = _defaults(values["colours"], values["fonts"])
    if re.search(r"<mj-head\s*>", filled):
        filled = re.sub(r"<mj-head\s*>", lambda found: found[0] + head, filled, count=1)
    else:
        filled = re.sub(r"<mjml\b[^>]*>", lambda found: f"{found[0]}<mj-head>{head}</mj-head>", filled, count=1)
    background = f'<mj-body background-color="{values["colours"]["background"]}"'
    return re.sub(r"<mj-body(?![^>]*background-color)(?=[\s>])", background, filled, count=1)


_VALUE = re.compile(r"\{\{-?\s*brand((?:\.\w+)+)\s*-?\}\}")


def _value(found: re.Match[str], values: Mapping[str, Any]) -> str:
    value: Any = values
    for step in found[1].split(".")[1:]:
        value = value.get(step) if isinstance(value, dict) else None
    return escape(str(value)) if isinstance(value, (str, int)) else found[0]


def _defaults(colours: Mapping[str, str], fonts: Mapping[str, str]) -> str:
    """On one line, so that the author's lines stay where they are."""
    return (
        f'<mj-attributes><mj-all font-family="{fonts["body"]}" />'
        f'<mj-text color="{colours["text"]}" font-size="16px" line-height="1.5" />'
        f'<mj-table color="{colours["text"]}" font-size="16px" line-height="1.5" />'
        f'<mj-section background-color="{colours["surface"]}" />'
        f'<mj-button background-color="{colours["primary"]}" color="{colours["on_primary"]}" font-size="16px" '
        'font-weight="bold" border-radius="6px" inner-padding="12px 24px" />'
        f'<mj-divider border-color="{colours["border"]}" border-width="1px" />'
        f'<mj-class name="heading" font-family="{fonts["heading"]}" font-size="26px" line-height="1.25" />'
        f'<mj-class name="muted" color="{colours["muted"]}" font-size="12px" />'
        f'<mj-class name="outside" background-color="{colours["background"]}" />'
        f"</mj-attributes><mj-style>a {{ color: {colours['link']}; }}</mj-style>"
    )
