"""Signed tokens of the links in messages: short, bound to one message, one use and one target, so none can be made up.

A token is the message's number, for a click the link's id, and a truncated keyed BLAKE2b code over both; as base64url
without padding (each part's length is chosen so that none is needed).
"""

import hmac
from base64 import b32decode
from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Callable
from enum import StrEnum
from hashlib import blake2b
from uuid import UUID

NUMBER_BYTES = 6
LINK_BYTES = 8
MESSAGE_CODE_BYTES = 6
PREFERENCES_CODE_BYTES = 12
"""Longer, because what it opens shows and changes all that a customer has chosen."""
CONFIRM_CODE_BYTES = 14
CONFIRM_BYTES = 16
CLICK_CODE_BYTES = 7
ANSWER_LETTERS = 20

_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [one + other for one in _LETTERS for other in _LETTERS]
"""Base32 (RFC 4648) by ten bits at once; the library's is slow."""

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")


class Use(StrEnum):
    """What a message's token is for; a code for one use does not open another."""

    OPEN = "o"
    UNSUBSCRIBE = "u"
    PREFERENCES = "p"
    TRAP = "h"  # the link that no reader sees
    ANSWER = "a"  # where bounces and answers go, in an address
    CONFIRM = "d"  # of a double opt-in, not of a message


_SIZES = dict.fromkeys(Use, MESSAGE_CODE_BYTES) | {
    Use.PREFERENCES: PREFERENCES_CODE_BYTES,
    Use.CONFIRM: CONFIRM_CODE_BYTES,
}
"""Of the code, in bytes."""


class Tokens:
    """Makes and reads tokens with a key derived from the installation's secret."""

    def __init__(self, secret: bytes) -> None:
        self.key = blake2b(b"tracking", digest_size=32, key=secret).digest()
        self._begun = {use: blake2b(use.encode(), digest_size=size, key=self.key) for use, size in _SIZES.items()}
        self._begun_click = blake2b(digest_size=CLICK_CODE_BYTES, key=self.key)  # all faster than from the key

    def message(self, number: int, use: Use) -> str:
        """A token of 16 characters for the message as a whole."""
        head = number.to_bytes(NUMBER_BYTES, "big")
        return _text(head + self._code(use, head))

    def answer(self, number: int) -> str:
        """A token of 20 letters and digits, for the local part of an address, whose case may be lost on the way."""
        head = number.to_bytes(NUMBER_BYTES, "big")
        raw = head + self._code(Use.ANSWER, head)
        bits = int.from_bytes(raw, "big") << 4
        return "".join([_PAIRS[bits >> place & 1023] for place in range(90, -1, -10)])

    def read_answer(self, token: str) -> int | None:
        """The message's number, or None for a token that is not ours."""
        if len(token) != ANSWER_LETTERS or not token.isascii():
            return None
        try:
            raw = b32decode(token.upper() + "====")
        except Error:
            return None
        head, code = raw[:NUMBER_BYTES], raw[NUMBER_BYTES:]
        if not hmac.compare_digest(code, self._code(Use.ANSWER, head)):
            return None
        return int.from_bytes(head, "big")

    def click(self, number: int, link_id: int) -> str:
        """A token of 28 characters for a link in the message."""
        return self.clicks(number)(link_id.to_bytes(LINK_BYTES, "big"))

    def clicks(self, number: int) -> Callable[[bytes], str]:
        """Makes the tokens of the message's links, each of the link id's bytes: a message holds dozens of these."""
        head = number.to_bytes(NUMBER_BYTES, "big")
        begun = self._begun_click.copy()
        begun.update(head)

        def signed(link: bytes) -> str:
            code = begun.copy()
            code.update(link)
            return b2a_base64(head + link + code.digest(), newline=False).translate(_TO_URL).decode("ascii")

        return signed

    def read_message(self, token: str, use: Use) -> int | None:
        """The message's number, or None for a token that is not ours."""
        body = self._opened(token, use, NUMBER_BYTES)
        return None if body is None else int.from_bytes(body, "big")

    def read_click(self, token: str) -> tuple[int, int] | None:
        """The message's number and the link's id, or None for a token that is not ours."""
        raw = _bytes(token, NUMBER_BYTES + LINK_BYTES + CLICK_CODE_BYTES)
        if raw is None:
            return None
        number = int.from_bytes(raw[:NUMBER_BYTES], "big")
        link_id = int.from_bytes(raw[NUMBER_BYTES : NUMBER_BYTES + LINK_BYTES], "big")
        return (number, link_id) if hmac.compare_digest(token, self.click(number, link_id)) else None

    def preferences(self, number: int) -> str:
        """A token of 24 characters for the preferences of whoever got the message."""
        head = number.to_bytes(NUMBER_BYTES, "big")
        return _text(head + self._code(Use.PREFERENCES, head))

    def read_preferences(self, token: str) -> int | None:
        """The message's number, or None for a token that is not ours."""
        body = self._opened(token, Use.PREFERENCES, NUMBER_BYTES)
        return None if body is None else int.from_bytes(body, "big")

    def confirmation(self, asked: UUID) -> str:
        """A token of 40 characters that confirms one double opt-in, the ledger's row `asked`."""
        return _text(asked.bytes + self._code(Use.CONFIRM, asked.bytes))

    def read_confirmation(self, token: str) -> UUID | None:
        """The ledger's row, or None for a token that is not ours."""
        body = self._opened(token, Use.CONFIRM, CONFIRM_BYTES)
        return None if body is None else UUID(bytes=body)

    def _opened(self, token: str, use: Use, body_size: int) -> bytes | None:
        raw = _bytes(token, body_size + _SIZES[use])
        if raw is None:
            return None
        body, code = raw[:body_size], raw[body_size:]
        return body if hmac.compare_digest(code, self._code(use, body)) else None

    def _code(self, use: Use, body: bytes) -> bytes:
        code = self._begun[use].copy()
        code.update(body)
        return code.digest()


def _text(raw: bytes | bytearray) -> str:
    return b2a_base64(raw, newline=False).translate(_TO_URL).decode("ascii")


def _bytes(token: str, size: int) -> bytes | None:
    if len(token) * 3 != size * 4 or not token.isascii():
        return None
    try:
        raw = a2b_base64(token.encode().translate(_FROM_URL), strict_mode=True)
    except Error:
        return None
    return raw if len(raw) == size else None
