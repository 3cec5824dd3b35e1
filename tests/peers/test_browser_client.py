"""Segment's browser client in a real Chromium, on a page of another origin: what it sends lands, once.

It is told nothing but the api's address and the write key: all else it learns from the settings it fetches.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from onevoice.kernel.settings import Settings
from tests.peers.serving import Fault, Shop, play, shop
from tests.peers.test_server_clients import assert_scene_landed

CLIENT = "segment_browser.js"
CALLS = 9
"""The scene's eight, and an alias of the user to themselves, which must do nothing."""


@pytest.fixture
def running(settings: Settings) -> Iterator[Shop]:
    with shop(settings) as made:
        yield made


@pytest.mark.parametrize("strategy", ["standard", "batching"])
def test_all_that_a_page_sends_lands_in_the_warehouse(running: Shop, strategy: str) -> None:
    told = play(CLIENT, running.proxy.url, running.write_key, strategy)
    assert told["failed"] == [] and told["answered"] == CALLS, told
    assert told["said"] == [], "the page's console must be silent"
    paths = {one.path for one in running.proxy.posts()}
    assert paths == ({"/v1/b"} if strategy == "batching" else {f"/v1/{letter}" for letter in "pitsga"})
    assert any(one.method == "OPTIONS" and one.status == 204 for one in running.proxy.passed), "no preflight was asked"
    running.load(CALLS)
    assert_scene_landed(running, aliases=2, alias_is_believed=False)


@pytest.mark.parametrize("strategy", ["standard", "batching"])
@pytest.mark.parametrize("fault", ["refuse", "forget"])
def test_a_page_that_must_repeat_leaves_exactly_one_copy(running: Shop, strategy: str, fault: Fault) -> None:
    running.proxy.faults += [fault, fault]
    told = play(CLIENT, running.proxy.url, running.write_key, strategy)
    assert told["answered"] == CALLS, told
    assert [one.status for one in running.proxy.posts()].count(503) == 2
    running.load(CALLS)
    assert_scene_landed(running, aliases=2, alias_is_believed=False)


def test_a_page_on_a_machine_whose_clock_is_days_off_is_put_right(running: Shop) -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    play(CLIENT, running.proxy.url, running.write_key, "batching", clock_off_seconds=4 * 86_400)
    running.load(CALLS)
    after = datetime.now(UTC).replace(tzinfo=None)
    bodies = [json.loads(one.body) for one in running.proxy.posts()]
    assert all(body["sentAt"] > (datetime.now(UTC) + timedelta(days=3)).isoformat() for body in bodies)
    for event in running.rows("events"):
        if event["name"] != "Long ago":
            assert before - timedelta(seconds=2) <= event["occurred_at"] <= after, event


def test_a_page_with_an_unknown_write_key_is_told_so(running: Shop) -> None:
    told = play(CLIENT, running.proxy.url, "nobody", "standard")
    assert told["answered"] == 0 and "no source with this write key" in told["failed"][0]
