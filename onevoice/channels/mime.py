"""An e-mail as it travels: headers and two quoted-printable parts, with one-click unsubscribing (RFC 8058).

Made for speed: long pieces, which recur from message to message, are encoded once. Each begins a line of its own,
joined to what is before by a soft line break, so encoded pieces can be put together in any order.
"""

import re
import time
from binascii import b2a_base64, b2a_qp
from datetime import UTC, datetime
from email.utils import format_datetime

from onevoice.channels.pieces import Pieces

LONG = 60  # characters; shorter pieces are mostly values of one message, and encoded in a run
MOST_KEPT = 5_000
WORD_BYTES = 39  # of text in one encoded word: with `Subject: ` the line stays within the 76 characters of RFC 2047

_BOUNDARY = b"=_onevoice"  # cannot occur in quoted-printable text
_PART = b"Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
_BETWEEN = b"\r\n--" + _BOUNDARY + b"\r\n"
HEADERS = (("MIME-Version", "1.0"), ("Content-Type", f'multipart/alternative; boundary="{_BOUNDARY.decode()}"'))
"""What the message's headers must have besides those of its own."""

_START = b"--" + _BOUNDARY + b"\r\n"
_TEXT_START, _HTML_START = _PART % b"plain", _PART % b"html"
_END = b"\r\n--" + _BOUNDARY + b"--\r\n"

_kept: dict[str, bytes] = {}


def stuffed_body(text: str, html: str) -> bytes:
    """Both parts as DATA wants them: CRLF lines, leading dots doubled, without the final dot."""
    return b"".join((_START, _TEXT_START, _encoded(text), _BETWEEN, _HTML_START, _encoded(html), _END))


def plain_body(stuffed: bytes) -> bytes:
    """The body as it is read at the other end, each dot once."""
    return stuffed.replace(b"\r\n..", b"\r\n.")


def _encoded(text: str) -> bytes:
    pieces = text.pieces if isinstance(text, Pieces) else (text,)
    kept = _kept
    encoded, short = [], []
    for piece in pieces:
        if len(piece) < LONG or piece[:4] == "http":  # a tracked link recurs in no other message
            short.append(piece)
            continue
        if short:
            encoded.append(_quoted("".join(short)))
            short.clear()
        found = kept.get(piece)
        if found is None:
            if len(kept) >= MOST_KEPT:
                kept.clear()
            found = kept[piece] = _quoted(piece)
        encoded.append(found)
    if short:
        encoded.append(_quoted("".join(short)))
    return b"=\r\n".join(encoded)


def _quoted(piece: str) -> bytes:
    quoted = b2a_qp(piece.encode())
    if b"\n" in quoted:
        quoted = quoted.replace(b"\r\n", b"\n").replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")
    return b"." + quoted if quoted[:1] == b"." else quoted


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
