"""Delivery over HTTP and in the terminal: how it stands, pausing, cancelling, a person's word on what is in doubt."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient
from typer.testing import CliRunner

from onevoice.api.app import application
from onevoice.cli.main import app
from onevoice.delivery import breakers, queue
from onevoice.delivery.breakers import Tally
from onevoice.delivery.queue import Settlement
from onevoice.demo.doubles import Doubles
from onevoice.kernel.settings import Settings
from tests.conftest import NOW
from tests.delivery.builders import message_id, queued
from tests.delivery.sending import at_now, states

THROTTLES = {"provider": {"email": "20/second"}, "domain": {"*": 5}}


@pytest.fixture
def http(settings: Settings, db: Engine) -> Iterator[TestClient]:
    ready = at_now(settings, channels=Doubles().channels(), throttles=THROTTLES)
    with TestClient(application(ready)) as client:
        client.headers["authorization"] = f"Bearer {(ready.data_dir / 'api-key').read_text().strip()}"
        yield client


def in_doubt(db: Engine, *numbers: int) -> None:
    with db.begin() as connection:
        queue.add(connection, [queued(number) for number in numbers])
        queue.beat(connection, "w")
        taken = queue.lease(connection, "w", queue.sole("email"), 99, NOW)
        queue.settle(connection, "w", [Settlement(one.id, one.attempts, "in_doubt") for one in taken], NOW)


def test_how_delivery_stands_is_told_with_pace_breaker_and_oldest(http: TestClient, db: Engine) -> None:
    with db.begin() as connection:
        queue.add(connection, [queued(1), queued(2, not_before=NOW.replace(year=2030))])
        breakers.note(connection, {"sms": Tally(ill=9, reason="20003 Authenticate", alarm=True)}, NOW)
    told = http.get("/v1/delivery").json()
    assert (told["queued"], told["due"], told["oldest_waiting_seconds"], told["workers"]) == (2, 1, 60.0, 0)
    shown = {row["provider"]: row for row in told["providers"]}
    assert (shown["sms"]["breaker"], shown["sms"]["reason"]) == ("open", "20003 Authenticate")
    assert (shown["email"]["breaker"], shown["email"]["most_per_second"]) == ("closed", 20.0)
    assert {row["throttle"]: row["per_second"] for row in told["throttles"]} == {
        "domain:*": 5.0,
        "provider:email": 20.0,
    }
    assert http.post("/v1/delivery/providers/sms/close").status_code == 204
    assert http.post("/v1/delivery/providers/none/close").status_code == 404
    assert {row["breaker"] for row in http.get("/v1/delivery").json()["providers"]} == {"closed"}


def test_pausing_is_shown_and_taken_back_and_cancelling_says_what_it_did(http: TestClient, db: Engine) -> None:
    with db.begin() as connection:
        queue.add(connection, [queued(1), queued(2, journey="other")])
    paused = http.post("/v1/delivery/pause", json={"journey": "welcome"}).json()
    assert paused["scope"] == {"journey": "welcome"}
    assert [hold["action"] for hold in http.get("/v1/delivery").json()["holds"]] == ["pause"]
    assert http.post("/v1/delivery/resume", json={}).status_code == 404
    assert http.post("/v1/delivery/resume", json={"journey": "welcome"}).json() == {"queued_again": 0}
    done = http.post("/v1/delivery/cancel", json={"message_id": str(message_id(1))}).json()
    assert (done["cancelled"], done["being_sent"]) == (1, 0)
    assert states(db) == {"queued": 1, "skipped": 1}
    assert http.post("/v1/delivery/pause", json={"step": "reach"}).status_code == 400


def test_what_is_in_doubt_is_listed_and_settled(http: TestClient, db: Engine) -> None:
    in_doubt(db, 1, 2)
    listed = http.get("/v1/delivery/in-doubt").json()
    assert {row["id"] for row in listed} == {str(message_id(1)), str(message_id(2))}
    word = {"message_ids": [str(message_id(1)), str(message_id(7))], "sent": True}
    assert http.post("/v1/delivery/in-doubt", json=word).json() == {"settled": [str(message_id(1))]}
    assert states(db) == {"accepted": 1, "in_doubt": 1}


def test_the_same_in_a_terminal(settings: Settings, db: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = replace(settings, channels=Doubles().channels(), throttles=THROTTLES)
    monkeypatch.setenv("ONEVOICE_DATABASE_URL", ready.database_url)
    monkeypatch.setenv("ONEVOICE_DATA_DIR", str(ready.data_dir))
    monkeypatch.setenv("ONEVOICE_CHANNELS", json.dumps(ready.channels))
    monkeypatch.setenv("ONEVOICE_THROTTLES", json.dumps(THROTTLES))

    def typed(*words: str) -> Any:
        result = CliRunner().invoke(app, ["delivery", *words])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout

    in_doubt(db, 1, 2)
    with db.begin() as connection:
        queue.add(connection, [queued(3)])
    assert typed("pause", "--all")[0] == 0
    told = json.loads(typed("status", "--json")[1])
    assert (told["in_doubt"], told["queued"], told["holds"][0]["scope"]) == (2, 1, "everything")
    assert "email" in typed("status")[1]
    assert typed("resume", "--all")[0] == 0
    assert json.loads(typed("cancel", "--journey", "welcome", "--yes", "--json")[1])[0]["cancelled"] == 1
    assert {row["id"] for row in json.loads(typed("in-doubt", "--json")[1])} == {str(message_id(n)) for n in (1, 2)}
    assert typed("resolve", str(message_id(1)), "--sent")[0] == 0
    assert typed("resolve", str(message_id(1)), str(message_id(2)), "--not-sent")[0] == 1
    assert states(db) == {"accepted": 1, "queued": 1, "skipped": 1}
