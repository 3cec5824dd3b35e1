"""The links of messages: which addresses are ours, what they lead to, and which targets are still to be stored."""

from onevoice.delivery.tokens import LINK_BYTES, Tokens, Use
from onevoice.kernel.ids import identifier_id

MOST_KNOWN = 200_000
"""Targets a worker remembers as stored; beyond, it begins anew, which costs a look-up each and nothing else."""


class LinkMaker:
    """Makes tracked addresses. `fresh` holds the targets (by id) that must be stored before a message goes out."""

    def __init__(self, secret: bytes, base_url: str) -> None:
        self.tokens = Tokens(secret)
        self.base_url = base_url
        self.fresh: dict[int, str] = {}
        self.known: dict[str, bytes] = {}

    def link(self, address: str) -> bytes:
        """What stands for a target in a token."""
        if len(self.known) >= MOST_KNOWN:
            self.known.clear()
        link_id = identifier_id("link", address)
        self.fresh[link_id] = address
        link = self.known[address] = link_id.to_bytes(LINK_BYTES, "big")
        return link

    def stored(self, ids: dict[int, str]) -> None:
        """Takes note that these targets are in the database."""
        for link_id in ids:
            self.fresh.pop(link_id, None)

    def of_message(self, number: int, base_url: str = "") -> "MessageLinks":
        """The links of the message with this number, on its brand's own domain if it has one."""
        return MessageLinks(self, number, base_url or self.base_url)


class MessageLinks:
    """The addresses of one message's links, as content.rendering asks for them."""

    __slots__ = ("_clicks_url", "_maker", "_signed", "open_pixel_url", "preferences_url", "trap_url", "unsubscribe_url")

    def __init__(self, maker: LinkMaker, number: int, base_url: str) -> None:
        self._maker, self._signed, self._clicks_url = maker, maker.tokens.clicks(number), f"{base_url}/c/"
        base, tokens = base_url, maker.tokens
        self.unsubscribe_url = f"{base}/u/{tokens.message(number, Use.UNSUBSCRIBE)}"
        self.preferences_url = f"{base}/preferences/{tokens.preferences(number)}"
        self.open_pixel_url = f"{base}/o/{tokens.message(number, Use.OPEN)}"
        self.trap_url = f"{base}/h/{tokens.message(number, Use.TRAP)}"

    def tracked(self, address: str) -> str:
        """A signed address on our side for a target."""
        maker = self._maker
        return self._clicks_url + self._signed(maker.known.get(address) or maker.link(address))
