"""A back-test as it is asked for and kept, by command line and API; nothing of it leaves the machine."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine as Database
from sqlalchemy import func, select
from typer.testing import CliRunner

from onevoice import warehouse
from onevoice.cli.main import app
from onevoice.database.inbox import inbox
from onevoice.delivery.models import message
from onevoice.engine import backtests as running
from onevoice.engine.load import TABLES
from onevoice.journeys import backtests, service
from onevoice.kernel.clock import FixedClock
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.settings import Settings
from onevoice.segments import service as segments
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.backtest import world
from tests.journeys.backtest.world import DAY, SECRET, Shop

SHOP = {
    "kind": "segment",
    "name": "reachable",
    "where": {"trait": {"name": "email", "exists": True}},
}
GREETING: dict[str, Any] = {
    "kind": "journey",
    "name": "hello",
    "entry": {"segment": "reachable"},
    "topic": "offers",
    "holdout": 0.0,
    "steps": [{"id": "greet", "send": {"channel": "email", "template": "hello"}}],
    "assert": [
        {"messages": {"at_most": 0, "per": "week"}},
        {"entries": {"at_least": 1}},
        {"never": {"after": "Order Completed"}},
        {"nobody_in": "reachable"},
    ],
}


@pytest.fixture(scope="module")
def shop() -> Warehouse:
    """A shop's warehouse; a back-test changes nothing in it, so one does for all."""
    made = Shop()
    made.take([one for one in world.drawn(3, people=8) if one.at <= NOW])
    return made.store


def asked(db: Database, document: dict[str, Any], **options: Any) -> Any:
    with db.begin() as connection:
        segments.save(connection, SHOP, NOW)
        return backtests.ask(connection, document, NOW, start=NOW - DAY, **options)


def result(db: Database, number: Any) -> dict[str, Any]:
    with db.connect() as connection:
        return backtests.one(connection, number)


def test_the_engine_runs_it_and_nothing_leaves(db: Database, shop: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    number = asked(db, GREETING)
    before = {facts.name: shop.count(shop.table(facts)) for facts in TABLES}
    connected: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: connected.append(address))
    assert running.run_next(shop, db, SECRET, FixedClock(NOW))
    found = result(db, number)
    assert (found["state"], found["progress"], connected) == ("done", 1.0, [])
    assert {facts.name: shop.count(shop.table(facts)) for facts in TABLES} == before
    with db.connect() as connection:
        for table in (message, inbox):
            assert connection.scalar(select(func.count()).select_from(table)) == 0
    told = found["result"]
    assert told["messages"]["messages"] == sum(row["messages"] for row in told["channels"]) > 0
    assert told["people"]["entered"] == sum(row["entered"] for row in told["entries"])
    assert told["per_person"]["messages"] == {"1": told["messages"]["messages"]}
    assert not running.run_next(shop, db, SECRET, FixedClock(NOW))


def test_an_assertion_that_is_broken_names_somebody_with_their_timeline(db: Database, shop: Warehouse) -> None:
    number = asked(db, GREETING)
    running.run_next(shop, db, SECRET, FixedClock(NOW))
    many, entries, never, nobody = result(db, number)["result"]["checks"]
    assert (many["holds"], entries["holds"], never["holds"], nobody["holds"]) == (False, True, True, False)
    assert many["example"]["customer_id"] == nobody["example"]["customer_id"]
    words = [one["what"] for one in many["example"]["timeline"]]
    assert words[0] == "entered" and "decided" in words
    assert entries["example"] is None and nobody["figures"]["messages"] > 0
    with db.connect() as connection:
        checks = backtests.one(connection, number, "it")["result"]["checks"]
    assert checks[0]["said"] == "Nessuno riceve più di 0 messaggi in qualsiasi periodo di 7 giorni."
    assert "il massimo: 1 messaggio." in checks[0]["found"]


def test_one_that_waits_can_be_given_up_and_one_that_fails_says_why(db: Database, shop: Warehouse) -> None:
    number = asked(db, GREETING)
    with db.begin() as connection:
        backtests.cancel(connection, number, NOW)
    assert not running.run_next(shop, db, SECRET, FixedClock(NOW))
    assert result(db, number)["state"] == "cancelled"
    with pytest.raises(InvalidInput, match="no segment gone"):
        asked(db, {**GREETING, "entry": {"segment": "gone"}})
    with pytest.raises(InvalidInput, match="looks back"):
        asked(db, GREETING, end=NOW + DAY)


def test_what_an_engine_began_that_was_killed_is_begun_again(db: Database, shop: Warehouse) -> None:
    number = asked(db, GREETING)
    with db.begin() as connection:
        assert backtests.take(connection, NOW) is not None
        backtests.resume(connection)
    assert running.run_next(shop, db, SECRET, FixedClock(NOW))
    assert result(db, number)["state"] == "done"


def test_the_command_runs_it_alone_and_fails_where_an_assertion_is_broken(
    settings: Settings, db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEVOICE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("ONEVOICE_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("ONEVOICE_ENGINE_PORT", "1")  # nobody is there
    store = warehouse.connect(settings.warehouse)
    store.create(TABLES)
    store.close()
    file = tmp_path / "hello.yaml"
    file.write_text(yaml.safe_dump_all([SHOP, GREETING]))
    window = ("--from", "2026-02-27", "--to", "2026-03-01")
    done = CliRunner().invoke(app, ["backtest", str(file), *window, "--check", "--json"])
    told = json.loads(done.stdout)
    assert done.exit_code == 1  # nobody is there, so nobody came in
    assert [check["holds"] for check in told["checks"]] == [True, False, True, True]
    arabic = CliRunner().invoke(app, ["backtest", str(file), *window, "--locale", "ar"]).stdout
    assert "غير متحقق عدد الداخلين: 1 على الأقل." in arabic
    with db.begin() as connection:
        segments.save(connection, SHOP, NOW)
        service.save(connection, {**GREETING, "assert": []}, NOW)
    done = CliRunner().invoke(app, ["backtest", "hello", *window, "--check"])
    assert (done.exit_code, "Nothing was sent" in done.stdout) == (0, True)
