"""A stop stops within two seconds whatever is handed over meanwhile, and leaves nothing of the journey to send."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine as Database
from sqlalchemy import text

from onevoice.customers import consent
from onevoice.customers.consent import Consent
from onevoice.delivery import queue
from onevoice.demo.doubles import Doubles
from onevoice.engine.engine import Engine
from onevoice.journeys import outward, service
from onevoice.kernel.settings import Settings
from tests.conftest import NOW, entries_in
from tests.delivery.builders import queued
from tests.delivery.sending import at_now, send_all
from tests.delivery.test_holds import MESSAGES, stopped_under_way
from tests.journeys.test_engine import document, stepped, tell

STEP = {"id": "reach", "send": {"channel": "email", "template": "hello"}}


def test_while_a_hand_off_is_held_open(settings: Settings, db: Database) -> None:
    later = [queued(number) for number in range(MESSAGES, MESSAGES + 50)]
    with db.begin() as connection:
        service.save(connection, document("welcome", {"event": {"name": "Signed Up"}}, STEP), NOW)
        at = NOW - timedelta(days=1)
        agreed = (Consent(one.identifier_id, "email", "offers", "granted", at, "form") for one in later)
        consent.record(connection, agreed, NOW)
    with db.connect() as held, held.begin() as handing_over:

        def stop() -> None:
            queue.enqueue(held, map(queue.line, later), 2, partial(service.over, held))
            with db.begin() as connection:
                service.stop(connection, "welcome", NOW)

        began, soon, after = stopped_under_way(settings, db, stop)
        assert began <= soon == after < MESSAGES
        handing_over.commit()
    with Doubles() as doubles:
        assert send_all(at_now(settings, channels={"email": doubles.channels()["email"]}), db) == {
            "accepted": after,
            "skipped": MESSAGES + len(later) - after,
        }
        assert not doubles.smtp.received
    with db.connect() as connection:
        reasons = connection.scalars(text("SELECT DISTINCT error_code FROM message WHERE state = 'skipped'")).all()
    assert reasons == ["cancelled"]


def test_while_what_steps_do_outside_is_being_carried_out(
    settings: Settings, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [{"id": "u", "update": {"tier": "gold"}}, {"id": "h", "webhook": {"url": "https://shop.example/"}}]
    with db.begin() as connection:
        for name in ("one", "two"):
            service.save(connection, document(name, {"event": {"name": "Signed Up"}}, *steps), NOW)
    real, stops = outward._list, ["one"]

    def stopped_meanwhile(*given: Any) -> None:
        if stops:
            with db.begin() as connection:  # nobody who stops a journey waits
                service.stop(connection, stops.pop(), NOW)
        real(*given)

    monkeypatch.setattr(outward, "_list", stopped_meanwhile)
    tell(db, "anna", "Signed Up")
    engine = Engine(settings)
    try:
        assert stepped(engine, db).carried_out == 2
    finally:
        engine.close()
    with db.connect() as connection:
        assert connection.scalars(text("SELECT journey FROM message")).all() == ["two"]
    assert len(entries_in(db)) == 1
