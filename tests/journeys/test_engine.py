"""A journey in the whole engine: an event's own effect is seen in the same step, what steps do outside comes back."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine as Database
from sqlalchemy import text

from onevoice.customers.facts import TRAITS
from onevoice.customers.identifiers import Identifier
from onevoice.delivery import queue
from onevoice.engine.engine import Engine
from onevoice.events import door, sources
from onevoice.events.facts import EVENTS
from onevoice.journeys import handoff, outward, requests, service
from onevoice.journeys.facts import ENROLMENTS
from onevoice.journeys.steps import rewards
from onevoice.kernel.errors import Conflict, InvalidInput, NotFound
from onevoice.kernel.settings import Settings
from onevoice.segments import lists
from onevoice.segments import service as segments
from tests.conftest import NOW, entries_in

SECOND = timedelta(seconds=1)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    made = Engine(settings)
    yield made
    made.close()


def tell(db: Database, user: str, name: str, **properties: Any) -> None:
    """A tracking call has been acknowledged."""
    call = {"userId": user, "event": name, "properties": properties}
    message_id = f"{user}{name}{properties}"
    entry = json.dumps({"type": "track", "message_id": message_id, "occurred_at": NOW.isoformat(), "call": call})
    with db.begin() as connection:
        source = sources.ensure(connection, "shop", "server").id
        door.enter(connection, source, NOW, [(message_id, entry.encode())])


def stepped(engine: Engine, db: Database, at: Any = NOW) -> Any:
    entries_in(db)  # waits until no other test holds the reader back
    return engine.step(at)


def document(name: str, entry: dict[str, Any], *steps: dict[str, Any], **changes: Any) -> dict[str, Any]:
    first = {"kind": "journey", "name": name, "topic": "offers", "holdout": 0.0, "status": "live"}
    return {**first, "entry": entry, "steps": list(steps), **changes}


def test_the_effect_of_an_event_on_segments_is_seen_by_its_journey_in_the_same_step(
    engine: Engine, db: Database
) -> None:
    viewer = {"event": {"name": "Product Viewed", "at_least": 2}}
    branch = {"paths": [{"if": {"segment": {"name": "keen"}}, "steps": [{"id": "k", "update": {"keen": True}}]}]}
    with db.begin() as connection:
        segments.save(connection, {"kind": "segment", "name": "keen", "where": viewer}, NOW)
        service.save(
            connection, document("look", {"event": {"name": "Product Viewed"}}, {"id": "b", "branch": branch}), NOW
        )
        service.save(connection, document("join", {"segment": "keen"}, {"id": "u", "update": {"joined": 1}}), NOW)
    tell(db, "anna", "Product Viewed", n=1)
    tell(db, "anna", "Product Viewed", n=2)
    tell(db, "bea", "Product Viewed", n=1)
    report = stepped(engine, db)
    assert report.ticks[0].entered == {"look": 2, "join": 1}
    assert report.carried_out == 2
    stepped(engine, db, NOW + SECOND)
    traits = {row["name"]: row["value"] for row in engine.warehouse.rows(engine.warehouse.table(TRAITS))}
    assert traits == {"keen": "true", "joined": "1"}


def test_what_steps_do_outside_is_done_once_and_comes_back_by_the_inbox(
    engine: Engine, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[rewards.Reward] = []

    class Points:
        def check(self, asked: Any, place: str) -> None: ...

        def give(self, connection: Any, some: Any) -> None:
            given.extend(some)

    steps = [
        {"id": "e", "event": {"name": "Won Back", "properties": {"a": 1}}},
        {"id": "h", "webhook": {"url": "https://shop.example/hook", "data": {"b": 2}}},
        {"id": "l", "audience": {"add": "won"}},
        {"id": "p", "points": {"amount": 100}},
    ]
    wanted = document("win", {"event": {"name": "Signed Up"}}, *steps)
    with (
        db.begin() as connection,
        pytest.raises(InvalidInput, match=r"nothing here can give `points`.*steps\[3\].points"),
    ):
        service.save(connection, wanted, NOW)
    monkeypatch.setattr(rewards, "HANDLERS", {"points": Points()})
    monkeypatch.setattr(outward, "HANDLERS", rewards.HANDLERS)
    with db.begin() as connection:
        service.save(connection, wanted, NOW)
    tell(db, "anna", "Signed Up")
    assert stepped(engine, db).carried_out == 4
    for second in range(1, 3):
        assert stepped(engine, db, NOW + second * SECOND).carried_out == 0
    events = engine.warehouse.table(EVENTS)
    (won,) = engine.warehouse.rows(events.filter(events.name == "Won Back"))
    assert json.loads(won["properties"]) == {"a": 1, "journey": "win", "step": "e"}
    with db.connect() as connection:
        (call,) = connection.execute(text("SELECT channel, address, variables FROM message")).all()
        assert [one["name"] for one in lists.lists(connection)] == ["won"]
        assert queue.states(connection) == {"queued": 1}
    assert (call.channel, call.address) == ("webhook", "https://shop.example/hook")
    body = json.loads(call.variables)
    assert body["data"]["identifier"] == {"namespace": "user_id", "value": "anna"} and body["data"]["b"] == 2
    assert body["data"]["event"]["name"] == "Signed Up"
    assert [(one.step, one.asked) for one in given] == [("p", {"amount": 100})]


def test_a_hand_off_of_effects_that_was_cut_off_is_done_by_the_next(engine: Engine, db: Database) -> None:
    with db.begin() as connection:
        update = {"id": "u", "update": {"tier": "gold"}}
        service.save(connection, document("win", {"event": {"name": "Signed Up"}}, update), NOW)
    tell(db, "anna", "Signed Up")
    with pytest.raises(KeyboardInterrupt), monkeypatched(outward, "_list"):
        stepped(engine, db)
    assert entries_in(db) == []
    assert stepped(engine, db, NOW + SECOND).carried_out == 1
    assert len(entries_in(db)) == 1


class monkeypatched:
    """Lets a function of a module break off, once."""

    def __init__(self, module: Any, name: str) -> None:
        self.module, self.name, self.real = module, name, getattr(module, name)

    def __enter__(self) -> None:
        def cut(*_: Any) -> None:
            raise KeyboardInterrupt

        setattr(self.module, self.name, cut)

    def __exit__(self, *_: Any) -> None:
        setattr(self.module, self.name, self.real)


def test_a_request_and_a_scanned_code_let_in_whom_they_name_once(engine: Engine, db: Database) -> None:
    anna, bea = Identifier("user_id", "anna"), Identifier("user_id", "bea")
    update = {"id": "u", "update": {"tier": "gold"}}
    with db.begin() as connection:
        service.save(connection, document("asked", {"api": True}, update), NOW)
        service.save(connection, document("scanned", {"code": {"to": "https://shop.example/"}}, update), NOW)
        for _ in range(2):
            requests.request(connection, "asked", anna, NOW, "order-1")
        with pytest.raises(InvalidInput, match="entered by code"):
            requests.request(connection, "scanned", anna, NOW, "order-1")
    stepped(engine, db)
    token = requests.code(b"secret", "scanned", anna)
    with db.begin() as connection:
        assert requests.scan(connection, b"secret", token, NOW) == "https://shop.example/"
        requests.scan(connection, b"secret", requests.code(b"secret", "scanned", bea), NOW, by_machine=True)
    for wrong in (requests.code(b"other", "scanned", anna), token[:-1] + "x", "x", "é"):
        with db.begin() as connection, pytest.raises(NotFound):
            requests.scan(connection, b"secret", wrong, NOW)
    stepped(engine, db, NOW + SECOND)
    rows = engine.warehouse.rows(engine.warehouse.table(ENROLMENTS))
    assert sorted(row["journey"] for row in rows) == ["asked", "scanned"]


def test_nothing_is_carried_out_of_a_journey_that_was_stopped_while_it_was_planned(
    engine: Engine, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [{"id": "u", "update": {"tier": "gold"}}, {"id": "h", "webhook": {"url": "https://shop.example/"}}]
    with db.begin() as connection:
        service.save(connection, document("one", {"event": {"name": "Signed Up"}}, *steps), NOW)
    hand_off = handoff.hand_off

    def stopped_before(warehouse: Any, connection: Any, now: Any) -> int:
        with db.begin() as other:
            service.stop(other, "one", NOW)
        return hand_off(warehouse, connection, now)

    tell(db, "anna", "Signed Up")
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(handoff, "hand_off", stopped_before)
        assert stepped(engine, db).carried_out == 0
    assert stepped(engine, db, NOW + SECOND).carried_out == 0


def test_a_paused_journey_lets_everybody_stand_and_a_stopped_one_takes_all_out(engine: Engine, db: Database) -> None:
    steps = [{"id": "w", "wait": "1 hour"}, {"id": "u", "update": {"tier": "gold"}}]
    with db.begin() as connection:
        for name in ("one", "two"):
            service.save(connection, document(name, {"event": {"name": "Signed Up"}}, *steps), NOW)
    tell(db, "anna", "Signed Up")
    stepped(engine, db)
    with db.begin() as connection:
        service.pause(connection, "one", NOW)
        service.stop(connection, "two", NOW)
        with pytest.raises(Conflict):
            service.launch(connection, "one", NOW)
    assert stepped(engine, db, NOW + timedelta(hours=2)).carried_out == 0
    with db.begin() as connection:
        service.resume(connection, "one", NOW)
    assert stepped(engine, db, NOW + timedelta(hours=3)).carried_out == 1
    rows = engine.warehouse.rows(engine.warehouse.table(ENROLMENTS))
    assert {row["journey"]: row["reason"] for row in rows} == {"one": "completed", "two": "stopped"}


def test_people_finish_on_their_version_move_or_leave_as_the_newest_says(engine: Engine, db: Database) -> None:
    entry = {"event": {"name": "Signed Up"}}

    def steps(value: str) -> list[dict[str, Any]]:
        return [{"id": "w", "wait": "1 hour"}, {"id": "u", "update": {"tier": value}}]

    fates = {"finish": {"w": "finish"}, "leave": {"w": "leave"}, "stay": {}, "move": {"w": "u"}}
    with db.begin() as connection:
        for name in fates:
            service.save(connection, document(name, entry, *steps("old")), NOW)
    tell(db, "anna", "Signed Up")
    stepped(engine, db)
    with db.begin() as connection:
        for name, moves in fates.items():
            service.save(connection, document(name, entry, *steps("new")), NOW, moves)
    stepped(engine, db, NOW + timedelta(hours=2))
    rows = engine.warehouse.rows(engine.warehouse.table(ENROLMENTS))
    found = {row["journey"]: (row["journey_version"], row["reason"]) for row in rows}
    assert found == {
        "finish": (1, "completed"),
        "leave": (1, "step_removed"),
        "stay": (2, "completed"),
        "move": (2, "completed"),
    }
