"""The tracking API's rules, without HTTP: a body comes in, entries for the inbox and refused calls come out.

Speaks what Segment's and RudderStack's clients speak. A request that cannot be read is an error (400, and the client
drops it); one bad call in a batch never costs the others: it is refused alone, with its reason, and kept in the
quarantine. Calls are decoded here by the very structs the load uses, so what is taken can be loaded.
"""

import re
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from types import MappingProxyType

import msgspec

from onevoice.customers.identifiers import BLOCKED
from onevoice.events import commerce, door
from onevoice.events.committer import Brought
from onevoice.events.plans import QUARANTINE, Plan, Violation, plan_for
from onevoice.events.quarantine import Refused
from onevoice.events.vocabulary import CALL_TYPES, Call, Context, Loose, text
from onevoice.events.vocabulary import MAX_AMOUNT as MAX_AMOUNT
from onevoice.kernel.errors import InvalidInput

MAX_CALL = 32 * 1024  # bytes; Segment's limit for one call
MAX_BODY = 500 * 1024  # bytes, unpacked; Segment's limit for a batch
MAX_CALLS = 2_500  # in a batch; further ones are refused one by one, not silently
MAX_MESSAGE_ID = 100  # characters; the field's profile stores drop longer ones without a word
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
    "invalid_properties": "The properties of an ecommerce event cannot be taken: {detail}",
    "too_large": "The call is larger than 32 KB",
    "plan_violation": "The tracking plan keeps it out: {detail}",
    "over_count": "The batch has more than 2,500 calls",
}
"""Why a call goes to the quarantine."""

DUPLICATE = "duplicate"
"""The code of a call whose message id was taken within the last thirty days. It is reported, and not kept."""


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


class _CheckedBatch(msgspec.Struct):
    """The same request, its calls decoded with it."""

    batch: list[_Checked]


_batch = msgspec.json.Decoder(_Batch, strict=False)
_checked_batch = msgspec.json.Decoder(_CheckedBatch, strict=False)
_call = msgspec.json.Decoder(_Checked, strict=False)
_context = msgspec.json.Decoder(Context, strict=False)

_TYPES = frozenset(CALL_TYPES)
_SUSPECT = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..|u0000)|.)", re.DOTALL)
"""An escape in a JSON string; the group catches half a surrogate pair, what is left of a symbol cut in two, and NUL."""


@dataclass(slots=True)
class Request:
    """A body read: its calls as they came, and what the request says for all of them."""

    calls: list[msgspec.Raw]
    checked: "list[_Checked] | None"  # the calls decoded at one go; None: one of them cannot be
    implied_type: str | None
    write_key: str | None
    sent_at: Loose
    context: bytes | None = None
    shared: Context | None = None  # the same, decoded
    context_fault: str = ""  # why the batch's context cannot be used; then none of its calls can


@dataclass(slots=True)
class Intake:
    """What became of a request's calls."""

    brought: Brought
    indexes: list[int] = field(default_factory=list)  # the place in the request of each call brought
    report: list[dict[str, object]] = field(default_factory=list)  # index, code, message of each refused call

    def answer(self, duplicates: Sequence[int]) -> dict[str, object]:
        """What the sender is told, once committed; `duplicates` are those of the calls that were held already."""
        for place in duplicates:
            message = "A call with this messageId was taken before"
            self.report.append({"index": self.indexes[place], "code": DUPLICATE, "message": message})
        if duplicates:
            self.report.sort(key=itemgetter("index"))
        return {
            "success": True,
            "accepted": len(self.indexes) - len(duplicates),
            "deduplicated": len(duplicates),
            "quarantined": len(self.brought.refused),
            "report": self.report,
        }


class Told(msgspec.Struct, rename="camel", omit_defaults=True):
    """What a request said for all its calls; kept with a refused one, so that it can be taken later as it came."""

    type: str | None = None
    sent_at: Loose = None
    context: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Refusal(Exception):
    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, REASONS[reason].format(detail=detail)
        super().__init__(self.detail)


def unpacked(body: bytes) -> bytes:
    """The body as JSON should be: unzipped where it is gzip by its first bytes, whatever the headers say, and mended.

    Bytes that are no UTF-8 and halves of surrogate pairs, which JavaScript sends where it cut a text within a symbol,
    become U+FFFD as in browsers (WHATWG's UTF-8 decode and USVString): they are no reason to lose a batch. So does NUL,
    which no text in PostgreSQL can hold.
    Raises InvalidInput where it is too large, or not gzip after all.
    """
    if body[:2] == b"\x1f\x8b":
        inflater = zlib.decompressobj(wbits=31)
        try:
            body = inflater.decompress(body, MAX_BODY + 1)
        except zlib.error as error:
            raise InvalidInput(f"The body begins as gzip but cannot be unpacked: {error}") from error
    if len(body) > MAX_BODY:
        raise InvalidInput("The body is larger than 500 KB; send smaller batches")
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError:
            body = body.decode("utf-8", "replace").encode()
    if b"\\u" in body and _SUSPECT.search(body):
        body = _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], body)
    return body


