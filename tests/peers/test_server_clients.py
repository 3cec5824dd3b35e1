"""Segment's and RudderStack's own server clients against the real api: what they send lands, once, whatever happens."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from onevoice.kernel.settings import Settings
from tests.peers.serving import SCENE, Fault, Shop, play, shop

SCRIPTS = ("segment_python.py", "rudder_python.py", "segment_node.js", "rudder_node.js")


@pytest.fixture
def running(settings: Settings) -> Iterator[Shop]:
    with shop(settings, "server") as made:
        yield made


@pytest.mark.parametrize("script", SCRIPTS)
def test_all_that_a_client_sends_lands_in_the_warehouse(running: Shop, script: str) -> None:
    told = play(script, running.proxy.url, running.write_key)
    assert told == {"calls": 8, "failed": []}
    assert {one.status for one in running.proxy.posts()} == {200}
    running.load(8)
    assert_scene_landed(running)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("fault", ["refuse", "forget"])
def test_a_client_that_must_repeat_leaves_exactly_one_copy(running: Shop, script: str, fault: Fault) -> None:
    running.proxy.faults += [fault, fault]
    told = play(script, running.proxy.url, running.write_key)
    assert told == {"calls": 8, "failed": []}
    statuses = [one.status for one in running.proxy.posts()]
    assert statuses.count(503) == 2 and statuses[-1] == 200
    running.load(8)
    assert_scene_landed(running)


@pytest.mark.parametrize("script", ["segment_node.js", "rudder_node.js"])
def test_a_client_whose_clock_is_days_off_is_put_right(running: Shop, script: str) -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    play(script, running.proxy.url, running.write_key, clock_off_seconds=-5 * 86_400)
    running.load(8)
    after = datetime.now(UTC).replace(tzinfo=None)
    for event in running.rows("events"):
        if event["name"] != "Long ago":
            assert before - timedelta(seconds=2) <= event["occurred_at"] <= after, event


def test_a_write_key_that_is_unknown_is_told_at_once(running: Shop) -> None:
    for script in SCRIPTS:
        told = play(script, running.proxy.url, "nobody")
        assert len(told["failed"]) > 0
    posts = running.proxy.posts()
    assert {one.status for one in posts} == {401}
    per_client: dict[str, int] = {}
    for one in posts:
        messages = json.loads(_plain(one.body))["batch"]
        for message in messages:
            per_client[message["messageId"]] = per_client.get(message["messageId"], 0) + 1
    assert set(per_client.values()) == {1}, "a 401 must not be repeated"


def test_segments_python_client_may_zip(running: Shop) -> None:
    told = play("segment_python.py", running.proxy.url, running.write_key, "--gzip")
    assert told == {"calls": 8, "failed": []}
    assert all(one.body[:2] == b"\x1f\x8b" for one in running.proxy.posts())
    running.load(8)
    assert_scene_landed(running)


def _plain(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


def assert_scene_landed(shop: Shop, aliases: int = 1, alias_is_believed: bool = True) -> None:
    """Events, traits, the order, one customer with all identifiers, and times, as the scene has them; each once.

    An alias joins two user ids where a server says so; a page's key is public, so that anybody could claim it.
    """
    events = shop.rows("events")
    by_name = {(event["type"], event["name"]): event for event in events}
    assert len(by_name) + aliases - 1 == len(events), "something came twice"
    assert set(by_name) == {
        ("page", SCENE["page"]),
        ("identify", ""),
        ("track", SCENE["event"]),
        ("track", "Order Completed"),
        ("track", "Long ago"),
        ("screen", SCENE["screen"]),
        ("group", ""),
        ("alias", ""),
    }
    for key in (("page", SCENE["page"]), ("track", SCENE["event"]), ("screen", SCENE["screen"])):
        properties = json.loads(by_name[key]["properties"])
        assert {name: properties.get(name, "absent") for name in SCENE["properties"]} == SCENE["properties"], key
    assert json.loads(by_name["group", ""]["properties"]).items() >= SCENE["traits"].items()

    traits = {row["name"]: row["value"] and json.loads(row["value"]) for row in shop.rows("traits")}
    assert traits == {"first_name" if name == "firstName" else name: value for name, value in SCENE["traits"].items()}
    assert len({event["customer_id"] for event in events}) == 1
    customers = {(row["namespace"], row["value"]): row["customer_id"] for row in shop.rows("identifiers")}
    user, previous = ("user_id", SCENE["user"]), ("user_id", SCENE["previous"])
    device = ("anonymous_id", SCENE["anonymous"])
    assert set(customers) == {user, previous, device}
    assert customers[user] == customers[device]
    assert (customers[previous] == customers[user]) is alias_is_believed
    (order,) = shop.rows("orders")
    assert (order["order_id"], order["currency"], float(order["revenue"])) == ("O-1 №7", "EUR", 19.0)

    old = datetime.fromisoformat(SCENE["old"]).replace(tzinfo=None)
    assert abs(by_name["track", "Long ago"]["occurred_at"] - old) < timedelta(seconds=60)
    for event in events:
        if event["name"] != "Long ago":
            assert abs(event["occurred_at"] - event["received_at"]) < timedelta(seconds=60), event
