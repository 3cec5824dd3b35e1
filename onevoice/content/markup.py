"""What can be seen of an e-mail's HTML without a browser: contrast, alternative texts, links.

Colours are those of inline styles and attributes, which is where the compiler puts them; pictures behind text are not
seen, so a text on one is left out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

AA = 4.5
"""The least contrast of text and what is behind it (WCAG 2.2, 1.4.3)."""

AA_LARGE = 3.0
"""The same for large text: 24 px, or 18.66 px when bold."""


@dataclass(frozen=True)
class Faint:
    """A text too faint to read for many."""

    text: str
    colour: str
    behind: str
    ratio: float
    needed: float


@dataclass
class Seen:
    """What was found."""

    faint: list[Faint] = field(default_factory=list)
    without_alt: list[str] = field(default_factory=list)  # addresses of pictures
    links: list[str] = field(default_factory=list)
    empty_links: list[str] = field(default_factory=list)  # what stands in links that lead nowhere
    text: str = ""


@dataclass
class _Style:
    tag: str
    colour: tuple[int, int, int] = (0, 0, 0)
    behind: tuple[int, int, int] | None = (255, 255, 255)  # None: a picture
    size: float = 16.0
    is_bold: bool = False
    is_hidden: bool = False
    link: str | None = None
    shown: list[str] = field(default_factory=list)


def seen(html: str) -> Seen:
    """Reads the HTML of a whole message."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.found


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """The contrast ratio of two colours, from 1 to 21 (WCAG 2.2, relative luminance).

    >>> round(contrast((119, 119, 119), (255, 255, 255)), 2)
    4.48
    """
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: tuple[int, int, int]) -> float:
    red, green, blue = (
        value / 255 / 12.92 if value / 255 <= 0.04045 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)
_UNSEEN = frozenset(("head", "style", "script", "title"))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found = Seen()
        self.open = [_Style("")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "img":
            self._picture(given)
        if tag in _VOID:
            return
        style = self._style(tag, given)
        self.open.append(style)
        if tag == "a":
            style.link = given.get("href", "").strip()

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID or all(style.tag != tag for style in self.open[1:]):
            return
        while True:
            style = self.open.pop()
            if style.link is not None and style.tag == "a":
                shown = " ".join(style.shown).strip()
                leads = style.link and not style.link.startswith("#")
                (self.found.links if leads else self.found.empty_links).append(style.link if leads else shown)
            if style.tag == tag:
                return

    def handle_data(self, data: str) -> None:
        style, text = self.open[-1], " ".join(data.split())
        if not text or style.is_hidden:
            return
        self.found.text += text + " "
        for around in self.open:
            around.shown.append(text)
        if style.behind is None:
            return
        ratio = contrast(style.colour, style.behind)
        is_large = style.size >= 24 or (style.is_bold and style.size >= 18.66)
        needed = AA_LARGE if is_large else AA
        if ratio < needed:
            self.found.faint.append(Faint(text[:60], _hex(style.colour), _hex(style.behind), round(ratio, 2), needed))

    def _picture(self, given: Mapping[str, str]) -> None:
        inside = next((style for style in reversed(self.open) if style.tag == "a"), None)
        alt = given.get("alt")
        is_pixel = given.get("width") == "1" and given.get("height") == "1"
        if not is_pixel and (alt is None or (inside is not None and not alt.strip() and not inside.shown)):
            self.found.without_alt.append(given.get("src", ""))
        if alt and inside is not None:
            inside.shown.append(alt)

    def _style(self, tag: str, given: Mapping[str, str]) -> _Style:
        around = self.open[-1]
        made = _Style(tag, around.colour, around.behind, around.size, around.is_bold, around.is_hidden)
        made.is_hidden |= tag in _UNSEEN
        if tag in ("b", "strong", "th", "h1", "h2", "h3", "h4"):
            made.is_bold = True
        if background := _colour(given.get("bgcolor", "")):
            made.behind = background
        if given.get("background"):
            made.behind = None
        for name, value in _declarations(given.get("style", "")):
            if name == "color":
                made.colour = _colour(value) or made.colour
            elif name in ("background", "background-color"):
                made.behind = None if "url(" in value else _colour(value) or made.behind
            elif name == "background-image" and "url(" in value:
                made.behind = None
            elif name == "font-weight":
                made.is_bold = value in ("bold", "bolder") or (value.isdigit() and int(value) >= 600)
            elif name == "font-size" and (size := re.fullmatch(r"([\d.]+)px", value)):
                made.size = float(size[1])
            elif name == "display" and value.startswith("none"):
                made.is_hidden = True
        return made


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    for declaration in style.split(";"):
        name, _, value = declaration.partition(":")
        if value:
            yield name.strip().lower(), value.replace("!important", "").strip().lower()


_NAMED = {"white": (255, 255, 255), "black": (0, 0, 0), "red": (255, 0, 0), "gray": (128, 128, 128)}


def _colour(value: str) -> tuple[int, int, int] | None:
    """The colour, where it is opaque and written as mail programs understand it."""
    for word in value.lower().split():
        if word in _NAMED:
            return _NAMED[word]
        if short := re.fullmatch(r"#([0-9a-f])([0-9a-f])([0-9a-f])", word):
            return int(short[1] * 2, 16), int(short[2] * 2, 16), int(short[3] * 2, 16)
        if long := re.fullmatch(r"#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})", word):
            return int(long[1], 16), int(long[2], 16), int(long[3], 16)
    if rgb := re.fullmatch(r"rgb\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\)", value):
        red, green, blue = (min(255, int(part)) for part in rgb.groups())
        return red, green, blue
    return None


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
