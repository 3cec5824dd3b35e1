"""From a compiled template and one customer's variables to a channel's content. The hot path of delivery."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from liquid.exceptions import LiquidError
from liquid.template import BoundTemplate

from onevoice.channels.pieces import Pieces
from onevoice.content.compiling import HTML_FIELDS, OPEN_PIXEL, UNSUBSCRIBE
from onevoice.content.language import MARK, PieceBuffer, parse
from onevoice.kernel.errors import InvalidInput

MOST_CHARACTERS = 1_000_000
"""A field longer than this is a template gone wild."""


class Links(Protocol):
    """The addresses of one message's links; `onevoice.delivery.links` makes them."""

    unsubscribe_url: str
    open_pixel_url: str

    def tracked(self, addresses: list[str]) -> list[str]:
        """An address on our side for each, which leads on to it and is counted."""
        ...


class UntrackedLinks:
    """Leaves links as they are; for previews and checks."""

    unsubscribe_url = "https://example.com/u/0123456789abcdef"
    open_pixel_url = ""

    def tracked(self, addresses: list[str]) -> list[str]:
        """The addresses themselves."""
        return addresses


@dataclass(frozen=True)
class Template:
    """A compiled template of one channel and locale, parsed."""

    name: str
    version: int
    channel: str
    locale: str
    fields: Mapping[str, BoundTemplate]


def prepared(name: str, version: int, channel: str, locale: str, compiled: Mapping[str, str]) -> Template:
    """Parses a compiled template; keep the result, this takes milliseconds."""
    fields = {field: parse(text, html=field in HTML_FIELDS) for field, text in compiled.items()}
    return Template(name, version, channel, locale, fields)


def render(template: Template, variables: Mapping[str, Any], links: Links) -> dict[str, str]:
    """The content for one customer, with tracked links. Raises InvalidInput where the template cannot be rendered."""
    known = {**variables, UNSUBSCRIBE: links.unsubscribe_url, OPEN_PIXEL: links.open_pixel_url}
    content: dict[str, str] = {}
    marked: list[tuple[list[str], int, str]] = []  # a field's pieces, the place of an address, the address
    fields: dict[str, list[str]] = {}
    for name, field in template.fields.items():
        buffer = PieceBuffer()
        try:
            field.render_with_context(field.context_class(field, globals=known), buffer)  # type: ignore[arg-type]  # all of a TextIO that is used
        except LiquidError as error:
            raise InvalidInput(f"{template.name} ({template.locale}), {name}: {error}") from error
        fields[name] = pieces = _apart(buffer.pieces)
        for place, piece in enumerate(pieces):
            if piece[:1] == MARK:
                address = piece[1:]
                marked.append((pieces, place, _unescaped(address) if name in HTML_FIELDS else address))
    tracked = links.tracked([address for _, _, address in marked])
    for (pieces, place, _), address in zip(marked, tracked, strict=True):
        pieces[place] = address
    for name, pieces in fields.items():
        content[name] = text = Pieces(pieces)
        if len(text) > MOST_CHARACTERS:
            raise InvalidInput(
                f"{template.name} ({template.locale}), {name}: longer than {MOST_CHARACTERS:,} characters"
            )
    return content


def _apart(pieces: list[str]) -> list[str]:
    """The pieces with each marked address as one of its own that begins with MARK."""
    apart: list[str] = []
    for piece in pieces:
        if MARK not in piece:
            apart.append(piece)
            continue
        for index, part in enumerate(piece.split(MARK)):
            if index % 2:
                apart.append(MARK + part)
            elif part:
                apart.append(part)
    return apart


def _unescaped(address: str) -> str:
    return html.unescape(address) if "&" in address else address
