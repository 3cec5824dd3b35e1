"""The tracking API's rules, without HTTP: a body comes in, entries for the inbox and refused calls come out.

Speaks what Segment's and RudderStack's clients speak. A request that cannot be read is an error (400, and the client
drops it); one bad call in a batch never costs the others: it is refused alone, with its reason, and kept in the
quarantine. Calls are decoded here by the very structs the load uses, so what is taken can be loaded.
"""

import re
import uuid
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

from onevoice.customers.identifiers import BLOCKED
from onevoice.database.inbox import Kind
from onevoice.events.committer import packed, row_head
from onevoice.events.quarantine import Refused
from onevoice.events.vocabulary import CALL_TYPES, Call, Context, Loose, OrderCompleted, text
from onevoice.kernel.errors import InvalidInput

MAX_CALL = 32 * 1024  # bytes; Segment's limit for one call
MAX_BODY = 500 * 1024  # bytes, unpacked; Segment's limit for a batch
MAX_CALLS = 2_500  # in a batch; further ones are refused one by one, not silently
MAX_MESSAGE_ID = 100  # characters; the field's profile stores drop longer ones without a word
MAX_AMOUNT = 1e12  # of money or pieces, in a line and in an order; more is a mistake, and does not fit its column
EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)  # before it lies what careless senders write for "unknown": 0, the year 1
AHEAD = timedelta(days=366)  # of the receipt; later is a mistake (Klaviyo's limit too)
MILLISECONDS_FROM = 1e11  # a number from here on is milliseconds (1973 on), a smaller one seconds (until the year 5138)

REASONS = {
    "invalid_call": "Not a tracking call: {detail}",
    "unknown_type": "The type must be one of track, identify, page, screen, group, alias",
    "no_event_name": "A track call needs `event`",
    "no_identifier": "A call needs userId, anonymousId or context.externalIds, and none that stands for everybody",
    "no_group_id": "A group call needs `groupId`",
    "no_previous_id": "An alias call needs `previousId`",
    "message_id_too_long": "messageId is longer than 100 characters",
    "bad_timestamp": "A timestamp cannot be read: {detail}; write ISO 8601, such as 2026-03-02T10:00:00Z",
    "impossible_time": "The call's time, {detail}, is before 1971 or over a year ahead; check the sender's clock",
    "invalid_order": "The order cannot be read: {detail}",
    "too_large": "The call is larger than 32 KB",
    "over_count": "The batch has more than 2,500 calls",
}


class _Batch(msgspec.Struct, rename="camel"):
    """A request to /v1/batch."""

    batch: list[msgspec.Raw]
    write_key: str | None = None
    sent_at: Loose = None
    context: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Checked(Call, rename="camel"):
    """A call as it is checked: what the load reads, and what only ingest needs."""

    type: str | None = None
    message_id: Loose = None
    timestamp: Loose = None
    original_timestamp: Loose = None
    sent_at: Loose = None
    write_key: str | None = None


_batch = msgspec.json.Decoder(_Batch, strict=False)
_call = msgspec.json.Decoder(_Checked, strict=False)
_context = msgspec.json.Decoder(Context, strict=False)
_order = msgspec.json.Decoder(OrderCompleted, strict=False)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])

_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)
"""An escape in a JSON string; the group catches half a surrogate pair, what is left of a symbol cut in two."""


@dataclass
class Request:
    """A body read: its calls as they came, and what the request says for all of them."""

    calls: list[msgspec.Raw]
    implied_type: str | None
    write_key: str | None
    sent_at: Loose
    context: bytes | None = None
    context_fault: str = ""  # why the batch's context cannot be used; then none of its calls can


@dataclass
class Intake:
    """What became of a request's calls. `rows` are packed inbox rows (committer.packed)."""

    rows: list[bytes] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    report: list[dict[str, object]] = field(default_factory=list)  # index, code, message of each refused call


class _Refusal(Exception):
    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, REASONS[reason].format(detail=detail)
        super().__init__(self.detail)


def unpacked(body: bytes) -> bytes:
    """The body, unzipped where it is gzip by its first bytes, whatever the headers say.

    Raises InvalidInput where it is too large, not UTF-8, or not gzip after all.
    """
    if body[:2] == b"\x1f\x8b":
        inflater = zlib.decompressobj(wbits=31)
        try:
            body = inflater.decompress(body, MAX_BODY + 1)
        except zlib.error as error:
            raise InvalidInput(f"The body begins as gzip but cannot be unpacked: {error}") from error
    if len(body) > MAX_BODY:
        raise InvalidInput("The body is larger than 500 KB; send smaller batches")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The body is not UTF-8: {error}") from error
    return body


def read(body: bytes, call_type: str | None) -> Request:
    """Reads a body; `call_type` is the path's (`track`), or None for a batch. Raises InvalidInput.

    Half a surrogate pair, which JavaScript sends where it cut a text within a symbol, becomes U+FFFD as in browsers
    (WHATWG's USVString): it is no reason to lose a batch.
    """
    if call_type is not None and len(body) > MAX_CALL:
        raise InvalidInput("The call is larger than 32 KB")
    try:
        return _read(body, call_type)
    except (msgspec.DecodeError, RecursionError) as first:
        mended = _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], body)
        try:
            if mended != body:
                return _read(mended, call_type)
        except (msgspec.DecodeError, RecursionError):
            pass  # then the first error is the one to tell
        raise InvalidInput(f"The body is not the JSON that was expected: {first}") from first


