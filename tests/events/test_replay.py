"""What was quarantined is corrected and taken again, as if it had come at its own time; the past stays readable."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from onevoice.database.inbox import Kind
from onevoice.events import door, plans, quarantine, replay, sources, tracking
from onevoice.events.plans import plan
from onevoice.events.quarantine import Held, Refused
from onevoice.events.vocabulary import EventEntry
from onevoice.kernel.errors import Conflict, InvalidInput, NotFound
from tests.conftest import NOW, entries_in

STRICT = {
    "Product Viewed": plan({"name": "Product Viewed", "on_violation": "quarantine", "schema": {"required": ["sku"]}})
}
LATER = NOW + timedelta(days=3)


@pytest.fixture
def source(db: Engine) -> int:
    with db.begin() as connection:
        return sources.ensure(connection, "shop", "web").id


@pytest.fixture
def refused(db: Engine, source: int) -> Callable[..., Held]:
    """Sends a body that is refused, and gives what is kept of it."""

    def send(body: dict[str, Any], call_type: str | None = None, planned: Any = ()) -> Held:
        request = tracking.read(json.dumps(body).encode(), call_type)
        intake = tracking.take(request, source, NOW, dict(planned))
        with db.begin() as connection:
            quarantine.add(connection, intake.brought.refused)
            return quarantine.listed(connection)[0]

    return send


def again(db: Engine, held: Held, corrected: Any = None, planned: Any = ()) -> str:
    with db.begin() as connection:
        payload = None if corrected is None else json.dumps(corrected).encode()
        return replay.replay(connection, held.number, LATER, dict(planned), payload)


def taken(db: Engine) -> list[EventEntry]:
    return [
        msgspec.json.decode(line, type=EventEntry) for entry in entries_in(db) for line in entry.payload.split(b"\n")
    ]


def test_a_corrected_call_is_taken_with_the_type_and_the_clock_of_its_request(
    db: Engine, refused: Callable[..., Held]
) -> None:
    call = {"event": "", "userId": "u", "messageId": "m1", "timestamp": "2026-03-02T11:00:00Z"}
    held = refused(call | {"sentAt": "2026-03-02T11:00:10Z"}, "track")
    assert held.refused.reason == "no_event_name"

    assert again(db, held, call | {"event": "Seen", "sentAt": "2026-03-02T11:00:10Z"}) == "replayed"

    (entry,) = taken(db)
    assert (entry.type, entry.message_id) == ("track", "m1")
    assert entry.occurred_at == NOW - timedelta(seconds=10)  # the sender's clock was an hour fast
    with db.connect() as connection:
        assert quarantine.listed(connection) == []
        (kept,) = quarantine.listed(connection, state="replayed")
    assert kept.resolved_at == LATER and json.loads(kept.refused.payload)["event"] == ""


def test_a_call_of_a_batch_keeps_the_batchs_clock_and_context(db: Engine, refused: Callable[..., Held]) -> None:
    external = {"id": "c1", "type": "loyalty_card", "collection": "users", "encoding": "none"}
    call = {"type": "track", "messageId": "m1", "timestamp": "2026-03-02T11:00:00Z"}
    held = refused({"batch": [call], "sentAt": "2026-03-02T11:00:20Z", "context": {"externalIds": [external]}})

    again(db, held, call | {"event": "Seen"})

    (entry,) = taken(db)
    assert entry.occurred_at == NOW - timedelta(seconds=20)
    assert json.loads(bytes(entry.context))["externalIds"] == [external]


def test_what_is_still_at_fault_stays_and_says_why(db: Engine, refused: Callable[..., Held]) -> None:
    held = refused({"userId": "null", "event": "Seen"}, "track")

    with pytest.raises(InvalidInput, match="userId"):
        again(db, held)
    with pytest.raises(InvalidInput, match="Not a tracking call"):
        again(db, held, [1])

    assert taken(db) == []
    with db.connect() as connection:
        assert [one.number for one in quarantine.listed(connection)] == [held.number]


def test_a_plan_that_was_relaxed_lets_in_what_it_kept_out(db: Engine, refused: Callable[..., Held]) -> None:
    held = refused({"userId": "u", "event": "Product Viewed", "messageId": "m"}, "track", STRICT)
    assert (held.refused.reason, "sku" in held.refused.detail) == ("plan_violation", True)

    with pytest.raises(InvalidInput, match="sku"):
        again(db, held, planned=STRICT)
    relaxed = {
        "Product Viewed": plan({"name": "Product Viewed", "on_violation": "warn", "schema": {"required": ["sku"]}})
    }

    assert again(db, held, planned=relaxed) == "replayed"
    with db.connect() as connection:
        (warning,) = plans.warnings(connection)
    assert (warning["event"], warning["times"], warning["example"]) == ("Product Viewed", 1, "m")


def test_an_event_that_came_again_in_the_meantime_is_not_taken_twice(
    db: Engine, source: int, refused: Callable[..., Held]
) -> None:
    held = refused({"userId": "u", "event": "", "messageId": "m1"}, "track")
    line = b'{"type":"page","message_id":"m1","occurred_at":"2026-03-02T10:00:00+00:00","call":{"userId":"u"}}'
    with db.begin() as connection:
        door.enter(connection, source, NOW, [("m1", line)])

    assert again(db, held, {"userId": "u", "event": "Seen", "messageId": "m1"}) == "deduplicated"
    assert len(taken(db)) == 1


def test_what_the_load_set_aside_goes_back_though_the_door_knows_it(db: Engine, source: int) -> None:
    line = b'{"type":"page","message_id":"m1","occurred_at":"2026-03-02T10:00:00+00:00","call":{"userId":"u"}}'
    with db.begin() as connection:
        door.enter(connection, source, NOW, [("m1", line)])
        connection.exec_driver_sql("DELETE FROM inbox")
        quarantine.add(connection, [Refused(source, NOW, "load", "The load could not take it", line, Kind.EVENT)])
        (held,) = quarantine.listed(connection)

    assert again(db, held) == "replayed"
    assert [entry.message_id for entry in taken(db)] == ["m1"]


def test_an_entry_is_discarded_opened_again_and_taken_once(db: Engine, refused: Callable[..., Held]) -> None:
    held = refused({"userId": "u", "event": "", "messageId": "m1"}, "track")
    good = {"userId": "u", "event": "Seen", "messageId": "m1"}
    with db.begin() as connection:
        replay.discard(connection, held.number, LATER)
    with pytest.raises(Conflict, match="discarded"):
        again(db, held, good)
    with db.begin() as connection:
        replay.reopen(connection, held.number, LATER)
    again(db, held, good)
    for attempt in (replay.discard, replay.reopen):
        with db.begin() as connection, pytest.raises(Conflict):
            attempt(connection, held.number, LATER)
    with pytest.raises(Conflict, match="replayed"):
        again(db, held, good)
    with db.begin() as connection, pytest.raises(NotFound):
        replay.replay(connection, 4711, datetime.now(UTC), {})
