"""Journeys as code: without loss to YAML and back; what a new version changes, and who moves, finishes or leaves."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine as Database
from typer.testing import CliRunner

from onevoice import warehouse
from onevoice.cli.main import app
from onevoice.engine.load import TABLES
from onevoice.journeys import service, versions
from onevoice.journeys.document import parse, written
from onevoice.journeys.facts import ENROLMENTS
from onevoice.journeys.laid import laid
from onevoice.journeys.leaving import standing
from onevoice.journeys.tick import tick
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.settings import Settings
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.builders import add

FIRST: dict[str, Any] = {
    "kind": "journey",
    "name": "care",
    "entry": {"segment": "dormant"},
    "topic": "offers",
    "holdout": 0.0,
    "steps": [
        {"id": "pause", "wait": "3 days"},
        {"id": "first", "wait": "5 days"},
        {"id": "second", "wait": "5 days"},
        {"id": "greet", "send": {"channel": "email", "template": "hello"}},
    ],
    "status": "live",
}


def without(*gone: str, **changes: Any) -> dict[str, Any]:
    document = deepcopy(FIRST)
    return {**document, "steps": [step for step in document["steps"] if step["id"] not in gone], **changes}


def enrolled(store: Warehouse, **steps: int) -> None:
    """So many people waiting at each step of version 1, due in a week."""
    number = 0
    for step, people in steps.items():
        for _ in range(people):
            number += 1
            at = NOW.replace(tzinfo=None)
            row = {"enrolment_id": f"n{number}", "journey": "care", "journey_version": 1, "identifier_id": number}
            row |= {"customer_id": number, "arm": "treated", "step": f"{step}/held", "state": "active", "reason": ""}
            row |= {"entered_at": at, "due_at": at.replace(day=9), "updated_at": at, "reached_at": at, "passes": 0}
            add(store, ENROLMENTS, row)


def saved(db: Database, *documents: dict[str, Any], moves: dict[str, str] | None = None) -> list[service.SavedJourney]:
    with db.begin() as connection:
        for document in documents:
            service.save(connection, document, NOW, moves if document is documents[-1] else None)
        return versions.all_versions(connection, "care")


def counted(store: Warehouse) -> dict[tuple[int, str], int]:
    return {(version, step): n for (_, version, step), n in standing(store, ["care"]).items()}


MOVES: list[tuple[dict[str, Any], dict[str, str], dict[tuple[int, str], int]]] = [
    # By default who stands at a step that still exists moves; one that is gone is done as its version has it.
    (without("second"), {}, {(2, "first/held"): 2, (1, "second/held"): 3}),
    (without("second", migrate={"second": "leave"}), {}, {(2, "first/held"): 2}),
    (without("second", migrate={"second": "first"}), {}, {(2, "first/held"): 5}),
    (
        without("second", migrate={"second": "first"}),
        {"second": "finish"},
        {(2, "first/held"): 2, (1, "second/held"): 3},
    ),
    (without("pause"), {"first": "leave"}, {(2, "second/held"): 3}),
]


@pytest.mark.parametrize(("document", "moves", "expected"), MOVES)
def test_the_tick_does_what_the_plan_has_said(
    db: Database, duck: Warehouse, document: dict[str, Any], moves: dict[str, str], expected: dict[tuple[int, str], int]
) -> None:
    enrolled(duck, first=2, second=3)
    new, *older = saved(db, FIRST, document, moves=moves)
    before = counted(duck)
    fates = versions.fates(older, laid(new.name, new.version, new.definition, moves=new.moves), before)
    planned: dict[tuple[int, str], int] = {}
    for one in fates:
        place = {"move": (new.version, one.to), "finish": (one.version, one.step)}.get(one.fate)
        if place is not None:
            planned[place] = planned.get(place, 0) + one.people
    tick(duck, [new, *older], NOW)
    assert counted(duck) == planned == expected


def test_who_finishes_a_step_that_is_gone_goes_on_in_the_new_version(db: Database, duck: Warehouse) -> None:
    enrolled(duck, first=1)
    new, *older = saved(db, FIRST, without("first"))
    assert new.moves == {"first": "finish"}
    for now in (NOW, NOW.replace(day=10), NOW.replace(day=10, hour=11)):
        tick(duck, [new, *older], now)
    assert counted(duck) == {(2, "second/held"): 1}


def test_a_move_to_nowhere_is_refused_when_it_is_saved(db: Database) -> None:
    saved(db, FIRST)
    with pytest.raises(InvalidInput, match=r"not 'nowhere'"):
        saved(db, without("second"), moves={"second": "nowhere"})
    with pytest.raises(InvalidInput, match=r"\$\.migrate\.second"):
        saved(db, without("second", migrate={"second": "nowhere"}))


def test_what_changed_is_said_step_by_step() -> None:
    changed = without("second", holdout=0.1, priority=5)
    changed["steps"][0]["wait"] = "4 days"
    changed["steps"].append({"id": "bye", "send": {"channel": "sms", "template": "bye"}})
    found = versions.changes(parse(FIRST), parse(changed))
    assert found == [
        "Hold-out: 10 %. Before: 0 %.",
        "Priority: 5.",
        "Step “pause”: Wait 4 days. Before: Wait 3 days.",
        "Step “bye” is new: Send by SMS with “bye”.",
        "Step “second” is gone: Wait 5 days.",
    ]
    difference = versions.difference(FIRST, changed)
    assert "-  wait: 3 days" in difference and "+  wait: 4 days" in difference
    assert versions.changes(parse(FIRST), parse(FIRST)) == [] and versions.difference(FIRST, FIRST) == ""


def test_a_journey_goes_to_yaml_and_back_without_loss_and_an_earlier_one_comes_back(db: Database) -> None:
    second = without("second", migrate={"second": "leave"}, **{"assert": [{"messages": {"at_most": 2, "per": "week"}}]})
    new, old = saved(db, FIRST, second)
    for one in (new, old):
        assert written(parse(yaml.safe_load(versions.as_yaml(one.definition)))) == one.definition
    with db.begin() as connection:
        assert versions.revert(connection, "care", 1, NOW) == (3, True)
        newest = service.get(connection, "care")
    assert (newest.document.steps, newest.status) == (old.document.steps, "live")


def test_apply_shows_who_is_in_flight_and_wants_a_yes(
    settings: Settings, db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEVOICE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("ONEVOICE_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("ONEVOICE_ENGINE_PORT", "1")  # nobody is there
    saved(db, FIRST)
    store = warehouse.connect(settings.warehouse)
    store.create(TABLES)
    enrolled(store, first=2, second=3)
    store.close()
    file = tmp_path / "care.yaml"
    file.write_text(yaml.safe_dump(without("second")))

    def typed(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*words])
        return done.exit_code, done.stdout

    status, out = typed("plan", str(file))
    assert status == 0 and "Step “second” is gone" in out
    assert "3 people at “second” (waiting) of version 1 do this step as that version has it." in out
    italian = typed("plan", str(file), "--locale", "it")[1]
    assert "Percorso «care»: diventa la versione 2" in italian
    assert "3 persone in «second» (in attesa) della versione 1 compiono questo passo" in italian
    assert (
        json.loads(typed("plan", str(file), "--move", "care.second=leave", "--json")[1])[0]["people"][1]["fate"]
        == "leave"
    )
    assert typed("apply", str(file))[0] != 0
    with db.connect() as connection:
        assert service.get(connection, "care").version == 1
    assert "error hello: " in out  # its template is not there, which holds it back
    assert typed("apply", str(file), "--yes")[0] != 0
    with db.connect() as connection:
        assert service.get(connection, "care").version == 1
    assert typed("apply", str(file), "--yes", "--anyway")[0] == 0
    assert yaml.safe_load(typed("journey", "show", "care", "--yaml")[1])["steps"] == without("second")["steps"]
    assert typed("journey", "revert", "care", "1")[0] == 0
    assert [row["version"] for row in json.loads(typed("journey", "versions", "care", "--json")[1])] == [3, 2, 1]
