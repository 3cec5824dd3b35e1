"""What the api may be told to import: what lies under `import_from`, on hosts that are not of the private network.

A key of the api must not become a way into the network behind it: the host's name is resolved here, every address
checked, and the connection made to the very address that was checked, so that the name cannot mean another one then.
"""

import socket
from collections.abc import Sequence
from urllib.parse import SplitResult, unquote, urlsplit

from onevoice.kernel.errors import InvalidInput, Unavailable
from onevoice.kernel.network import is_public


def check(url: str, allowed: Sequence[str]) -> None:
    """Raises InvalidInput unless the URL lies at or under one of the allowed beginnings."""
    told = _parts(url)
    steps = unquote(told.path).split("/")
    if told.username or told.password or ".." in steps or "\\" in url or any(ord(sign) <= 32 for sign in url):
        raise InvalidInput("The URL must hold no name and password, no `..`, no space and no backslash")
    for beginning in allowed:
        base = _parts(beginning)
        same = (told.scheme, told.hostname, told.port) == (base.scheme, base.hostname, base.port)
        under = base.path.rstrip("/") + "/"
        if same and (f"{told.path}/" == under or told.path.startswith(under)):
            return
    raise InvalidInput(
        f"{url} is none of the places that may be imported from: {', '.join(allowed) or 'there are none'}. "
        "Whoever runs OneVoice lists them as import_from in onevoice.toml"
    )


def address(host: str, port: int, private: bool) -> str:
    """An address of the host to connect to. Raises InvalidInput where one of its addresses is not of the internet."""
    try:
        found = {str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (socket.gaierror, UnicodeError) as error:
        raise Unavailable(f"{host} is not known: {error}") from error
    if not private:
        for one in sorted(found):
            if not is_public(one):
                raise InvalidInput(
                    f"{host} has the address {one}, which is not of the internet; import_private = true in "
                    "onevoice.toml allows that"
                )
    return min(found, key=lambda one: (":" in one, one))  # IPv4 first: many a server has no way out by IPv6


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError as error:
        raise InvalidInput(f"{url} is no URL: {error}") from error
    return parts
