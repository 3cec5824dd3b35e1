"""Asking a journey to take somebody in: by the API, and by a link or QR code that names them. Both are events of ours.

A code is a token in a link: the identifier's id, the journey's, and a truncated keyed BLAKE2b code over both; nothing
personal can be read from it and none can be made up. Where it leads stands in the journey, so it is no open redirect.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, select

from onevoice.customers.identifiers import Identifier
from onevoice.customers.models import identifier as identifiers
from onevoice.database.inbox import INTERNAL_SOURCE
from onevoice.events import door
from onevoice.journeys import service
from onevoice.journeys.enrolment import REQUESTED, SCANNED
from onevoice.journeys.outward import entry, named
from onevoice.kernel.errors import Conflict, InvalidInput, NotFound

ID_BYTES, CODE_BYTES = 8, 8


def request(
    connection: Connection,
    journey: str,
    who: Identifier,
    now: datetime,
    token: str,
    key: str = "",
    properties: Mapping[str, Any] | None = None,
) -> bool:
    """Asks that somebody be taken in; whether it is new: the same `token` counts once.

    Raises NotFound, InvalidInput for a journey that people enter otherwise, Conflict for one that is not live.
    """
    found = service.get(connection, journey)
    if not found.document.entry.api:
        raise InvalidInput(
            f"Journey {journey} is entered by {found.document.entry.way}; give it `entry: {{api: true}}`"
        )
    if found.status != "live":
        raise Conflict(f"Journey {journey} is {found.status}; launch it first")
    told = {**(properties or {}), "journey": journey, **({"key": key} if key else {})}
    return _tell(connection, REQUESTED, who, told, f"{REQUESTED}|{journey}|{token}", now)


def scan(connection: Connection, secret: bytes, token: str, now: datetime, by_machine: bool = False) -> str:
    """Lets in whom a code names, and gives where it leads. Raises NotFound for a token that is not ours.

    A journey that does not run lets nobody in, and a machine that follows the link (to preview it, or to look for harm)
    is nobody; but the link still leads on.
    """
    read = read_code(secret, token)
    if read is None:
        raise NotFound("There is no such code")
    identifier_id, journey_hash = read
    found = next((one for one in service.all_journeys(connection) if _hash(one.name) == journey_hash), None)
    if found is None or found.document.entry.code is None:
        raise NotFound("There is no such code any more")
    if by_machine or found.status != "live":
        return found.document.entry.code.to
    row = connection.execute(select(identifiers).where(identifiers.c.identifier_id == identifier_id)).one_or_none()
    if row is not None:
        who = Identifier(row.namespace, row.value)
        told = {"journey": found.name}
        _tell(connection, SCANNED, who, told, f"{SCANNED}|{token}|{now.isoformat()}", now)
    return found.document.entry.code.to


def code(secret: bytes, journey: str, who: Identifier) -> str:
    """The token of a link that lets somebody into a journey: 32 characters."""
    body = who.id.to_bytes(ID_BYTES, "big") + _hash(journey)
    return urlsafe_b64encode(body + _code(secret, body)).decode()


def read_code(secret: bytes, token: str) -> tuple[int, bytes] | None:
    """The identifier's id and the hash of the journey's name; None for a token that is not ours."""
    try:
        raw = urlsafe_b64decode(token.encode("ascii"))
    except (Error, ValueError):
        return None
    body, given = raw[:-CODE_BYTES], raw[-CODE_BYTES:]
    if len(body) != 2 * ID_BYTES or not hmac.compare_digest(given, _code(secret, body)):
        return None
    return int.from_bytes(body[:ID_BYTES], "big"), body[ID_BYTES:]


def _hash(journey: str) -> bytes:
    return blake2b(journey.encode(), digest_size=ID_BYTES).digest()


def _code(secret: bytes, body: bytes) -> bytes:
    key = blake2b(b"codes", digest_size=32, key=secret).digest()
    return blake2b(body, digest_size=CODE_BYTES, key=key).digest()


def _tell(
    connection: Connection, name: str, who: Identifier, properties: dict[str, Any], message_id: str, now: datetime
) -> bool:
    call = {**named(who.namespace, who.value), "event": name, "properties": properties}
    return door.enter(connection, INTERNAL_SOURCE, now, [(message_id, entry("track", message_id, now, call))]) == 1
