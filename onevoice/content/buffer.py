"""What a template is rendered into: pieces, and the places among them where the address of a link stands."""

MARK = "\x01"
"""Stands before and after the address of a link within a piece; no text from outside may hold it."""

WEB = ("https://", "http://")
"""What the address of a link to be tracked begins with."""


class PieceBuffer(list[str]):
    """The pieces as they come, so that those that recur are the same objects. `links` are the places of addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[int] = []

    def write(self, piece: str) -> int:
        """Takes a piece; Liquid wants a number back."""
        self.append(piece)
        return 1

    def getvalue(self) -> str:
        """The text, its links between MARKs."""
        for place in self.links:
            self[place] = f"{MARK}{self[place]}{MARK}"
        self.links.clear()
        return "".join(self)
