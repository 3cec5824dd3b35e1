"""What is too old for its purpose goes, a dry run says beforehand what, and the inactive are erased with a report."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine as Database

from onevoice.engine.engine import Engine
from onevoice.events.facts import EVENTS
from onevoice.kernel.errors import InvalidInput
from onevoice.privacy import erasure, retention
from tests.conftest import NOW
from tests.privacy.test_erasure import engine  # noqa: F401  # the fixture

LATER = NOW + timedelta(days=400)


def document(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "retention", "name": "default", "rules": list(rules)}


BROWSING = {"purpose": "web analytics", "data": "events", "names": ["Product Viewed"], "keep": "365 days"}
MESSAGES = {"purpose": "proof of delivery", "data": "messages", "keep": "365 days"}
QUARANTINE = {"purpose": "correction", "data": "quarantine", "keep": "90 days"}
INACTIVE = {"purpose": "customer care", "data": "customers", "keep": "365 days"}


def tried(engine: Engine, db: Database, *rules: dict[str, Any]) -> list[dict[str, int]]:  # noqa: F811
    asked = retention.rules(document(*rules))
    with db.connect() as connection:
        aged = retention.aged_rows(engine.warehouse, asked, LATER)
        return [one.rows for one in retention.outcomes(connection, asked, aged, LATER)]


def test_a_dry_run_counts_what_a_run_removes_and_changes_nothing(engine: Engine, db: Database) -> None:  # noqa: F811
    counted = tried(engine, db, BROWSING, MESSAGES, QUARANTINE)

    assert counted == [
        {"events": 2},
        {"message_events": 0, "messages": 2, "decisions": 2, "message": 0},  # those not settled yet stay in the queue
        {"quarantine": 2},
    ]
    assert tried(engine, db, BROWSING, MESSAGES, QUARANTINE) == counted


def test_the_engine_runs_the_rules_daily_and_when_asked(engine: Engine, db: Database) -> None:  # noqa: F811
    with db.begin() as connection:
        retention.save(connection, document(BROWSING, QUARANTINE), NOW)
    before = engine.warehouse.count(engine.warehouse.table(EVENTS))

    assert retention.carry_out(engine.warehouse, db, LATER)
    assert not retention.carry_out(engine.warehouse, db, LATER + timedelta(hours=23))
    assert retention.carry_out(engine.warehouse, db, LATER + timedelta(hours=24))
    with db.begin() as connection:
        retention.ask(connection, LATER)
    assert retention.carry_out(engine.warehouse, db, LATER + timedelta(hours=25))

    assert engine.warehouse.count(engine.warehouse.table(EVENTS)) == before - 2
    with db.connect() as connection:
        first = retention.runs(connection)[-1]
    assert [one["rows"] for one in first["report"]] == [{"events": 2}, {"quarantine": 2}]


def test_whoever_was_not_heard_of_for_so_long_is_erased(engine: Engine, db: Database) -> None:  # noqa: F811
    with db.begin() as connection:
        retention.save(connection, document(INACTIVE), NOW)

    assert tried(engine, db, INACTIVE) == [{"customers": 2}]
    retention.carry_out(engine.warehouse, db, LATER)
    engine.step(LATER)

    with db.connect() as connection:
        told = erasure.listed(connection)
    assert [(one["state"], one["requested_by"], one["report"]["left"]) for one in told] == [
        ("completed", "retention", 0)
    ] * 2
    assert tried(engine, db, INACTIVE) == [{"customers": 0}]


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({**BROWSING, "data": "everything"}, r"rules\[0\].data"),
        ({**BROWSING, "keep": "for ever"}, r"rules\[0\].keep"),
        ({**MESSAGES, "names": ["x"]}, "go with data: events"),
        ({"data": "events", "keep": "1 day"}, "purpose"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rule: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        retention.rules(document(rule))