def read(body: bytes, call_type: str | None) -> Request:
    """Reads a body; `call_type` is the path's (`track`), or None for a batch. Raises InvalidInput."""
    if call_type is not None and len(body) > MAX_CALL:
        raise InvalidInput("The call is larger than 32 KB")
    try:
        return _read(body, call_type)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(f"The body is not the JSON that was expected: {error}") from error


def _read(body: bytes, call_type: str | None) -> Request:
    if call_type is not None:
        try:
            call = _call.decode(body)
        except msgspec.ValidationError:  # JSON, but not as it should be: it is for `take` to say so
            msgspec.json.decode(body, type=dict[str, msgspec.Raw])
            return Request([msgspec.Raw(body)], None, call_type, _write_key(body), None)
        return Request([msgspec.Raw(body)], [call], call_type, call.write_key, None)
    batch = _batch.decode(body)
    try:
        checked = _checked_batch.decode(body).batch
    except (msgspec.DecodeError, RecursionError):
        checked = None
    request = Request(batch.batch, checked, None, batch.write_key, batch.sent_at)
    if batch.context is not msgspec.UNSET and bytes(batch.context) != b"null":
        _share(request, bytes(batch.context))
    return request


def _share(request: Request, context: bytes) -> None:
    """Gives a request the context that counts for all its calls."""
    request.context = door.line(context)
    try:
        request.shared = _context.decode(request.context)
        _check_object(request.shared.traits, "traits")
    except msgspec.DecodeError as error:
        request.context_fault = f"the batch's context: {error}"
    except _Refusal:
        request.context_fault = "the batch's context: `traits` must be an object"


def _write_key(body: bytes) -> str | None:
    key = msgspec.json.decode(body, type=dict[str, msgspec.Raw]).get("writeKey")
    return text(msgspec.json.decode(key)) if key else None


def again(raw: bytes, told: bytes | None, source_id: int, received_at: datetime, plans: Mapping[str, Plan]) -> Intake:
    """Takes a call that was refused, maybe corrected, as if its request came again at the time it came."""
    said = msgspec.json.decode(told, type=Told) if told else Told()
    request = Request([msgspec.Raw(raw)], None, said.type, None, said.sent_at)
    if said.context is not msgspec.UNSET:
        _share(request, bytes(said.context))
    return take(request, source_id, received_at, plans)


def take(
    request: Request, source_id: int, received_at: datetime, plans: Mapping[str, Plan] = MappingProxyType({})
) -> Intake:
    """Checks every call; the good ones go on to the inbox, the others are refused with their reason."""
    intake = Intake(Brought(source_id, received_at))
    brought, checked, time = intake.brought, request.checked, _Time(request.sent_at, received_at)
    told: bytes | None = None
    for index, raw in enumerate(request.calls):
        try:
            if index >= MAX_CALLS:
                raise _Refusal("over_count")
            if len(raw) > MAX_CALL:
                raise _Refusal("too_large")
            if request.context_fault:
                raise _Refusal("invalid_call", request.context_fault)
            call = checked[index] if checked else _decoded(raw)
            message_id, line = _line(bytes(raw), call, request, time)
            if plans:
                _meet_plan(call, request, plans, brought, message_id)
        except _Refusal as refusal:
            told = told or _told(request)
            refused = Refused(source_id, received_at, refusal.reason, refusal.detail, bytes(raw), request=told)
            brought.refused.append(refused)
            intake.report.append({"index": index, "code": refusal.reason, "message": refusal.detail})
        else:
            brought.lines.append(line)
            brought.keys.append(door.key(source_id, message_id))
            intake.indexes.append(index)
    return intake


def _told(request: Request) -> bytes:
    context = msgspec.UNSET if request.context is None else msgspec.Raw(request.context)
    return _json(Told(request.implied_type, request.sent_at, context))


def _meet_plan(call: _Checked, request: Request, plans: Mapping[str, Plan], brought: Brought, message_id: str) -> None:
    """Refuses a call that its plan keeps out, and notes one that it only warns of."""
    call_type = request.implied_type or call.type or ""
    plan = plan_for(plans, call_type, call.event or "")
    if plan is None:
        return
    said = call.properties
    if call_type in ("identify", "group"):
        said = call.traits if call.traits is not msgspec.UNSET else call.context.traits if call.context else said
    problem = plan.problem(b"{}" if said is msgspec.UNSET else bytes(said))
    if problem and plan.on_violation == QUARANTINE:
        raise _Refusal("plan_violation", problem)
    if problem:
        brought.violations.append(Violation(plan.event, brought.source_id, problem, message_id))


