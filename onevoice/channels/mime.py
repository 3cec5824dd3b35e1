"""An e-mail as it travels: headers and two quoted-printable parts, with one-click unsubscribing (RFC 8058).

Made for speed: of a text that knows its pieces, those that recur are encoded once, on lines of their own between soft
line breaks. So a value can stand on a line of its own as it is, which is what most are.
"""

import re
import time
from binascii import b2a_base64, b2a_qp
from datetime import UTC, datetime
from email.utils import format_datetime

from onevoice.channels.pieces import Pieces

LINE = 75  # characters of a quoted line before the `=` of a soft line break (RFC 2045, 6.7)
MOST_KEPT = 5_000
WORD_BYTES = 39  # of text in one encoded word: with `Subject: ` the line stays within the 76 characters of RFC 2047

_BOUNDARY = "=_onevoice"  # cannot occur in quoted-printable text
_PART = "Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
HEADERS = (("MIME-Version", "1.0"), ("Content-Type", f'multipart/alternative; boundary="{_BOUNDARY}"'))
"""What the message's headers must have besides those of its own."""

_TEXT_START = f"--{_BOUNDARY}\r\n{_PART % 'plain'}"
_BETWEEN = f"\r\n--{_BOUNDARY}\r\n{_PART % 'html'}"
_END = f"\r\n--{_BOUNDARY}--\r\n"


def body(text: str, html: str) -> bytes:
    """Both parts, with CRLF lines. None begins with a dot, so that DATA takes them as they are (RFC 5321, 4.5.2)."""
    return "".join((_TEXT_START, *_quoted(text), _BETWEEN, *_quoted(html), _END)).encode("ascii")


def _quoted(text: str) -> list[str]:
    """The pieces in quoted-printable."""
    pieces = list(text.pieces) if isinstance(text, Pieces) and text else ["", text]
    pieces[::2] = map(_recurring.__getitem__, pieces[::2])
    *told, last = pieces[1::2]
    if _is_odd("".join(told)):  # looking at all at once is faster, and usual
        quoted = [
            value if len(value) <= LINE and value.isascii() and not _is_odd(value) else _lines(value) for value in told
        ]
    else:
        quoted = [value if len(value) <= LINE and value.isascii() else _lines(value) for value in told]
    if "\n." in "\n".join(("", *quoted)):
        quoted = [_undotted(value) for value in quoted]
    pieces[1:-1:2] = quoted
    pieces[-1] = _lines(last)  # where a blank would end a line
    pieces[0] = pieces[0].removeprefix(_BREAK)
    return pieces


def _is_odd(text: str) -> bool:
    """Whether it holds a control character, or the sign that begins what is quoted."""
    raw = text.encode("utf-8", "replace")
    return raw.translate(_ODD_MARKED) != raw


_ODD_MARKED = bytes(128 if code < 32 or code in b"=\x7f" else code for code in range(256))

_BREAK = "=\r\n"
"""A soft line break."""


def _lines(piece: str) -> str:
    """A piece that begins a line, in quoted-printable."""
    quoted = b2a_qp(piece.encode("utf-8", "replace")).decode("ascii").replace("\r\n", "\n")
    return "\r\n".join([_undotted(line) for line in quoted.split("\n")])


def _undotted(line: str) -> str:
    """The same without dots at its beginning."""
    if line[:1] != ".":
        return line
    rest = line.lstrip(".")
    return f"=2E{_BREAK}" * (len(line) - len(rest)) + rest


class _Recurring(dict[str, str]):
    """What was made of pieces that recur."""

    def __missing__(self, piece: str) -> str:
        if len(self) >= MOST_KEPT:
            self.clear()
        lines = _lines(piece)
        made = self[piece] = _BREAK + lines + ("" if lines[-1:] in ("", "\n") else _BREAK)
        return made


_recurring = _Recurring()


def header_text(text: str) -> str:
    """A header's value: short ASCII as it is, else in encoded words (RFC 2047). Never more than one header."""
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", text) if not text.isprintable() else text
    if text.isascii() and len(text) <= 60 and "=?" not in text:
        return text
    return "\r\n ".join(f"=?utf-8?b?{b2a_base64(word, newline=False).decode()}?=" for word in _words(text))


def _words(text: str) -> list[bytes]:
    """The text in UTF-8, in words of at most WORD_BYTES, no character split."""
    whole = text.encode("utf-8", "replace")
    if len(whole) <= WORD_BYTES:
        return [whole]
    words, word = [], b""
    for character in text:
        encoded = character.encode("utf-8", "replace")
        if len(word) + len(encoded) > WORD_BYTES:
            words.append(word)
            word = b""
        word += encoded
    return [*words, word]


_date: tuple[int, str] = (0, "")


def date() -> str:
    """Now, as the Date header has it."""
    global _date
    second = int(time.time())
    if _date[0] != second:
        _date = (second, format_datetime(datetime.fromtimestamp(second, UTC)))
    return _date[1]
