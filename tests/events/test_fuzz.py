"""The tracking API under fire: whatever bytes come, the answer is 200, or 4xx with its reason, and nothing is lost.

Nothing lost means: accepted, deduplicated and quarantined together are the calls of the request; what was accepted
becomes an event in the warehouse, and what was quarantined stands in the quarantine.
"""

import gzip
import json
import random
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from sqlalchemy import func, select

from onevoice.events.models import quarantine
from onevoice.events.routes import PATHS
from tests.api.test_api import Shop, shop
from tests.events.test_taken_is_loaded import BODY as VALID
from tests.events.test_tracking import FIELDS
from tests.peers.serving import rows

__all__ = ["shop"]  # the fixture

NASTY = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"-1e-999",
    b"1" * 400,
    b"1" * 5000,
    b"0x10",
    b"01",
    b"-",
    b"-0.0",
    b"9223372036854775808",
    b"18446744073709551616",
    b"true",
    b"null",
    b'"\\ud800"',
    b'"\\udfff\\ud800"',
    b'"\\u0000"',
    b'"\\uD83D\\u0041"',
    b'"\\x"',
    b'"\x00"',
    b'"\x1f"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"\xc0\xaf"',
    b'"\xf4\x90\x80\x80"',
    b'"\xe2\x80\xa8\xef\xbb\xbf"',
    b'"' + "ﷺ".encode() * 50 + b'"',
    b'"' + "‮e\u0301".encode() + b'"',
    b"[" * 500 + b"]" * 500,
    b"[" * 20_000,
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
    b'{"":""}',
    b'{"a":1,"a":{"a":2},"a":[]}',
    b'{"userId":"a","userId":"b"}',
    b'"2026-13-45T99:99:99Z"',
    b'"2026-03-02T10:00:00+99:00"',
    b'"9999-12-31T23:59:59.999999-23:59"',
    b'"0001-01-01T00:00:00+23:59"',
    b'"' + "٢٠٢٦-٠٣-٠٢".encode() + b'"',
    b'"nan"',
    b'"inf"',
    b'"1_000"',
    b'"-1e400"',
    b"{}",
    b"[]",
    b'"' + b"x" * 33_000 + b'"',
    b"/* c */ 1",
    b"'x'",
    b"[1,]",
)
"""JSON that is none, that is too much, or that two readers read in two ways."""

FIELD = st.sampled_from([*FIELDS, "groupId", "previousId", "originalTimestamp", "name", "writeKey"])
ORDINARY: list[dict[str, Any]] = [
    {"type": "track", "userId": "u", "event": "Order Completed", "properties": {"order_id": "o", "revenue": 1}},
    {"type": "identify", "userId": "u", "anonymousId": "d", "traits": {"email": "a@example.com", "a": [1, {}]}},
    {"type": "page", "anonymousId": "d", "name": "Home", "timestamp": "2026-03-02T10:00:00Z"},
    {"type": "group", "userId": "u", "groupId": "g", "traits": {}},
    {"type": "alias", "userId": "u", "previousId": "v"},
]


