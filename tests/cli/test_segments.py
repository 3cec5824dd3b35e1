"""`onevoice segment` as typed in a terminal, beside a running engine."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from onevoice.customers.facts import PROFILES, TRAITS
from onevoice.engine.answers import serve
from onevoice.engine.engine import Engine
from onevoice.kernel.errors import Conflict, NotFound
from onevoice.kernel.settings import Settings
from onevoice.segments import service
from tests.conftest import NOW
from tests.journeys.builders import add

ROMANS = {"name": "romans", "where": {"trait": {"name": "city", "equals": "Roma"}}}
OTHERS = {"name": "others", "where": {"not": {"segment": {"name": "romans"}}}}


@pytest.fixture
def engine(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Anna of Rome and Ben of Milan; the segments of Romans and of all others, computed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("ONEVOICE_ENGINE_PORT", str(port))
    made = Engine(replace(settings, engine_port=port))
    for number, (name, city) in enumerate((("Anna", "Roma"), ("Ben", "Milano")), 1):
        known = {"locale": "en", "time_zone": "UTC", "traits": "{}", "first_seen_at": NOW}
        add(made.warehouse, PROFILES, customer_id=number, first_name=name, **known)
        told = {"name": "city", "value": json.dumps(city), "occurred_at": NOW, "event_id": f"e{number}"}
        add(made.warehouse, TRAITS, identifier_id=number, customer_id=number, **told)
    with made.database.begin() as connection:
        for document in (ROMANS, OTHERS):
            service.save(connection, document, NOW)
    made.step(NOW)
    server = serve(made)
    yield made
    server.stop()
    made.close()


def test_segments_are_listed_shown_explained_and_tried(engine: Engine, typed: Any, tmp_path: Path) -> None:
    listed = json.loads(typed("segment", "list", "--json")[1])
    assert [(row["name"], row["size"], row["error"]) for row in listed] == [("others", 1, None), ("romans", 1, None)]
    shown = json.loads(typed("segment", "show", "romans", "--json")[1])
    assert shown["size"] == 1 and shown["definition"] == ROMANS and shown["sample"][0]["customer_id"] == "1"
    status, said = typed("segment", "explain", "others", "1")
    assert status == 0 and said.startswith("✗")
    assert json.loads(typed("segment", "explain", "romans", "1", "--json")[1])["holds"] is True
    file = tmp_path / "tried.yaml"
    file.write_text("where: {trait: {name: city, one_of: [Roma, Milano]}}")
    tried = json.loads(typed("segment", "preview", str(file), "--json")[1])
    assert tried["size"] == 2 and {row["segment"]: row["both"] for row in tried["overlap"]} == {
        "others": 1,
        "romans": 1,
    }


def test_a_deletion_is_refused_where_it_is_needed_and_undone_where_it_was_not_meant(typed: Any, engine: Engine) -> None:
    with pytest.raises(Conflict, match="segment romans → segment others"):
        typed("segment", "delete", "romans")
    assert "Undo: onevoice segment restore others" in typed("segment", "delete", "others")[1]
    assert [row["name"] for row in json.loads(typed("segment", "list", "--archived", "--json")[1])] == ["others"]
    with pytest.raises(NotFound, match="restore it first"):
        typed("segment", "show", "others")
    assert json.loads(typed("segment", "restore", "others", "--json")[1]) == [
        {"name": "others", "version": 2, "changed": True}
    ]


def test_versions_are_listed_and_compared_and_an_earlier_one_comes_back(engine: Engine, typed: Any) -> None:
    with engine.database.begin() as connection:
        service.save(connection, {**ROMANS, "where": {"trait": {"name": "city", "equals": "Rieti"}}}, NOW, by="Anna")
    rows = json.loads(typed("segment", "versions", "romans", "--json")[1])
    assert [(row["version"], row["saved_by"]) for row in rows] == [(2, "Anna"), (1, "")]
    lines = typed("segment", "versions", "romans", "--diff", "1", "2")[1].splitlines()
    assert "-    equals: Roma" in lines and "+    equals: Rieti" in lines
    typed("segment", "restore", "romans", "--version", "1")
    assert json.loads(typed("segment", "versions", "romans", "--json")[1])[0]["definition"] == ROMANS
