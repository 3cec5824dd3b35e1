"""The plain-text part of an e-mail, derived from its HTML: what a reader without HTML should see, links written out."""

import re
from html.parser import HTMLParser

_BLOCKS = frozenset(
    [
        "p",
        "div",
        "tr",
        "table",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "li",
        "section",
        "article",
        "header",
        "footer",
        "blockquote",
        "hr",
    ]
)
_SILENT = frozenset(("head", "style", "script", "title"))
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)


def plain_text(html: str, keep_comment: re.Pattern[str]) -> str:
    """The text of an HTML document. Comments that match `keep_comment` are kept as text, hidden elements are not."""
    reader = _Reader(keep_comment)
    reader.feed(html)
    reader.close()
    lines = (re.sub(r"[ \t\u00a0]+", " ", line).strip() for line in "".join(reader.out).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


class _Reader(HTMLParser):
    """Collects the text; `hidden` counts the open elements from the outermost hidden one on."""

    def __init__(self, keep_comment: re.Pattern[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.keep_comment = keep_comment
        self.out: list[str] = []
        self.hidden = 0
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            self._void(tag, dict(attrs))
            return
        given = dict(attrs)
        if self.hidden or tag in _SILENT or _HIDDEN.search(given.get("style") or ""):
            self.hidden += 1
            return
        if tag in _BLOCKS:
            self.out.append("\n")
        if tag == "li":
            self.out.append("- ")
        if tag == "a":
            self.links.append(given.get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        if self.hidden:
            self.hidden -= 1
            return
        if tag in _BLOCKS:
            self.out.append("\n")
        if tag == "a" and self.links and (link := self.links.pop()) and not link.startswith("#"):
            self.out.append(f" ({link.removeprefix('mailto:')})")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.out.append(data.replace("\n", " "))

    def handle_comment(self, data: str) -> None:
        if not self.hidden and self.keep_comment.fullmatch(data):
            self.out.append(data)

    def _void(self, tag: str, given: dict[str, str | None]) -> None:
        if self.hidden:
            return
        if tag in ("br", "hr"):
            self.out.append("\n")
        elif tag == "img" and given.get("alt"):
            self.out.append(f"{given['alt']} ")
