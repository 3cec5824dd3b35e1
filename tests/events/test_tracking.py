"""The tracking API's rules: what real clients send is taken, what cannot be is refused alone and with its reason."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onevoice.events import door, tracking
from onevoice.events.tracking import Intake
from onevoice.events.vocabulary import EventEntry
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.ids import fact_id
from tests.conftest import NOW


def take(body: Any, call_type: str | None = None, at: datetime = NOW) -> Intake:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return tracking.take(tracking.read(tracking.unpacked(data), call_type), 1, at)


def entries(intake: Intake) -> list[EventEntry]:
    return [msgspec.json.decode(line, type=EventEntry) for line in intake.brought.lines]


def reasons(intake: Intake) -> list[str]:
    return [refused.reason for refused in intake.brought.refused]


def test_a_call_is_kept_as_it_came() -> None:
    call = {"userId": "u", "event": "Viewed", "properties": {"à": 1.50}, "unknown": [None]}
    (entry,) = entries(take(call, "track"))
    assert json.loads(bytes(entry.call)) == call
    assert entry.type == "track" and entry.occurred_at == NOW and entry.message_id


@pytest.mark.parametrize(
    "body",
    [
        # segment-analytics-python: null anonymousId, offset timestamps, write key in the body as well
        {
            "writeKey": "k",
            "sentAt": "2026-03-02T10:00:00+00:00",
            "batch": [{"type": "track", "userId": "u", "anonymousId": None, "event": "A", "messageId": "m"}],
        },
        # rudder-sdk-python: traits in the context, microseconds
        {
            "batch": [
                {
                    "type": "identify",
                    "userId": "u",
                    "context": {"traits": {"email": "a@example.com"}},
                    "originalTimestamp": "2026-03-02T09:59:59.123456+00:00",
                }
            ]
        },
        # rudder-sdk-node: originalTimestamp and no timestamp, sentAt per event and per batch
        {
            "sentAt": "2026-03-02T10:00:00.000Z",
            "batch": [
                {
                    "type": "page",
                    "anonymousId": "d",
                    "originalTimestamp": "2026-03-02T09:59:58.000Z",
                    "sentAt": "2026-03-02T10:00:00.000Z",
                }
            ],
        },
        # analytics-next: _metadata, an alias of an id to itself
        {"batch": [{"type": "alias", "userId": "u1", "previousId": "u1", "_metadata": {"bundled": []}}]},
        # careless callers: ids as numbers
        {"batch": [{"type": "track", "userId": 42, "event": "A", "messageId": 7}]},
        # the till: only a loyalty card
        {
            "batch": [
                {
                    "type": "track",
                    "event": "Order Completed",
                    "context": {"externalIds": [{"id": 900, "type": "loyalty_card", "collection": "users"}]},
                    "properties": {"order_id": 1, "products": [{"product_id": 5, "quantity": "2", "price": "1.5"}]},
                }
            ]
        },
    ],
)
def test_what_the_real_clients_send_is_taken(body: dict[str, Any]) -> None:
    for data in (json.dumps(body).encode(), gzip.compress(json.dumps(body).encode())):
        intake = take(data)
        assert len(intake.brought.lines) == 1 and not intake.brought.refused


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("text", "invalid_call"),
        ({"type": "track", "userId": "u", "event": "A", "properties": [1]}, "invalid_call"),
        ({"type": "tarck", "userId": "u"}, "unknown_type"),
        ({"userId": "u"}, "unknown_type"),
        ({"type": "track", "userId": "u"}, "no_event_name"),
        ({"type": "page"}, "no_identifier"),
        ({"type": "page", "userId": "null", "anonymousId": "00000000-0000-0000-0000-000000000000"}, "no_identifier"),
        ({"type": "page", "userId": "[object Object]"}, "no_identifier"),
        ({"type": "group", "userId": "u"}, "no_group_id"),
        ({"type": "alias", "userId": "u"}, "no_previous_id"),
        ({"type": "page", "userId": "u", "messageId": "m" * 101}, "message_id_too_long"),
        ({"type": "page", "userId": "u", "timestamp": "yesterday"}, "bad_timestamp"),
        ({"type": "page", "userId": "u", "timestamp": 1e300}, "bad_timestamp"),
        ({"type": "page", "userId": "u", "timestamp": "0001-01-01T00:00:00Z"}, "impossible_time"),
        ({"type": "page", "userId": "u", "timestamp": 0}, "impossible_time"),
        ({"type": "page", "userId": "u", "timestamp": "2030-01-01T00:00:00Z"}, "impossible_time"),
        (
            {"type": "page", "context": {"externalIds": [{"id": 1, "type": "org", "collection": "accounts"}]}},
            "no_identifier",
        ),
        (
            {
                "type": "track",
                "userId": "u",
                "event": "Order Completed",
                "properties": {"products": [{"price": 9e9}] * 200},
            },
            "invalid_properties",
        ),
        (
            {"type": "track", "userId": "u", "event": "Order Completed", "properties": {"revenue": 1e15}},
            "invalid_properties",
        ),
        (
            {"type": "track", "userId": "u", "event": "Order Completed", "properties": {"products": "p1"}},
            "invalid_properties",
        ),
        ({"type": "track", "userId": "u", "event": "A", "properties": {"x": "y" * 33_000}}, "too_large"),
    ],
)
def test_one_bad_call_is_refused_with_its_reason_and_costs_the_others_nothing(call: Any, reason: str) -> None:
    good = {"type": "page", "userId": "u"}
    intake = take({"batch": [good, call, good]})
    assert len(intake.brought.lines) == 2
    assert reasons(intake) == [reason]
    assert intake.report[0]["index"] == 1 and json.loads(intake.brought.refused[0].payload) == call


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe{}",
        b'\xff{"batch":[]}',
        b"\x1f\x8bnot gzip",
        b"[" * 100_000,
        b"x" * 600_000,
        gzip.compress(b" " * 10_000_000),
        b'{"batch":{}}',
    ],
)
def test_a_body_that_cannot_be_read_is_an_error_that_says_why(body: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        take(body)
    assert caught.value.status == 400 and len(caught.value.message) > 20


def test_calls_beyond_the_2500th_are_named_not_silently_dropped() -> None:
    intake = take({"batch": [{"type": "page", "userId": "u"}] * 2_510})
    assert len(intake.brought.lines) == 2_500 and reasons(intake) == ["over_count"] * 10


def test_the_senders_clock_is_corrected_by_what_it_said_when_sending() -> None:
    slow = NOW - timedelta(days=400)
    body = {
        "sentAt": slow.isoformat(),
        "batch": [{"type": "page", "userId": "u", "timestamp": (slow - timedelta(seconds=5)).isoformat()}],
    }
    assert entries(take(body))[0].occurred_at == NOW - timedelta(seconds=5)


def test_an_old_event_with_a_fresh_sent_at_keeps_its_time() -> None:
    old = datetime(2017, 5, 1, 12, tzinfo=UTC)
    call = {"userId": "u", "event": "A", "timestamp": old.isoformat(), "sentAt": NOW.isoformat()}
    assert entries(take(call, "track"))[0].occurred_at == old


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-02T09:59:58Z",
        "2026-03-02t09:59:58.000z",
        "2026-03-02T09:59:58.000000000Z",
        "2026-03-02T11:59:58+02:00",
        "2026-03-02 09:59:58",
        "20260302T095958Z",
        1772445598,
        1772445598000,
        "1772445598000",
    ],
)
def test_a_time_is_read_as_clients_write_it(written: Any) -> None:
    assert entries(take({"userId": "u", "timestamp": written}, "page"))[0].occurred_at == NOW - timedelta(seconds=2)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (rb"cut \ud83d", "cut \ufffd"),
        (rb"\udc00 and on", "\ufffd and on"),
        (rb"nothing \u0000 at all", "nothing \ufffd at all"),
        (rb"no NUL: \\u0000", "no NUL: \\u0000"),
        (rb"\uD83D\u0041", "\ufffdA"),
        (rb"whole \ud83d\ude00, cut \ud83d", "whole 😀, cut \ufffd"),
        (rb"no symbol: \\ud83d, cut \ud83d", "no symbol: \\ud83d, cut \ufffd"),
    ],
)
def test_a_symbol_cut_in_two_costs_neither_its_call_nor_the_batch(sent: bytes, kept: str) -> None:
    first, _ = entries(
        take(b'{"batch":[{"type":"page","userId":"u","name":"' + sent + b'"},{"type":"page","userId":"u"}]}')
    )
    assert json.loads(bytes(first.call))["name"] == kept


def test_bytes_that_are_no_text_cost_neither_their_call_nor_the_batch() -> None:
    first, _ = entries(
        take(b'{"batch":[{"type":"page","userId":"u","name":"caf\xe9 \xf0\x9f"},{"type":"page","userId":"u"}]}')
    )
    assert json.loads(bytes(first.call))["name"] == "caf\ufffd \ufffd"


def test_half_a_symbol_deep_in_the_properties_is_mended_too() -> None:
    (entry,) = entries(take(rb'{"userId":"u","event":"A","properties":{"a":{"b":["\ud83d"]}}}', "track"))
    assert json.loads(bytes(entry.call))["properties"] == {"a": {"b": ["\ufffd"]}}


def test_a_call_written_over_several_lines_is_an_entry_of_one() -> None:
    (line,) = take(json.dumps({"userId": "u", "event": "A\nB", "x": [1]}, indent=2).encode(), "track").brought.lines
    assert b"\n" not in line
    assert json.loads(bytes(msgspec.json.decode(line, type=EventEntry).call))["event"] == "A\nB"


@given(source=st.integers(0, 32_767), message=st.text(max_size=100))
def test_an_events_key_is_its_id(source: int, message: str) -> None:
    assert door.key(source, message) == fact_id("event", source, message).bytes


def test_a_batchs_context_that_cannot_be_used_puts_its_calls_into_quarantine() -> None:
    for context in ([], {"traits": [1]}, {"externalIds": "x"}):
        assert (
            reasons(take({"context": context, "batch": [{"type": "page", "userId": "u"}] * 2})) == ["invalid_call"] * 2
        )
    assert len(take({"context": None, "batch": [{"type": "page", "userId": "u"}]}).brought.lines) == 1


def test_the_batchs_context_goes_with_each_call() -> None:
    context = {"externalIds": [{"id": "c1", "type": "loyalty_card"}]}
    (entry,) = entries(take({"context": context, "batch": [{"type": "page"}]}))
    assert json.loads(bytes(entry.context)) == context  # type: ignore[arg-type]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "type",
    "userId",
    "anonymousId",
    "event",
    "messageId",
    "timestamp",
    "sentAt",
    "properties",
    "traits",
    "context",
]
CALL = st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(["track", "identify", "Order Completed"]))


@given(calls=st.lists(JSON | CALL, max_size=6))
def test_every_call_is_either_taken_or_refused_whatever_it_is(calls: list[Any]) -> None:
    intake = take({"batch": calls})
    assert len(intake.brought.lines) + len(intake.brought.refused) == len(calls)
    entries(intake)


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_taken_or_refused_by_name(body: bytes) -> None:
    try:
        take(body)
    except InvalidInput as error:
        assert error.message
