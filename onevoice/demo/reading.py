"""What a customer finds in a message that arrived: its pixel, links and way out, read from the content itself."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import EmailMessage
from html import unescape

_ADDRESS = re.compile(r"https?://[^\s\"'<>()]+")


@dataclass(frozen=True)
class Received:
    """A message as it lies before its reader; addresses are empty or missing where it has none."""

    id: str  # the platform's message id
    channel: str
    address: str
    pixel: str = ""
    links: tuple[str, ...] = ()
    unsubscribe: str = ""
    one_click: bool = False  # RFC 8058: the mail program itself may unsubscribe by a POST


def email(id: str, address: str, message: EmailMessage, base_url: str) -> Received:
    """An e-mail as the mail program sees it: pictures and links of the HTML part, the unsubscribe header."""
    body = message.get_body(preferencelist=("html", "plain"))
    found = list(_ours(unescape(body.get_content()) if body else "", base_url))
    header = re.search(r"<(https?://[^>]+)>", str(message.get("List-Unsubscribe", "")))
    return Received(
        id,
        "email",
        address,
        pixel=next((url for url in found if "/o/" in url), ""),
        links=tuple(url for url in found if "/c/" in url),
        unsubscribe=header[1] if header else next((url for url in found if "/u/" in url), ""),
        one_click="one-click" in str(message.get("List-Unsubscribe-Post", "")).lower(),
    )


def text(id: str, channel: str, address: str, body: str, base_url: str) -> Received:
    """A push message or an SMS: the links in its text (a push message's `link` counts as text)."""
    found = list(_ours(body, base_url))
    return Received(
        id,
        channel,
        address,
        links=tuple(url for url in found if "/c/" in url),
        unsubscribe=next((url for url in found if "/u/" in url), ""),
    )


def _ours(body: str, base_url: str) -> Iterable[str]:
    """The addresses that lead to the platform, each once, in order."""
    addresses = (address.rstrip(".,;") for address in _ADDRESS.findall(body))
    return dict.fromkeys(address for address in addresses if address.startswith(base_url))