def _read(body: bytes, call_type: str | None) -> Request:
    if call_type is not None:
        key = _object.decode(body).get("writeKey")
        return Request([msgspec.Raw(body)], call_type, text(msgspec.json.decode(key)) if key else None, None)
    batch = _batch.decode(body)
    request = Request(batch.batch, None, batch.write_key, batch.sent_at)
    if batch.context is not msgspec.UNSET and bytes(batch.context) != b"null":
        request.context = bytes(batch.context)
        try:
            _check_object(_context.decode(request.context).traits, "traits")
        except msgspec.DecodeError as error:
            request.context_fault = f"the batch's context: {error}"
        except _Refusal:
            request.context_fault = "the batch's context: `traits` must be an object"
    return request


def take(request: Request, source_id: int, received_at: datetime) -> Intake:
    """Checks every call; the good ones become inbox rows, the others are refused with their reason."""
    intake = Intake()
    head = row_head(source_id, Kind.EVENT, received_at)
    for index, raw in enumerate(request.calls):
        try:
            if index >= MAX_CALLS:
                raise _Refusal("over_count")
            payload = _payload(bytes(raw), request, received_at)
        except _Refusal as refusal:
            intake.refused.append(Refused(source_id, received_at, refusal.reason, refusal.detail, bytes(raw)))
            intake.report.append({"index": index, "code": refusal.reason, "message": refusal.detail})
        else:
            intake.rows.append(packed(head, payload))
    return intake


def _payload(raw: bytes, request: Request, received_at: datetime) -> bytes:
    """The entry's JSON around the call as it came (vocabulary.EventEntry)."""
    if len(raw) > MAX_CALL:
        raise _Refusal("too_large")
    if request.context_fault:
        raise _Refusal("invalid_call", request.context_fault)
    try:
        call = _call.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _Refusal("invalid_call", str(error)) from error
    call_type = request.implied_type or call.type
    if call_type not in CALL_TYPES:
        raise _Refusal("unknown_type")
    _check(call, call_type, request)
    message_id = text(call.message_id) or uuid.uuid4().hex
    if len(message_id) > MAX_MESSAGE_ID:
        raise _Refusal("message_id_too_long")
    at = _corrected(call, request, received_at)
    pieces = [
        b'{"type":"',
        call_type.encode(),
        b'","message_id":',
        msgspec.json.encode(message_id),
        b',"occurred_at":"',
        at.isoformat().encode(),
        b'","call":',
        raw,
    ]
    if request.context is not None:
        pieces += [b',"context":', request.context]
    pieces.append(b"}")
    return b"".join(pieces)


def _check(call: _Checked, call_type: str, request: Request) -> None:
    external = call.context.external_ids if call.context else []
    if not external and request.context is not None:
        external = _context.decode(request.context).external_ids
    customers = [text(one.id) for one in external if one.collection == "users"]
    named = (text(call.user_id), text(call.anonymous_id), *customers)
    if all(map(BLOCKED.match, named)):
        raise _Refusal("no_identifier")
    if call_type == "track" and not call.event:
        raise _Refusal("no_event_name")
    if call_type == "group" and not text(call.group_id):
        raise _Refusal("no_group_id")
    if call_type == "alias" and not text(call.previous_id):
        raise _Refusal("no_previous_id")
    for name in ("properties", "traits"):
        _check_object(getattr(call, name), name)
    if call.context:
        _check_object(call.context.traits, "context.traits")
    if call_type == "track" and call.event == "Order Completed":
        _check_order(call)


def _check_object(value: msgspec.Raw | msgspec.UnsetType, name: str) -> None:
    """The load takes these apart as objects; null is as good as absent."""
    if value is msgspec.UNSET or bytes(value) == b"null":
        return
    try:
        _object.decode(value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _Refusal("invalid_call", f"`{name}` must be an object: {error}") from error


def _check_order(call: _Checked) -> None:
    properties = b"{}" if call.properties is msgspec.UNSET else bytes(call.properties)
    try:
        order = _order.decode(properties if properties != b"null" else b"{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise _Refusal("invalid_order", str(error)) from error
    amounts, total = [order.revenue, order.total, order.discount], 0.0
    for line in order.products:
        revenue = line.revenue if line.revenue is not None else (line.price or 0.0) * line.quantity
        amounts += [line.quantity, line.price, revenue, line.discount]
        total += abs(revenue)
    if any(amount is not None and not -MAX_AMOUNT < amount < MAX_AMOUNT for amount in [*amounts, total]):
        raise _Refusal("invalid_order", "an amount is no number or over a trillion")


def _corrected(call: _Checked, request: Request, received_at: datetime) -> datetime:
    """received − (sent − original): the sender's clock may be wrong, its intervals are not (Segment, spec/common)."""
    original = call.original_timestamp if call.original_timestamp is not None else call.timestamp
    if original is None:
        return received_at
    sent = call.sent_at if call.sent_at is not None else request.sent_at
    happened = _instant(original)
    try:
        at = received_at - (_instant(sent) - happened) if sent is not None else happened
    except OverflowError as error:
        raise _Refusal("impossible_time", str(original)) from error
    if not EARLIEST <= at <= received_at + AHEAD:
        raise _Refusal("impossible_time", at.isoformat())
    return at


@lru_cache(1024)  # the calls of a batch have one `sentAt`
def _instant(value: Loose) -> datetime:
    """An ISO 8601 text, or seconds or milliseconds since 1970, also as text; without a zone it is UTC."""
    try:
        if isinstance(value, str):
            try:
                at = datetime.fromisoformat(value.strip().upper())
                return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
            except ValueError:
                value = float(value)
        assert value is not None
        return datetime.fromtimestamp(value / 1000 if abs(value) >= MILLISECONDS_FROM else value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise _Refusal("bad_timestamp", repr(value)) from error
