"""Tells requests that machines make for a reader, or before one, from those a person made. Pure.

Raw facts are kept either way; what machines do only does not count as an opening or a click of the customer.
"""

import re
from collections.abc import Mapping

APPLE_MAIL_PRIVACY = "Mozilla/5.0"
"""The whole user agent of Apple's proxy, which fetches every picture whether or not the mail is read."""

# Google's image proxy is not among them: it fetches when the reader opens the mail.
_MACHINES = re.compile(
    r"bot\b|crawler|spider|scanner|preview|barracuda|mimecast|proofpoint|symantec|forcepoint|trendmicro|safelinks"
    r"|^curl/|^wget/|^python-|^go-http-client|^java/|^okhttp|headless",
    re.IGNORECASE,
)


def is_machine(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a machine made the request: a link checker, a prefetch, a mail proxy. Header names in lower case."""
    agent = headers.get("user-agent", "").strip()
    return (
        method == "HEAD"
        or not agent
        or agent == APPLE_MAIL_PRIVACY
        or "prefetch" in headers.get("purpose", "") + headers.get("sec-purpose", "") + headers.get("x-moz", "")
        or bool(_MACHINES.search(agent))
    )
