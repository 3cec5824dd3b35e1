"""`onevoice journey` as typed in a terminal, beside a running engine with people in a journey."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from onevoice.engine.answers import serve
from onevoice.engine.engine import Engine
from onevoice.journeys import service
from onevoice.journeys.facts import ENROLMENTS
from onevoice.kernel.errors import Conflict, NotFound
from onevoice.kernel.settings import Settings
from onevoice.segments import service as segments
from tests.conftest import NOW
from tests.journeys.builders import GREETING, customer

SEGMENT = {"kind": "segment", "name": "everybody", "where": {"reachable": {"channel": "email"}}}
PAID = {"event": "Paid", "timeout": "1 day", "else": [{"id": "nudge", "send": {"channel": "sms", "template": "n"}}]}
CARE: dict[str, Any] = {
    **GREETING,
    "name": "care",
    "title": "Take care",
    "steps": [{"id": "greet", "send": {"channel": "email", "template": "hello"}}, {"id": "pay", "wait": PAID}],
}


@pytest.fixture
def engine(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Two people in the journey: greeted, or without consent to it; both wait to pay."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("ONEVOICE_ENGINE_PORT", str(port))
    made = Engine(replace(settings, engine_port=port))
    customer(made.warehouse, 1, segment="everybody")
    customer(made.warehouse, 2, segment="everybody", consents=())
    with made.database.begin() as connection:
        segments.save(connection, SEGMENT, NOW)
        service.save(connection, CARE, NOW)
    made.step(NOW)
    server = serve(made)
    yield made
    server.stop()
    made.close()


def told(typed: Any, *words: str) -> Any:
    status, out = typed(*words, "--json")
    assert status == 0
    return json.loads(out)


def test_a_journey_is_listed_and_shown_with_its_steps_in_words(engine: Engine, typed: Any) -> None:
    (row,) = told(typed, "journey", "list")
    assert (row["name"], row["status"], row["version"], row["entered_by"]) == ("care", "live", 1, "segment")
    assert told(typed, "journey", "show", "care")["definition"]["steps"] == CARE["steps"]
    shown = typed("journey", "show", "care", "--locale", "ro")[1]
    assert "Trimite prin e-mail cu „hello”." in shown and "„pay” › nu s-a întâmplat" in shown
    with pytest.raises(NotFound):
        typed("journey", "show", "gone")


def test_figures_are_shown_by_step_and_told_by_key(engine: Engine, typed: Any) -> None:
    figures = told(typed, "journey", "figures", "care")[0]
    assert figures["active"] == {"pay/held": 2} and figures["enrolled"] == 2
    assert [(row["step"], row["reason"], row["n"]) for row in figures["steps"]] == [
        ("greet", "allowed", 1),
        ("greet", "no_consent", 1),
    ]
    shown = typed("journey", "figures", "care")[1]
    assert "“pay” (waiting)" in shown and "pay/held" not in shown
    assert ", “greet”: Not sent on email: consent is none." in typed("why", "2")[1]


def test_a_cascade_tells_whom_it_reached_and_what_it_cost_and_saved(engine: Engine, typed: Any) -> None:
    reach = {"channels": [{"channel": "email", "template": "a", "wait": "1 day"}, {"channel": "sms", "template": "b"}]}
    with engine.database.begin() as connection:
        service.save(connection, {**CARE, "name": "reach", "steps": [{"id": "c", "cascade": reach}]}, NOW)
    engine.step(NOW)
    found = told(typed, "journey", "cascade", "reach", "c")[0]
    assert (found["came"], found["reached"], found["spent"], found["saved"]) == (2, 0, 0.0, 0.0)
    assert found["channels"]["email"]["planned"] == 1
    assert "reach, c: 2 came" in typed("journey", "cascade", "reach", "c")[1]
    with pytest.raises(NotFound, match="no cascade 'greet'"):
        typed("journey", "cascade", "care", "greet")


def test_the_variants_of_a_split_are_compared(engine: Engine, typed: Any) -> None:
    ways = {"variants": [{"name": "short"}, {"name": "long"}], "bandit": {"by": "clicked"}}
    steps = [{"id": "ab", "split": ways}, CARE["steps"][0]]
    with engine.database.begin() as connection:
        service.save(connection, {**CARE, "name": "tried", "steps": steps}, NOW)
    engine.step(NOW)
    found = told(typed, "journey", "variants", "tried", "ab")[0]
    assert found["against"]["variant"] == "short" and found["adaptive"]
    assert found["against"]["n"] + sum(one["n"] for one in found["variants"]) == 2
    dealt = found["dealt"]["variants"]
    assert found["dealt"]["by"] == "clicked" and {one["did"] for one in dealt.values()} == {0}
    assert sum(one["people"] for one in dealt.values()) == 2
    assert sum(one["share"] for one in dealt.values()) == pytest.approx(1)
    printed = typed("journey", "variants", "tried", "ab")[1]
    assert "may be the time's" in printed and "clicked" in printed


def test_a_journey_is_paused_resumed_stopped_launched_anew_and_put_away(engine: Engine, typed: Any) -> None:
    def change(word: str) -> str:
        return str(told(typed, "journey", word, "care")[0]["status"])

    def inside(hours: int) -> int:
        engine.step(NOW + timedelta(hours=hours))
        enrolments = engine.warehouse.table(ENROLMENTS)
        return engine.warehouse.count(enrolments.filter(enrolments.state == "active"))

    assert change("pause") == "paused" and inside(48) == 2  # their time is over, but they stand
    with pytest.raises(Conflict, match="paused"):
        typed("journey", "pause", "care")
    assert change("resume") == "live" and change("stop") == "stopped" and inside(49) == 0
    with pytest.raises(Conflict, match="stopped"):
        typed("journey", "resume", "care")
    assert typed("journey", "launch", "care", "--anyway", "--json")[0] == 0
    assert told(typed, "journey", "list")[0]["status"] == "live"
    assert change("archive") == "archived"


@pytest.mark.parametrize(
    ("move", "left"),
    [("finish", {(1, "pay/held"): 2}), ("leave", {}), ("later", {(2, "later/held"): 2})],
)
def test_people_finish_leave_or_move_as_the_command_says(
    engine: Engine, typed: Any, tmp_path: Path, move: str, left: dict[tuple[int, str], int]
) -> None:
    file = tmp_path / "care.yaml"
    file.write_text(yaml.safe_dump({**CARE, "steps": [CARE["steps"][0], {"id": "later", "wait": "9 days"}]}))
    option = ("--move", f"care.pay={move}")
    (fate,) = told(typed, "plan", str(file), *option)[0]["people"]
    assert (fate["people"], fate["fate"]) == (2, move if move != "later" else "move")
    told(typed, "apply", str(file), *option, "--yes", "--anyway")
    engine.step(NOW + timedelta(hours=1))
    rows = engine.warehouse.rows(engine.warehouse.table(ENROLMENTS))
    found = [(row["journey_version"], row["step"]) for row in rows if row["state"] == "active"]
    assert {one: found.count(one) for one in found} == left
    assert [row["version"] for row in told(typed, "journey", "versions", "care")] == [2, 1]
    told(typed, "journey", "revert", "care", "1")
    assert told(typed, "journey", "show", "care")["definition"]["steps"] == CARE["steps"]
