"""Import: good rows become events with the same ids each time, bad ones are named with row and column and reason."""

from pathlib import Path

import duckdb
import msgspec
import pytest
from sqlalchemy import Engine

from onevoice.events import sources
from onevoice.events.importing import BadRow, ImportReport, import_file
from onevoice.events.imports.mapping import Mapping
from onevoice.events.sources import Source
from onevoice.kernel.errors import Conflict, InvalidInput
from tests.conftest import NOW, entries_in

ORDERS = """Receipt,Date,Card,SKU,Qty,Amount,store,note
b1,2026-01-02 10:00:00,900,p1,2,2.50,316,x
b1,2026-01-02 10:00:00,900,p2,1,0.30,316,
b2,not a day,900,p1,1,1.00,316,
b3,2026-01-03 10:00:00,,p1,1,1.00,316,
b4,2026-01-03 10:00:00,901,p1,one,1.00,316,
b5,2026-01-03T11:00:00+01:00,902,p'3,,"7.10",,"a ""quoted"" note"
"""


@pytest.fixture
def till(db: Engine) -> Source:
    with db.begin() as connection:
        return sources.ensure(connection, "till", "till")


def load(
    db: Engine, source: Source, kind: str, file: Path, mapping: Mapping | None = None, again: bool = False
) -> ImportReport:
    return import_file(db, kind, source, file, mapping, NOW, again=again)


def test_lines_become_orders_and_bad_rows_are_named(db: Engine, till: Source, tmp_path: Path) -> None:
    file = tmp_path / "till.csv"
    file.write_text(ORDERS)
    report = load(db, till, "orders", file)
    assert (report.rows, report.entries, report.bad_rows) == (6, 2, 3)
    assert report.bad == [
        BadRow(4, "Date", "not a day", "not a time"),
        BadRow(5, "identifier", "", "no identifier"),
        BadRow(6, "Qty", "one", "not a number"),
    ]
    first, second = [msgspec.json.decode(entry.payload) for entry in entries_in(db)]
    assert first["call"]["properties"]["products"] == [
        {"product_id": "p1", "quantity": 2.0, "revenue": 2.5, "discount": 0.0},
        {"product_id": "p2", "quantity": 1.0, "revenue": 0.3, "discount": 0.0},
    ]
    assert first["call"]["context"]["externalIds"] == [{"id": "900", "type": "loyalty_card"}]
    assert second["occurred_at"] == "2026-01-03T10:00:00.000000Z"
    assert second["call"]["properties"]["products"][0]["product_id"] == "p'3"


def test_a_file_imported_twice_comes_in_once(db: Engine, till: Source, tmp_path: Path) -> None:
    orders, people = tmp_path / "o.csv", tmp_path / "c.csv"
    orders.write_text(ORDERS)
    people.write_text("user_id,first name,it's\nu1,Anna,1\nu2,Bruno,2\n")
    for again in (False, True):
        load(db, till, "orders", orders, again=again)
        load(db, till, "customers", people, again=again)
    ids = [msgspec.json.decode(entry.payload)["message_id"] for entry in entries_in(db)]
    assert len(ids) == 4 and len(set(ids)) == 4


def test_a_file_that_is_done_is_not_imported_again_unasked(db: Engine, till: Source, tmp_path: Path) -> None:
    file = tmp_path / "till.csv"
    file.write_text(ORDERS)
    first, second = load(db, till, "orders", file), load(db, till, "orders", file)
    assert (first.already_at, second.already_at) == (None, NOW)
    assert (second.id, second.rows, second.entries, second.bad_rows) == (first.id, 6, 2, 3)
    assert len(entries_in(db)) == 2


def test_parquet_and_json_lines_read_as_csv_does(db: Engine, till: Source, tmp_path: Path) -> None:
    csv, parquet, lines = tmp_path / "e.csv", tmp_path / "e.parquet", tmp_path / "e.jsonl"
    csv.write_text("user_id,event,timestamp,colour\nu1,Viewed,2026-01-01T00:00:00Z,red\n")
    with duckdb.connect() as store:
        store.execute(f"COPY (SELECT * FROM read_csv('{csv}', all_varchar = true)) TO '{parquet}'")
        store.execute(f"COPY (SELECT * FROM read_csv('{csv}', all_varchar = true)) TO '{lines}' (FORMAT json)")
    for file in (csv, parquet, lines):
        assert load(db, till, "events", file).entries == 1
    payloads = {entry.payload for entry in entries_in(db)}
    assert len(payloads) == 1
    assert msgspec.json.decode(payloads.pop())["call"]["properties"] == {"colour": "red"}


def test_products_and_a_mapping_by_name(db: Engine, till: Source, tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("artikel,bezeichnung\n1,Brot\n")
    load(db, till, "products", file, Mapping({"product_id": "artikel", "name": "bezeichnung"}))
    product = msgspec.json.decode(entries_in(db)[0].payload)
    assert (product["product_id"], product["name"]) == ("1", "Brot")


@pytest.mark.parametrize(
    ("name", "content", "mapping", "said"),
    [
        ("a.xls", "", None, "ending"),
        ("a.csv", "x\n1\n", None, "no column for order_id"),
        ("a.csv", "x\n1\n", {"order": "x"}, "no field of orders"),
        ("a.csv", "x\n1\n", {"order_id": "y"}, "has no column y"),
        ("a.parquet", "this is no parquet", None, "cannot be read"),
    ],
)
def test_what_cannot_be_imported_says_what_to_do(
    db: Engine, till: Source, tmp_path: Path, name: str, content: str, mapping: dict[str, str] | None, said: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInput, match=said):
        load(db, till, "orders", tmp_path / name, Mapping(mapping) if mapping else None)


def test_a_source_keeps_its_kind_and_its_key(db: Engine, till: Source) -> None:
    with db.begin() as connection:
        assert sources.ensure(connection, "till", "till") == sources.ensure(connection, "till") == till
        with pytest.raises(Conflict, match="of kind till"):
            sources.ensure(connection, "till", "web")
        with pytest.raises(InvalidInput, match="web, app, till"):
            sources.ensure(connection, "shop", "shop")
        assert sources.ensure(connection, "shop").kind == "server"
