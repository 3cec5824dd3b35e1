"""The load: what cannot be taken is set aside with its reason and holds up nobody."""

import json
from typing import Any

import duckdb
import pytest
from sqlalchemy import Engine, select

from onevoice.customers.facts import IDENTIFIERS
from onevoice.database import inbox
from onevoice.database.inbox import Entry, Kind
from onevoice.engine import load as loading
from onevoice.engine.load import TABLES, load
from onevoice.events import sources
from onevoice.events.facts import EVENTS
from onevoice.events.models import quarantine
from onevoice.warehouse import Warehouse, connect
from tests.conftest import NOW, entries_in

SECRET = b"secret"


def page(user: str) -> bytes:
    entry = {"type": "page", "message_id": user, "occurred_at": NOW.isoformat(), "call": {"userId": user}}
    return json.dumps(entry).encode()


@pytest.fixture
def memory() -> Warehouse:
    warehouse = connect("duckdb://")
    warehouse.create(TABLES)
    return warehouse


def drained(memory: Warehouse, db: Engine) -> set[str]:
    entries_in(db)  # waits until no other test holds the reader back
    while load(memory, db, SECRET):
        pass
    return {row["value"] for row in memory.rows(memory.table(IDENTIFIERS))}


def test_an_entry_that_cannot_be_taken_goes_to_quarantine_and_the_others_in(memory: Warehouse, db: Engine) -> None:
    with db.begin() as connection:
        source = sources.ensure(connection, "shop", "server").id
        payloads = [page(f"u{number}") for number in range(20)]
        payloads[7] = b'{"type": "page"'
        entries = [Entry(source, Kind.EVENT, NOW, payload) for payload in payloads]
        inbox.append(connection, [*entries, Entry(source, Kind.CONSENT, NOW, b"[]")])
    assert drained(memory, db) == {f"u{number}" for number in range(20) if number != 7}
    with db.connect() as connection:
        kept = connection.execute(select(quarantine).order_by(quarantine.c.id)).all()
    assert [(row.kind, row.reason, row.payload) for row in kept] == [
        (Kind.EVENT, "load", payloads[7]),
        (Kind.CONSENT, "load", b"[]"),
    ]
    assert all("The load could not take it" in row.detail for row in kept)
    assert entries_in(db) == []


def test_a_store_that_fails_is_no_entrys_fault(memory: Warehouse, db: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with db.begin() as connection:
        source = sources.ensure(connection, "shop", "server").id
        inbox.append(connection, [Entry(source, Kind.EVENT, NOW, page("u"))])

    def full(*_args: Any) -> None:
        raise duckdb.IOException("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(loading, "take", full)
        with pytest.raises(duckdb.IOException):
            drained(memory, db)
    assert drained(memory, db) == {"u"}
    with db.connect() as connection:
        assert connection.execute(select(quarantine)).all() == []


def test_a_call_of_several_in_a_row_that_cannot_be_taken_is_set_aside_alone(memory: Warehouse, db: Engine) -> None:
    lines = [page(f"u{number}") for number in range(20)]
    lines[7] = lines[7].replace(b'"userId": "u7"', b'"userId": ["u7"]')
    with db.begin() as connection:
        source = sources.ensure(connection, "shop", "server").id
        inbox.append(connection, [Entry(source, Kind.EVENT, NOW, b"\n".join(lines), len(lines))])
    assert drained(memory, db) == {f"u{number}" for number in range(20) if number != 7}
    assert memory.count(memory.table(EVENTS)) == 19
    with db.connect() as connection:
        assert connection.execute(select(quarantine.c.payload)).scalars().all() == [lines[7]]


def test_only_what_can_be_read_counts_as_waiting(db: Engine) -> None:
    with db.begin() as connection:
        source = sources.ensure(connection, "shop", "server").id
    with db.connect() as open_one, db.connect() as asking:
        inbox.append(open_one, [Entry(source, Kind.EVENT, NOW, page("first"))])
        with db.begin() as connection:
            inbox.append(connection, [Entry(source, Kind.EVENT, NOW, page("second"))])
        assert not inbox.is_waiting(asking, (0, 0))
        open_one.commit()
        entries_in(db)  # waits until no other test holds the reader back
        assert inbox.is_waiting(asking, (0, 0))
        last = inbox.read(asking, (0, 0), 10)[-1][:2]
        assert not inbox.is_waiting(asking, last)
