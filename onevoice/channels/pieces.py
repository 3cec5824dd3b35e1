"""A text that still knows the pieces it was joined from: by turns one that recurs and one of this message alone.

Of ten thousand messages made from one template every second piece is the same string, so an encoder can keep what it
made of those. To everybody else it is a plain string.
"""

from collections.abc import Sequence


class Pieces(str):
    """The pieces joined; `pieces` gives them. The first, third, ... recur; either kind may be empty."""

    __slots__ = ("pieces",)
    pieces: Sequence[str]

    def __new__(cls, pieces: Sequence[str]) -> "Pieces":
        """Joins the pieces."""
        text = super().__new__(cls, "".join(pieces))
        text.pieces = pieces
        return text
