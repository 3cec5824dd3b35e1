"""What the vendors' clients really put on the wire, oddity by oddity, as captured from them; each must land.

The clients themselves run in `tests/peers`; here stands what they did, so that no later version of theirs hides it.
"""

import base64
import gzip
import itertools
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from onevoice.events import sources
from tests.api.test_api import Shop, shop, step
from tests.conftest import NOW
from tests.peers.serving import rows

__all__ = ["shop"]  # the fixture


def batch(shop: Shop, *calls: Any, sent: dict[str, Any] | None = None, **request: Any) -> dict[str, Any]:
    """Posts a batch as given, loads it, returns the answer."""
    body = json.dumps({"batch": list(calls), **(sent or {})}).encode()
    content = request.pop("pack", bytes)(body)
    headers = {"authorization": "Basic " + base64.b64encode(f"{shop.write_key}:".encode()).decode()}
    answer = shop.http.post("/v1/batch", content=content, headers={**headers, **request.pop("headers", {})})
    assert answer.status_code == 200, answer.text
    step(shop)
    told: dict[str, Any] = answer.json()
    assert told["accepted"] == len(calls), told
    return told


def event(shop: Shop) -> dict[str, Any]:
    """The one event in the warehouse."""
    (found,) = rows(shop.engine, "events")
    return found


def identifiers(shop: Shop) -> set[tuple[str, str]]:
    return {(row["namespace"], row["value"]) for row in rows(shop.engine, "identifiers")}


def customers(shop: Shop) -> int:
    return len({row["customer_id"] for row in rows(shop.engine, "identifiers")})


def at(**ago: float) -> datetime:
    return (NOW - timedelta(**ago)).replace(tzinfo=None)


def test_segment_python_sends_a_null_anonymous_id_an_offset_and_the_key_twice(shop: Shop) -> None:
    call = {
        "type": "track",
        "userId": "u",
        "anonymousId": None,
        "event": "A",
        "properties": {},
        "context": {"library": {"name": "analytics-python", "version": "2.4.0"}},
        "integrations": {},
        "timestamp": (NOW - timedelta(seconds=5)).isoformat(),
        "messageId": "5ab0f1a2-2c7c-4c35-9a41-5b29a3f1d6b9",
    }
    batch(shop, call, sent={"sentAt": NOW.isoformat(), "writeKey": shop.write_key})
    assert identifiers(shop) == {("user_id", "u")}
    assert event(shop)["occurred_at"] == at(seconds=5)


def test_rudder_python_zips_and_puts_traits_into_the_context(shop: Shop) -> None:
    call = {
        "type": "identify",
        "userId": "u",
        "anonymousId": None,
        "context": {"traits": {"email": "a@example.com"}},
        "timestamp": "2026-03-02T09:59:59.123456+00:00",
        "messageId": "m",
    }
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    batch(shop, call, sent={"sentAt": NOW.isoformat()}, pack=gzip.compress, headers=headers)
    (trait,) = rows(shop.engine, "traits")
    assert (trait["name"], trait["value"]) == ("email", '"a@example.com"')
    assert event(shop)["occurred_at"] == datetime(2026, 3, 2, 9, 59, 59, 123456)


def test_rudder_node_zips_calls_it_a_form_and_says_original_timestamp_only(shop: Shop) -> None:
    """The clock is ten days slow: `sentAt` of call and batch say so, and there is no `timestamp` in the call."""
    slow = NOW - timedelta(days=10)
    call = {
        "type": "page",
        "userId": "u",
        "channel": "server",
        "originalTimestamp": (slow - timedelta(seconds=3)).isoformat().replace("+00:00", "Z"),
        "sentAt": slow.isoformat().replace("+00:00", "Z"),
        "messageId": "m",
        "_metadata": {"nodeVersion": "20.20.2"},
    }
    sent = {"timestamp": slow.isoformat(), "sentAt": slow.isoformat()}
    headers = {"content-type": "application/x-www-form-urlencoded", "content-encoding": "gzip"}
    batch(shop, call, sent=sent, pack=gzip.compress, headers=headers)
    assert event(shop)["occurred_at"] == at(seconds=3)


def test_neither_content_type_nor_encoding_is_believed(shop: Shop) -> None:
    types, encodings = ("text/plain", "application/json", "application/octet-stream", "x", ""), ("", "gzip", "br")
    body = json.dumps({"type": "page", "userId": "u", "writeKey": shop.write_key}).encode()
    for content_type, encoding, pack in itertools.product(types, encodings, (bytes, gzip.compress)):
        headers = {"content-type": content_type} | ({"content-encoding": encoding} if encoding else {})
        answer = shop.http.post("/v1/page", content=pack(body), headers=headers)
        assert (answer.status_code, answer.json()["accepted"]) == (200, 1), (content_type, encoding, pack)


def test_analytics_node_has_long_message_ids_and_metadata(shop: Shop) -> None:
    call = {
        "type": "track",
        "userId": "u",
        "event": "A",
        "messageId": "node-next-1772445600000-5ab0f1a2-2c7c-4c35-9a41-5b29a3f1d6b9",
        "_metadata": {"nodeVersion": "20.20.2", "jsRuntime": "node"},
        "integrations": {},
    }
    told = batch(shop, call, call | {"messageId": "node-next-1772445600000-5ab0f1a2-2c7c-4c35-9a41-5b29a3f1d6ba"})
    assert told["report"] == []


