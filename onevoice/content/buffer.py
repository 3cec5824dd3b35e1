"""What a template is rendered into: pieces, by turns one of the template's own and one told of a customer.

Either may be empty, but they always alternate, so that whoever encodes them knows which recur from message to message.
"""

from collections.abc import Callable

MARK = "\x01"
"""Stands before and after the address of a link within a piece; no text from outside may hold it."""

WEB = ("https://", "http://")
"""What the address of a link to be tracked begins with."""


def marked(address: str) -> str:
    """The address of a link, for whoever reads the text later."""
    return f"{MARK}{address}{MARK}"


class PieceBuffer(list[str]):
    """The pieces as they come. `link` says what is to stand for the address of a link."""

    __slots__ = ("link",)

    def __init__(self, link: Callable[[str], str] = marked) -> None:
        super().__init__()
        self.link = link

    def write(self, piece: str) -> int:
        """Takes a piece of which nobody knows whose it is; Liquid wants a number back."""
        self += ("", piece)
        return 1

    def getvalue(self) -> str:
        """The text."""
        return "".join(self)
