"""From a compiled template and one customer's variables to a channel's content. The hot path of delivery."""

import html
import re
from collections.abc import Callable, Mapping
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

FEW_PIECES = 1_000
"""So many pieces can be joined before it is known how long they are: none is endless."""

MOST_CHARACTERS = 1_000_000
"""A field longer than this is a template gone wild."""


class Links(Protocol):
    """The addresses of one message's links; `onevoice.delivery.links` makes them."""

    unsubscribe_url: str
    open_pixel_url: str
    preferences_url: str
    trap_url: str

    def tracked(self, address: str) -> str:
        """An address on our side which leads on to it and is counted."""
        ...


class UntrackedLinks:
    """Leaves links as they are; for previews and checks."""

    unsubscribe_url = "https://example.com/u/0123456789abcdef"
    open_pixel_url = ""
    preferences_url = "https://example.com/preferences/0123456789abcdef01234567"
    trap_url = "https://example.com/h/0123456789abcdef"

    def tracked(self, address: str) -> str:
        """The address itself."""
        return address


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
    tracked = _Tracked(links.tracked)  # most links stand in HTML and text alike
    buffers: dict[str, PieceBuffer] = {}
    for name, parsed in template.fields.items():
        buffer = PieceBuffer(tracked.in_html if name in HTML_FIELDS else tracked.__getitem__)
        try:
            parsed.render_with_context(parsed.context_class(parsed, globals=known), buffer)  # type: ignore[arg-type]  # all of a TextIO that is used
        except LiquidError as error:
            raise InvalidInput(f"{template.name} ({template.locale}), {name}: {error}") from error
        except FAULTS as error:
            raise InvalidInput(f"{template.name} ({template.locale}), {name}: {error!r}") from error
        buffers[name] = _apart(buffer) if template.marks else buffer
    for name, buffer in buffers.items():
        if len(buffer) > FEW_PIECES and sum(map(len, buffer)) > MOST_CHARACTERS:
            raise InvalidInput(f"{template.name} ({template.locale}), {name}: over {MOST_CHARACTERS:,} characters")
    # Encoders of JSON want a plain string, and only an e-mail's parts are encoded piece by piece.
    joined = Pieces if template.channel == "email" else "".join
    content: dict[str, str] = {name: joined(buffer) for name, buffer in buffers.items()}
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


class _Tracked(dict[str, str]):
    """What stands for each address in one message, made when it is first asked for."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[str], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, address: str) -> str:
        made = self[address] = self._make(address)
        return made

    def in_html(self, written: str) -> str:
        """For an address as HTML has it. One that is not tracked stays as it is written."""
        if "&" not in written:
            return self[written]
        address = html.unescape(written)
        ours = self[address]
        return written if ours == address else ours


def _apart(buffer: PieceBuffer) -> PieceBuffer:
    """The pieces with each address that stands between two MARKs as a piece of its own, tracked."""
    apart = PieceBuffer()
    for recurring, told in zip(buffer[::2], buffer[1::2], strict=True):
        if MARK not in told:
            apart += (recurring, told)
            continue
        for index, part in enumerate(told.split(MARK)):
            apart += (recurring, buffer.link(part)) if index % 2 else (recurring, part)
            recurring = ""
    return apart