def test_customerio_sends_no_sent_at_and_no_write_key(shop: Shop) -> None:
    batch(shop, {"type": "track", "userId": "u", "event": "A", "timestamp": (NOW - timedelta(hours=1)).isoformat()})
    assert event(shop)["occurred_at"] == at(hours=1)


def test_analytics_js_sends_metadata_and_the_campaign_of_the_address(shop: Shop) -> None:
    call = {
        "type": "page",
        "anonymousId": "device-1",
        "userId": None,
        "context": {"campaign": {"source": "news"}, "page": {"path": "/"}, "userAgentData": {"mobile": False}},
        "_metadata": {"bundled": ["Segment.io"], "unbundled": [], "bundledIds": []},
        "writeKey": shop.write_key,
        "sentAt": NOW.isoformat(),
    }
    headers = {"content-type": "text/plain", "origin": "https://shop.example"}
    answer = shop.http.post("/v1/p", content=json.dumps(call), headers=headers)
    assert answer.json()["accepted"] == 1
    step(shop)
    assert identifiers(shop) == {("anonymous_id", "device-1")}


def test_an_alias_of_an_id_to_itself_does_nothing(shop: Shop) -> None:
    """analytics-next sends `alias('u2')` after `identify('u1')` so."""
    batch(shop, {"type": "alias", "userId": "u1", "previousId": "u1"})
    assert identifiers(shop) == {("user_id", "u1")}
    assert rows(shop.engine, "identity_links") == []


def test_an_alias_joins_two_ids_where_a_server_says_so(shop: Shop) -> None:
    """A page's write key is public: its alias is kept as a claim, and joins no two user ids."""
    calls = ({"type": "page", "userId": "old"}, {"type": "alias", "userId": "new", "previousId": "old"})
    batch(shop, *calls)
    assert customers(shop) == 2
    with shop.engine.database.begin() as connection:
        shop.write_key = sources.ensure(connection, "backend", "server").write_key
    batch(shop, *calls)
    assert customers(shop) == 1
    assert {link["kind"] for link in rows(shop.engine, "identity_links")} == {"alias"}


def test_external_ids_name_a_customer(shop: Shop) -> None:
    """Segment's documentation asks for all four fields; without the last two they are users', in plain."""
    full = {"id": "c-1", "type": "loyalty_card", "collection": "users", "encoding": "none"}
    account = {"id": "acme", "type": "company", "collection": "accounts", "encoding": "none"}
    short = {"id": 7, "type": "crm"}
    batch(shop, {"type": "track", "event": "A", "context": {"externalIds": [full, account, short]}})
    assert identifiers(shop) == {("loyalty_card", "c-1"), ("crm", "7")}


@pytest.mark.parametrize("broken", [{"type": "loyalty_card"}, {"id": "c-1"}, "c-1", {"id": {}, "type": "x"}])
def test_an_external_id_that_names_nobody_puts_the_call_into_quarantine(shop: Shop, broken: Any) -> None:
    call = {"type": "track", "event": "A", "context": {"externalIds": [broken]}}
    answer = shop.http.post("/v1/batch", json={"batch": [call]}, auth=(shop.write_key, ""))
    assert answer.status_code == 200 and answer.json()["quarantined"] == 1
    assert answer.json()["report"][0]["code"] in ("invalid_call", "no_identifier")


def test_the_context_of_a_batch_is_that_of_each_call_which_has_none(shop: Shop) -> None:
    context = {"externalIds": [{"id": "c-1", "type": "loyalty_card", "collection": "users", "encoding": "none"}]}
    batch(shop, {"type": "track", "event": "A"}, sent={"context": context, "integrations": {"All": True}})
    assert identifiers(shop) == {("loyalty_card", "c-1")}


def test_a_trait_set_to_null_is_deleted_and_an_empty_one_is_not(shop: Shop) -> None:
    first = {"type": "identify", "userId": "u", "traits": {"city": "Roma", "phone": "1"}, "messageId": "1"}
    later = {"type": "identify", "userId": "u", "traits": {"city": None, "phone": ""}, "messageId": "2"}
    batch(shop, first | {"timestamp": "2026-03-01T00:00:00Z"}, later | {"timestamp": "2026-03-01T01:00:00Z"})
    (profile,) = rows(shop.engine, "profiles")
    assert json.loads(profile["traits"]) == {"phone": ""}


def test_first_name_is_one_trait_however_it_is_written(shop: Shop) -> None:
    batch(shop, {"type": "identify", "userId": "u", "traits": {"firstName": "A"}})
    batch(shop, {"type": "identify", "userId": "u", "traits": {"first_name": "B"}})
    (trait,) = rows(shop.engine, "traits")
    assert trait["name"] == "first_name"


def test_rudderstacks_merge_is_kept_though_it_cannot_be_taken(shop: Shop) -> None:
    call = {"mergeProperties": [{"type": "email", "value": "a@example.com"}, {"type": "mobile", "value": "1"}]}
    answer = shop.http.post("/v1/merge", json=call, auth=(shop.write_key, ""))
    assert answer.status_code == 200 and answer.json()["quarantined"] == 1
    assert answer.json()["report"][0]["code"] in ("unknown_type", "no_identifier")
