"""An erased customer is in no table of any store any more, a report proves it, and nobody else has lost a row."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine as Database
from sqlalchemy import func, select

from onevoice.content import templates
from onevoice.customers import consent
from onevoice.customers.consent import Consent
from onevoice.customers.facts import IDENTIFIERS
from onevoice.customers.identifiers import Identifier
from onevoice.database import inbox
from onevoice.database.inbox import Entry, Kind
from onevoice.delivery.models import message
from onevoice.engine.engine import Engine
from onevoice.engine.load import TABLES
from onevoice.events import quarantine, sources
from onevoice.events.facts import EVENTS
from onevoice.events.quarantine import Refused
from onevoice.journeys import service as journeys
from onevoice.kernel.errors import NotFound
from onevoice.kernel.settings import Settings
from onevoice.privacy import access, erasure, stores
from onevoice.segments import service as segments
from tests.conftest import NOW, entries_in
from tests.delivery.sending import TEMPLATES
from tests.journeys.builders import EVERYBODY, GREETING

LATER = NOW + timedelta(days=3)


def told(source_id: int, name: str, number: int, **call: Any) -> Entry:
    kind = "track" if "event" in call else "identify"
    payload = {
        "type": kind,
        "message_id": f"{name}-{number}",
        "occurred_at": (NOW - timedelta(days=1)).isoformat(),
        "call": {"userId": name, **call},
    }
    return Entry(source_id, Kind.EVENT, NOW, json.dumps(payload).encode())


def entries_of(source_id: int, name: str) -> list[Entry]:
    order = {
        "order_id": f"{name}-1",
        "revenue": 10.0,
        "currency": "EUR",
        "products": [{"product_id": "p1", "quantity": 2, "price": 5.0}],
    }
    card = {"externalIds": [{"id": f"card-{name}", "type": "loyalty_card", "collection": "users", "encoding": "none"}]}
    return [
        told(source_id, name, 1, anonymousId=f"device-{name}", traits={"email": f"{name}@example.com", "city": "Roma"}),
        told(source_id, name, 2, event="Product Viewed", properties={"product_id": "p1"}, context=card),
        told(source_id, name, 3, event="Order Completed", properties=order),
    ]


@pytest.fixture
def engine(settings: Settings, db: Database) -> Iterator[Engine]:
    """An engine that has loaded Anna and Bob, and planned a message to each."""
    with db.begin() as connection:
        source = sources.ensure(connection, "shop", "web").id
        templates.save(connection, TEMPLATES["email"], NOW, settings.data_dir)
        segments.save(connection, EVERYBODY, NOW)
        journeys.save(connection, GREETING, NOW)
        for name in ("anna", "bob"):
            inbox.append(connection, entries_of(source, name))
            who = Identifier("user_id", name)
            consent.record(connection, [granted(who)], NOW)
            call = json.dumps(
                {"type": "track", "userId": name, "properties": {"nested": [{"email": f"{name}@x.example"}]}}
            )
            quarantine.add(
                connection, [Refused(source, NOW, "no_event_name", "A track call needs `event`", call.encode())]
            )
    made = Engine(settings)
    entries_in(db)
    made.step(NOW)
    yield made
    made.close()


def granted(who: Identifier) -> Consent:
    said = {"text": "Yes, write to me", "locale": "en", "namespace": who.namespace, "value": who.value}
    return Consent(who.id, "email", "offers", "granted", NOW - timedelta(days=2), "form", **said)


def ids(engine: Engine, name: str) -> int:
    identifiers = engine.warehouse.table(IDENTIFIERS)
    (row,) = engine.warehouse.rows(identifiers.filter(identifiers.value == name))
    return int(row["customer_id"])


def everything(engine: Engine, db: Database) -> dict[str, list[str]]:
    """Every row of every table that holds something personal, as text."""
    with db.connect() as connection:
        rows = {
            f"database/{table.name}": sorted(map(repr, connection.execute(select(table)).all()))
            for table in stores.personal_tables(connection)
        }
    for facts in TABLES:
        if stores.is_personal(facts):
            found = engine.warehouse.rows(engine.warehouse.table(facts))
            rows[f"warehouse/{facts.name}"] = sorted(map(repr, found))
    return rows


def erase(engine: Engine, db: Database, customer_id: int) -> dict[str, Any]:
    with db.begin() as connection:
        number = erasure.request(connection, customer_id, "anna", "by letter", NOW)
    engine.step(NOW)
    with db.connect() as connection:
        return erasure.get(connection, number)


def test_nothing_of_an_erased_customer_is_left_and_the_report_counts_it(engine: Engine, db: Database) -> None:
    told = erase(engine, db, ids(engine, "anna"))

    assert told["state"] == "completed" and told["customer_id"] is None
    counted = {(row["store"], row["table"]): (row["found"], row["left"]) for row in told["report"]["tables"]}
    for place in (
        ("warehouse", "events"),
        ("warehouse", "orders"),
        ("warehouse", "messages"),
        ("warehouse", "decisions"),
        ("warehouse", "identity_links"),
        ("warehouse", "addresses"),
        ("database", "identifier"),
        ("database", "consent_ledger"),
        ("database", "message"),
        ("database", "quarantine"),
    ):
        assert counted[place][0] > 0 and counted[place][1] == 0, place
    assert told["report"]["left"] == 0
    left = json.dumps(everything(engine, db))
    assert "anna" not in left and str(Identifier("user_id", "anna").id) not in left


def test_nobody_else_loses_a_row(engine: Engine, db: Database) -> None:
    before = everything(engine, db)

    erase(engine, db, ids(engine, "anna"))

    def of_bob(rows: dict[str, list[str]]) -> dict[str, list[str]]:
        numbers = [str(Identifier(*pair).id) for pair in (("user_id", "bob"), ("loyalty_card", "card-bob"))]
        return {
            name: [row for row in found if "bob" in row or any(n in row for n in numbers)]
            for name, found in rows.items()
        }

    after = everything(engine, db)
    assert of_bob(after) == of_bob(before)
    assert sum(map(len, of_bob(after).values())) > 12


def test_an_erasure_cut_off_after_any_step_is_finished_and_reports_the_same(
    engine: Engine, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with db.begin() as connection:
        number = erasure.request(connection, ids(engine, "anna"), "anna", "", NOW)
    for name in ("remove", "whose"):  # the warehouse fails, then the database

        def broken(*_args: Any) -> None:
            raise RuntimeError("cut off")

        with monkeypatch.context() as patch:
            if name == "whose":
                patch.setattr(erasure.tombstones, "lay", broken)
            else:
                patch.setattr(stores, "remove", broken)
            with pytest.raises(RuntimeError, match="cut off"):
                engine.step(NOW)
    engine.step(NOW)

    with db.connect() as connection:
        told = erasure.get(connection, number)
    assert told["state"] == "completed" and told["report"]["left"] == 0
    assert {row["table"]: row["found"] for row in told["report"]["tables"]}["events"] == 3


def test_old_facts_that_come_again_do_not_bring_them_back_and_new_ones_are_a_new_customer(
    engine: Engine, db: Database
) -> None:
    erase(engine, db, ids(engine, "anna"))
    source = 1
    old = [told(source, "anna", 90 + n, event="Product Viewed") for n in range(3)]
    new = told(source, "anna", 99, event="Came Back")
    new = replace(
        new, payload=new.payload.replace((NOW - timedelta(days=1)).isoformat().encode(), LATER.isoformat().encode())
    )
    with db.begin() as connection:
        inbox.append(connection, old)
        consent.record(connection, [granted(Identifier("user_id", "anna"))], NOW)
    entries_in(db)
    engine.step(LATER)
    events, identifiers = engine.warehouse.table(EVENTS), engine.warehouse.table(IDENTIFIERS)
    anna = identifiers.filter(identifiers.value == "anna")
    assert engine.warehouse.count(anna) == 0

    with db.begin() as connection:
        inbox.append(connection, [new])
    entries_in(db)
    engine.step(LATER)
    assert engine.warehouse.count(anna) == 1
    assert [row["name"] for row in engine.warehouse.rows(events.semi_join(anna, "customer_id"))] == ["Came Back"]


def test_a_device_of_two_belongs_to_the_other_once_one_of_them_is_erased(engine: Engine, db: Database) -> None:
    with db.begin() as connection:
        inbox.append(connection, [told(1, name, 50, anonymousId="tablet", traits={}) for name in ("anna", "bob")])
    entries_in(db)
    engine.step(NOW)
    assert ids(engine, "tablet") not in (ids(engine, "anna"), ids(engine, "bob"))

    erase(engine, db, ids(engine, "anna"))

    assert ids(engine, "tablet") == ids(engine, "bob")
    assert str(Identifier("user_id", "anna").id) not in json.dumps(everything(engine, db))


def test_a_customer_who_is_not_known_cannot_be_erased(engine: Engine, db: Database) -> None:
    with db.begin() as connection, pytest.raises(NotFound):
        erasure.request(connection, 4711, "anna", "", NOW)
    with db.connect() as connection, pytest.raises(NotFound):
        erasure.get(connection, UUID(int=1))


def test_the_archive_holds_all_that_is_kept_for_programs_and_for_people(engine: Engine, db: Database) -> None:
    customer_id = ids(engine, "anna")
    told = json.loads(json.dumps(access.collected(engine.warehouse, TABLES, customer_id), default=str))
    with db.connect() as connection:
        packed = access.archive(connection, told, customer_id, NOW)
        waiting = connection.scalar(select(func.count()).select_from(message))

    with zipfile.ZipFile(BytesIO(packed)) as file:
        names = set(file.namelist())
        document = json.loads(file.read("data.json"))
        page = file.read("index.html").decode()
    assert {"index.html", "warehouse/events.csv", "warehouse/orders.csv", "database/consent_ledger.csv"} <= names
    assert len(document["tables"]["warehouse/events"]) == 3 and waiting == 2
    assert len(document["tables"]["database/message"]) == 1
    assert "bob" not in json.dumps(document)
    (word,) = document["tables"]["database/consent_ledger"]
    assert (word["text"], word["text_locale"]) == ("Yes, write to me", "en")
    assert '<html lang="en" dir="ltr">' in page and "anna@example.com" in page
