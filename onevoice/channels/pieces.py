"""A text that still knows the pieces it was joined from.

Of ten thousand messages made from one template most pieces are the same strings, so an encoder can keep what it made of
them. To everybody else it is a plain string.
"""

from collections.abc import Sequence


class Pieces(str):
    """The pieces joined; `pieces` gives them."""

    __slots__ = ("pieces",)
    pieces: Sequence[str]

    def __new__(cls, pieces: Sequence[str]) -> "Pieces":
        """Joins the pieces."""
        text = super().__new__(cls, "".join(pieces))
        text.pieces = pieces
        return text
