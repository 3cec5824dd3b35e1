"""Tells requests that machines make for a reader, or before one, from those a person made. Pure.

Raw facts are kept either way; what machines do only does not count as an opening or a click of the customer.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_address, ip_network

from onevoice.kernel.errors import ConfigurationError

APPLE_MAIL_PRIVACY = "Mozilla/5.0"
"""The whole user agent of Apple's proxy, which fetches every picture whether or not the mail is read."""

TRAPPED = "trapped"
"""The news that somebody followed the link that no reader sees; what it means for the others is in unmasked.py."""

# Google's image proxy is not among them: it fetches when the reader opens the mail.
_MACHINES = re.compile(
    r"bot\b|crawler|spider|scanner|preview|slurp|headless|phantomjs|puppeteer|playwright|selenium|link ?check"
    r"|barracuda|mimecast|proofpoint|symantec|forcepoint|trendmicro|trend micro|safelinks|sophos|fireeye|trellix"
    r"|ironport|cloudmark|fortimail|fortiguard|zscaler|vadesecure|hornetsecurity|virustotal|facebookexternalhit"
    r"|^(curl|wget|java|okhttp|axios|node-fetch|undici|node|ruby|php|perl|libwww-perl|apache-httpclient|guzzlehttp"
    r"|postmanruntime|whatsapp|snapchat|viber)\b|^(python|go-http-client|aiohttp|httpx)",
    re.IGNORECASE,
)


TOO_SOON = timedelta(seconds=2)
"""Within this after an e-mail was sent no person opens it, let alone a link in it; scanners do at the server's door."""


class Networks:
    """Networks in which machines live and readers do not, as the settings name them: data centres, scanners."""

    def __init__(self, written: Sequence[str]) -> None:
        """Raises ConfigurationError for what is no network."""
        try:
            self._networks = [ip_network(one) for one in written]
        except ValueError as error:
            raise ConfigurationError(f"machine_networks: {error}; write networks such as 203.0.113.0/24") from error

    def hold(self, address: str) -> bool:
        """Whether the address is in one of them."""
        if not self._networks:
            return False
        try:
            at = ip_address(address)
        except ValueError:
            return False
        return any(at in network for network in self._networks)


def machine(
    method: str, headers: Mapping[str, str], since_sent: timedelta | None = None, *, is_page: bool = False
) -> str:
    """Why a machine made the request; empty where a person may have. Header names in lower case.

    `since_sent`: since the message went out, where that tells something. `is_page`: it asks for a page, for which every
    browser says its reader's languages; mail programs that fetch a picture do not.
    """
    agent = headers.get("user-agent", "").strip()
    if method == "HEAD":
        return "head"
    if not agent:
        return "no_agent"
    if agent == APPLE_MAIL_PRIVACY:
        return "apple_mail_privacy"
    if "prefetch" in headers.get("purpose", "") + headers.get("sec-purpose", "") + headers.get("x-moz", ""):
        return "prefetch"
    if _MACHINES.search(agent):
        return "scanner"
    if is_page and not headers.get("accept-language"):
        return "no_language"
    if since_sent is not None and timedelta(0) < since_sent < TOO_SOON:
        return "too_soon"
    return ""
