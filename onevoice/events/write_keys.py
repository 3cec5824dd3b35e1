"""How a client says its write key (Basic authorization, or `writeKey` in body or query), and whose it is."""

import base64
import binascii
from urllib.parse import parse_qs

from onevoice.events.sources import INTERNAL, Source, Sources
from onevoice.kernel.errors import NotFound, Unauthorized


def basic(header: str) -> str:
    """The user of a Basic authorization header, with or without its colon; empty where it is none.

    A Bearer token says nothing to us: who sends one (Segment's OAuth) has the write key in the body.
    """
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(token.strip(), validate=True).decode().split(":")[0]
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def in_query(query: str) -> str:
    """The key in an address, where neither header nor body can carry it: pixel and `sendBeacon`."""
    return parse_qs(query).get("writeKey", [""])[0] if "writeKey=" in query else ""


async def source_of(write_key: str, sources: Sources) -> Source:
    """The source to take from. Raises Unauthorized for an unknown key, NotFound for a disabled source."""
    source = await sources.find(write_key)
    if source is None or source.kind == INTERNAL:
        raise Unauthorized("Unknown write key; send it as the user of Basic authorization, or as `writeKey`")
    if source.is_disabled:
        raise NotFound(f"The source {source.name!r} is disabled; `onevoice source enable {source.name}` opens it again")
    return source