@st.composite
def with_nasty_values(draw: st.DrawFn) -> bytes:
    """A batch of ordinary calls in which some fields hold nasty JSON, written by hand."""
    calls = []
    for ordinary in draw(st.lists(st.sampled_from(ORDINARY), min_size=1, max_size=4)):
        fields = {name: json.dumps(value).encode() for name, value in ordinary.items()}
        for _ in range(draw(st.integers(0, 2))):
            fields[draw(FIELD)] = draw(st.sampled_from(NASTY))
        pairs = [b'"' + name.encode() + b'":' + value for name, value in fields.items()]
        if draw(st.booleans()):
            pairs.append(draw(st.sampled_from(pairs)))  # a key twice
        calls.append(b"{" + b",".join(draw(st.permutations(pairs))) + b"}")
    head = draw(st.sampled_from([b"", b'"sentAt":"2026-03-02T10:00:00Z",'])) + (
        b'"context":' + draw(st.sampled_from(NASTY)) + b"," if draw(st.booleans()) else b""
    )
    return b"{" + head + b'"batch":[' + b",".join(calls) + b"]}"


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid batch into which bytes were put, or out of which some were lost or swapped."""
    body = bytearray(json.dumps(draw(VALID)).encode())
    chance = random.Random(draw(st.integers(0, 2**32)))
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 6]))):
        at = chance.randrange(len(body) + 1)
        match chance.randrange(12):  # most often a letter becomes another: JSON that still reads
            case 0:
                del body[at : at + chance.randrange(1, 20)]
            case 1:
                body[at:at] = chance.choice(NASTY)[:2_000]
            case 2:
                body[at:at] = body[chance.randrange(len(body) + 1) :][: chance.randrange(1, 60)]
            case 3:
                body[at : at + 1] = bytes([chance.randrange(256)])
            case 4:
                del body[at:]
            case _:
                if body[at : at + 1].isalnum():
                    body[at : at + 1] = chance.choice("abcXYZ019").encode()
        body = body or bytearray(b"{")
    return bytes(body)


PACKS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip cut short": lambda body: gzip.compress(body)[:-9],
    "gzip twice": lambda body: gzip.compress(gzip.compress(body)),
    "two members": lambda body: gzip.compress(body[: len(body) // 2]) + gzip.compress(body[len(body) // 2 :]),
    "gzip with a tail": lambda body: gzip.compress(body) + b"tail",
    "byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "UTF-16": lambda body: body.decode("latin-1").encode("utf-16"),
}
WHERE = st.sampled_from(["/v1/batch"] * 3 + [path for path in PATHS if path != "/v1/batch"])


class Books:
    """What was told in all answers, to be compared with what there is."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.told, self.statuses = shop, Counter[str](), Counter[int]()

    def send(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Sends and checks the answer by itself."""
        answer = self.shop.http.post(path, content=body, headers=headers, auth=(self.shop.write_key, ""))
        self.statuses[answer.status_code] += 1
        said = answer.json()
        if answer.status_code != 200:
            assert 400 <= answer.status_code < 500, (answer.status_code, said)
            assert said["code"] and said["message"]
            return
        counts = {name: said.get(name, 0) for name in ("accepted", "deduplicated", "quarantined")}
        if PATHS[path] is not None:
            assert sum(counts.values()) == 1, said
        assert len(said["report"]) == counts["deduplicated"] + counts["quarantined"]
        self.told.update(counts)

    def close(self) -> None:
        """All that was told is there."""
        while self.shop.engine.step(self.shop.clock.now()).loaded:
            pass
        with self.shop.engine.database.connect() as connection:
            held = Counter(dict(connection.execute(select(quarantine.c.reason, func.count()).group_by("reason")).all()))
        assert held["load"] == 0, "what was accepted could not be loaded"
        assert held.total() == self.told["quarantined"]
        assert len(rows(self.shop.engine, "events")) == self.told["accepted"]


def fire(shop: Shop, bodies: st.SearchStrategy[bytes], examples: int, seed: int) -> Books:
    """Sends many, then compares the books."""
    books = Books(shop)

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(path=WHERE, body=bodies, pack=st.sampled_from(["plain"] * 4 + list(PACKS)))
    def check(path: str, body: bytes, pack: str) -> None:
        books.send(path, PACKS[pack](body))

    check()
    books.close()
    return books


def test_bytes_of_any_kind(shop: Shop) -> None:
    books = fire(shop, st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode()), 200, 1)
    assert books.statuses[400] > 50


def test_json_of_any_kind(shop: Shop) -> None:
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
    anything = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | FIELD, inner),
        max_leaves=20,
    )
    calls = st.lists(anything | st.dictionaries(FIELD, anything, max_size=6), max_size=5)
    bodies = anything | st.fixed_dictionaries({"batch": calls}, optional={"context": anything, "sentAt": anything})
    books = fire(shop, bodies.map(lambda body: json.dumps(body).encode()), 250, 2)
    assert books.told["quarantined"] > 20 and books.statuses[400] > 20


def test_calls_with_nasty_values(shop: Shop) -> None:
    books = fire(shop, with_nasty_values(), 400, 3)
    assert books.told["accepted"] > 50 and books.told["quarantined"] > 50 and books.statuses[400] > 20


def test_batches_in_which_bytes_were_lost_and_found(shop: Shop) -> None:
    books = fire(shop, mutated(), 200, 4)
    assert books.told["accepted"] > 50 and books.told["quarantined"] > 50 and books.statuses[400] > 20


@pytest.mark.parametrize("megabytes", [1, 100])
def test_a_gzip_bomb_is_refused_before_it_is_unpacked(shop: Shop, megabytes: int) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join([packer.compress(b" " * 2**20) for _ in range(megabytes)]) + packer.flush()
    assert len(bomb) < 200_000
    answer = shop.http.post("/v1/batch", content=bomb, auth=(shop.write_key, ""))
    assert answer.status_code in (400, 413) and "500 KB" in answer.json()["message"]


def test_every_number_of_calls_and_size_around_the_limits(shop: Shop) -> None:
    books = Books(shop)
    call = {"type": "page", "userId": "u"}
    for number in (0, 1, 2_499, 2_500, 2_501):
        books.send("/v1/batch", json.dumps({"batch": [call] * number}).encode())
    frame = len(json.dumps(call | {"name": ""}).encode())
    for size in (32 * 1024 - 1, 32 * 1024, 32 * 1024 + 1):
        body = json.dumps(call | {"name": "x" * (size - frame)}).encode()
        assert len(body) == size
        books.send("/v1/page", body)
        books.send("/v1/batch", b'{"batch":[' + body + b"]}")
    assert books.told["quarantined"] == 2 and books.statuses == {200: 10, 400: 1}
    books.close()


def test_a_batch_of_500_kb_that_is_one_property(shop: Shop) -> None:
    books = Books(shop)
    big = {"type": "track", "userId": "u", "event": "A", "properties": {"x": "y" * 490_000}}
    books.send("/v1/batch", json.dumps({"batch": [big, {"type": "page", "userId": "u"}]}).encode())
    assert books.told == {"accepted": 1, "quarantined": 1, "deduplicated": 0}
    books.close()