def _decoded(raw: msgspec.Raw) -> _Checked:
    try:
        return _call.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _Refusal("invalid_call", str(error)) from error


def _line(raw: bytes, call: _Checked, request: Request, time: "_Time") -> tuple[str, bytes]:
    """The call's message id, and the entry's JSON around the call as it came (vocabulary.EventEntry)."""
    call_type = request.implied_type or call.type
    if call_type not in _TYPES:
        raise _Refusal("unknown_type")
    _check(call, call_type, request)
    message_id = text(call.message_id) or uuid.uuid4().hex
    if len(message_id) > MAX_MESSAGE_ID:
        raise _Refusal("message_id_too_long")
    at = time.corrected(call)
    if b"\n" in raw:
        raw = door.line(raw)
    written = _json(message_id)
    if request.context is None:
        return message_id, b'{"type":"%b","message_id":%b,"occurred_at":"%b","call":%b}' % (
            call_type.encode(),
            written,
            at.encode(),
            raw,
        )
    return message_id, b'{"type":"%b","message_id":%b,"occurred_at":"%b","call":%b,"context":%b}' % (
        call_type.encode(),
        written,
        at.encode(),
        raw,
        request.context,
    )


def _check(call: _Checked, call_type: str, request: Request) -> None:
    card = _check_commerce(call) if call_type == "track" and call.event in commerce.EVENTS else ""
    if all(map(BLOCKED.match, (text(call.user_id), text(call.anonymous_id), card))):
        external = call.context.external_ids if call.context else []
        if not external and request.shared is not None:
            external = request.shared.external_ids
        if all(BLOCKED.match(text(one.id)) for one in external if one.collection == "users"):
            raise _Refusal("no_identifier")
    if call_type == "track" and not call.event:
        raise _Refusal("no_event_name")
    if call_type == "group" and not text(call.group_id):
        raise _Refusal("no_group_id")
    if call_type == "alias" and not text(call.previous_id):
        raise _Refusal("no_previous_id")
    _check_object(call.properties, "properties")
    _check_object(call.traits, "traits")
    if call.context:
        _check_object(call.context.traits, "context.traits")


def _check_object(value: msgspec.Raw | msgspec.UnsetType, name: str) -> None:
    """The load takes these apart as objects; null is as good as absent. That it is JSON the decoding has shown."""
    if value is not msgspec.UNSET and memoryview(value)[0] not in b"{n":
        raise _Refusal("invalid_call", f"`{name}` must be an object")


def _check_commerce(call: _Checked) -> str:
    """Refuses what the load could not take apart; returns the loyalty card, which names the customer."""
    properties = b"{}" if call.properties is msgspec.UNSET else bytes(call.properties)
    try:
        said = commerce.read(properties if properties != b"null" else b"{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise _Refusal("invalid_properties", str(error)) from error
    assert call.event is not None
    if fault := commerce.fault(call.event, said):
        raise _Refusal("invalid_properties", fault)
    return text(said.loyalty_card)


class _Time:
    """received − (sent − original): the sender's clock may be wrong, its intervals are not (Segment, spec/common)."""

    __slots__ = ("_latest", "_received", "_sent", "_written")

    def __init__(self, sent_at: Loose, received_at: datetime) -> None:
        self._received, self._latest = received_at, received_at + AHEAD
        self._written = received_at.isoformat()
        self._sent = sent_at  # of the request; the calls of a batch have one

    def corrected(self, call: _Checked) -> str:
        """When the call happened, by our clock, in ISO 8601."""
        original = call.original_timestamp if call.original_timestamp is not None else call.timestamp
        if original is None:
            return self._written
        sent = call.sent_at if call.sent_at is not None else self._sent
        happened = _instant(original)
        try:
            at = self._received - (_remembered(sent) - happened) if sent is not None else happened
        except OverflowError as error:
            raise _Refusal("impossible_time", str(original)) from error
        if not EARLIEST <= at <= self._latest:
            raise _Refusal("impossible_time", at.isoformat())
        return at.isoformat()


def _instant(value: Loose) -> datetime:
    """An ISO 8601 text, or seconds or milliseconds since 1970, also as text; without a zone it is UTC."""
    try:
        if isinstance(value, str):
            try:
                at = datetime.fromisoformat(value)
            except ValueError:
                try:
                    at = datetime.fromisoformat(value.strip().upper())
                except ValueError:
                    return _from_number(float(value))
            return at if at.tzinfo is UTC else at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
        assert value is not None
        return _from_number(value)
    except (ValueError, OverflowError, OSError) as error:
        raise _Refusal("bad_timestamp", repr(value)) from error


_remembered = lru_cache(64)(_instant)  # `sentAt` is one for many calls


def _from_number(value: float) -> datetime:
    return datetime.fromtimestamp(value / 1000 if abs(value) >= MILLISECONDS_FROM else value, UTC)


_json = msgspec.json.Encoder().encode
