"""Calls told by the address of a picture, for mails and pages without scripts: a query becomes a call's JSON.

Two ways, as Segment's pixel (`data=` is the call's JSON in base64) and RudderStack's (one parameter per field, with
dots for what lies deeper: `properties.price=3`) have it; both may be mixed.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Any

import msgspec

from onevoice.kernel.errors import InvalidInput

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""The smallest picture every program shows: one transparent pixel."""

MAX_DEPTH = 8
"""Names between the dots of a parameter; further dots are a part of the last name."""

_object = msgspec.json.Decoder(dict[str, Any])


def call(query: Iterable[tuple[str, str]]) -> bytes:
    """The call a query tells, as JSON. Raises InvalidInput where `data` cannot be read."""
    told: dict[str, Any] = {}
    for name, value in query:
        if name == "data":
            told |= _from_base64(value)
    for name, value in query:
        if name not in ("data", "type"):
            _set(told, name.split(".", MAX_DEPTH - 1), value.strip('"') if name == "anonymousId" else value)
    return msgspec.json.encode(told)


def _from_base64(value: str) -> dict[str, Any]:
    text = value.replace("-", "+").replace("_", "/").replace(" ", "+")  # a plus is a space to careless encoders
    try:
        return _object.decode(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
    except (binascii.Error, UnicodeEncodeError, msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InvalidInput(f"`data` must be a call's JSON in base64: {error}") from error


def _set(told: dict[str, Any], path: list[str], value: str) -> None:
    for name in path[:-1]:
        if not isinstance(told.get(name), dict):
            told[name] = {}
        told = told[name]
    told[path[-1]] = value
