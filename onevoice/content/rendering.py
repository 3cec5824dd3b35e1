"""From a compiled template and one customer's variables to a channel's content. The hot path of delivery."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from liquid.exceptions import LiquidError, ResourceLimitError
from liquid.template import BoundTemplate

from onevoice.channels.pieces import Pieces
from onevoice.content.buffer import MARK, PieceBuffer
from onevoice.content.compiling import HTML_FIELDS, OPEN_PIXEL, PREFERENCES, TRAP, UNSUBSCRIBE
from onevoice.content.language import parse
from onevoice.kernel.errors import InvalidInput

FAULTS = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError, AttributeError)
"""What an odd value can make Python say in the middle of a filter."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

FEW_PIECES = 500
"""So many pieces can be joined before it is known how long they are: none is endless."""

MOST_CHARACTERS = 1_000_000
"""A field longer than this is a template gone wild."""


class Links(Protocol):
    """The addresses of one message's links; `onevoice.delivery.links` makes them."""

    unsubscribe_url: str
    open_pixel_url: str
    preferences_url: str
    trap_url: str

    def tracked(self, addresses: list[str]) -> list[str]:
        """An address on our side for each, which leads on to it and is counted."""
        ...


class UntrackedLinks:
    """Leaves links as they are; for previews and checks."""

    unsubscribe_url = "https://example.com/u/0123456789abcdef"
    open_pixel_url = ""
    preferences_url = "https://example.com/preferences/0123456789abcdef01234567"
    trap_url = "https://example.com/h/0123456789abcdef"

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
    marks: bool  # whether addresses may stand between MARKs: the `track` filter, or links within `capture`
    brand: Mapping[str, Any] = field(default_factory=dict)


ONE_LINE = frozenset(("subject", "title", "header", "button"))
"""Fields of one line: what a customer's data could break them with is taken out."""


def prepared(
    name: str,
    version: int,
    channel: str,
    locale: str,
    compiled: Mapping[str, str],
    brand: Mapping[str, Any] | None = None,
) -> Template:
    """Parses a compiled template; keep the result, this takes milliseconds."""
    plain = channel == "sms"
    fields = {
        field: parse(text, html=field in HTML_FIELDS, locale=locale, plain=plain) for field, text in compiled.items()
    }
    marks = any("track" in text or "capture" in text for text in compiled.values())
    return Template(name, version, channel, locale, fields, marks, brand or {})


def render(template: Template, variables: Mapping[str, Any], links: Links) -> dict[str, str]:
    """The content for one customer, with tracked links. Raises InvalidInput where the template cannot be rendered."""
    known = {**variables, UNSUBSCRIBE: links.unsubscribe_url, OPEN_PIXEL: links.open_pixel_url}
    known[PREFERENCES], known[TRAP] = links.preferences_url, links.trap_url
    if template.brand:
        known["brand"] = template.brand
    buffers: dict[str, PieceBuffer] = {}
    marked: list[tuple[PieceBuffer, int, str]] = []  # where the address of a link stands, and the address
    for name, parsed in template.fields.items():
        buffer = PieceBuffer()
        try:
            parsed.render_with_context(parsed.context_class(parsed, globals=known), buffer)  # type: ignore[arg-type]  # all of a TextIO that is used
        except LiquidError as error:
            raise InvalidInput(f"{template.name} ({template.locale}), {name}: {error}") from error
        except FAULTS as error:
            raise InvalidInput(f"{template.name} ({template.locale}), {name}: {error!r}") from error
        if template.marks:
            buffer = _apart(buffer)
        buffers[name] = buffer
        escaped = name in HTML_FIELDS
        marked += [(buffer, place, _unescaped(buffer[place]) if escaped else buffer[place]) for place in buffer.links]
    addresses = list(dict.fromkeys(address for _, _, address in marked))  # most stand in HTML and text alike
    tracked = dict(zip(addresses, links.tracked(addresses), strict=True))
    for buffer, place, address in marked:
        ours = tracked[address]
        if ours is not address:  # else it stays as it is, escaped where that is needed
            buffer[place] = ours
    for name, buffer in buffers.items():
        if len(buffer) > FEW_PIECES and sum(map(len, buffer)) > MOST_CHARACTERS:
            raise InvalidInput(f"{template.name} ({template.locale}), {name}: over {MOST_CHARACTERS:,} characters")
    content: dict[str, str] = {name: Pieces(buffer) for name, buffer in buffers.items()}
    for name, text in content.items():
        if len(text) > MOST_CHARACTERS:
            raise InvalidInput(f"{template.name} ({template.locale}), {name}: over {MOST_CHARACTERS:,} characters")
    for name in ONE_LINE & content.keys():
        if _UNPRINTABLE.search(content[name]):
            content[name] = _UNPRINTABLE.sub(" ", content[name]).strip()
    return content


def endures(template: Template, variables: Mapping[str, Any]) -> None:
    """Raises InvalidInput where rendering goes beyond its limits; what else may go wrong depends on the customer."""
    try:
        render(template, variables, UntrackedLinks())
    except InvalidInput as error:
        if isinstance(error.__cause__, ResourceLimitError):
            raise InvalidInput(f"it would never end: {error.__cause__.message}") from error


def _apart(buffer: PieceBuffer) -> PieceBuffer:
    """The pieces with each address that stands between two MARKs as a piece of its own."""
    apart = PieceBuffer()
    links = set(buffer.links)
    for place, piece in enumerate(buffer):
        if place in links:
            apart.links.append(len(apart))
        if MARK not in piece:
            apart.append(piece)
            continue
        for index, part in enumerate(piece.split(MARK)):
            if index % 2:
                apart.links.append(len(apart))
            apart.append(part)
    return apart


def _unescaped(address: str) -> str:
    return html.unescape(address) if "&" in address else address
