"""Exports: what the warehouse holds, as Parquet and CSV, whole, in pieces, and harmless to a spreadsheet."""

import csv
import io
import json
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from onevoice.customers.facts import ADDRESSES, CONSENTS, IDENTIFIERS, PROFILES
from onevoice.engine import exports
from onevoice.engine.exports import Export, stream
from onevoice.events.facts import EVENTS
from onevoice.kernel.errors import InvalidInput, NotFound
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.warehouse import Facts, Warehouse

AT = datetime(2026, 3, 1)
BIG = (1 << 62) + 7
"""An id that a spreadsheet would round."""


def put(store: Warehouse, facts: Facts, *rows: dict[str, object]) -> None:
    """Rows; a column that is not named is null, or empty, or the first of March."""
    usual = {"string": "", "int64": 0, "float64": 0.0, "boolean": False}
    for row in rows:
        values = {
            name: [row.get(name, AT if "timestamp" in kind else usual.get(kind[1:]) if kind[0] == "!" else None)]
            for name, kind in facts.columns.items()
        }
        store.append(facts, facts.arrow(values))


@pytest.fixture
def shop(store: Warehouse) -> Warehouse:
    put(
        store,
        PROFILES,
        {"customer_id": BIG, "first_name": '=cmd|"x"', "traits": "{}"},
        {"customer_id": 2, "traits": "{}"},
    )
    put(store, IDENTIFIERS, {"identifier_id": 1, "namespace": "user_id", "value": 'a"\\\nb', "customer_id": BIG})
    put(store, IDENTIFIERS, {"identifier_id": 3, "namespace": "loyalty_card", "value": "9", "customer_id": BIG})
    put(store, ADDRESSES, {"customer_id": BIG, "channel": "email", "address": "anna@example.com"})
    put(store, CONSENTS, {"identifier_id": 1, "customer_id": BIG, "channel": "email", "topic": "*", "state": "granted"})
    put(store, SEGMENT_MEMBERS, {"segment": "vip", "customer_id": BIG})
    for day in (1, 2, 3):
        put(store, EVENTS, {"event_id": str(day), "customer_id": BIG, "occurred_at": datetime(2026, 3, day)})
    return store


def rows_of(store: Warehouse, export: Export) -> list[dict[str, object]]:
    data = b"".join(stream(store, export))
    if export.format == "csv":
        return list(csv.DictReader(io.StringIO(data.decode())))
    found: list[dict[str, object]] = pq.read_table(io.BytesIO(data)).to_pylist()
    return found


@pytest.mark.parametrize("format", exports.FORMATS)
def test_a_customer_is_one_row_with_identifiers_addresses_and_consents(shop: Warehouse, format: str) -> None:
    rows = {row["customer_id"]: row for row in rows_of(shop, Export("customers", format))}
    assert set(rows) == {str(BIG), "2"}
    identifiers = json.loads(str(rows[str(BIG)]["identifiers"]))
    assert {(one["namespace"], one["value"]) for one in identifiers} == {("user_id", 'a"\\ b'), ("loyalty_card", "9")}
    assert json.loads(str(rows[str(BIG)]["addresses"])) == [{"channel": "email", "address": "anna@example.com"}]
    assert json.loads(str(rows[str(BIG)]["consents"]))[0]["state"] == "granted"
    assert rows["2"]["identifiers"] == "[]"


def test_a_spreadsheet_runs_nothing_unless_asked_for(shop: Warehouse) -> None:
    safe, raw = [
        {row["customer_id"]: row for row in rows_of(shop, Export("customers", "csv", safe=safe))}[str(BIG)][
            "first_name"
        ]
        for safe in (True, False)
    ]
    assert (safe, raw) == ('\'=cmd|"x"', '=cmd|"x"')


def test_a_segment_is_its_customers(shop: Warehouse) -> None:
    assert [row["customer_id"] for row in rows_of(shop, Export("segment", "parquet", "vip"))] == [str(BIG)]
    with pytest.raises(NotFound, match="no segment"):
        stream(shop, Export("segment", "csv", "nobody"))


def test_events_of_a_period(shop: Warehouse) -> None:
    found = rows_of(shop, Export("events", "csv", since="2026-03-02", until="2026-03-03T00:00:00Z"))
    assert [row["event_id"] for row in found] == ["2"]


@pytest.mark.parametrize("format", exports.FORMATS)
def test_nothing_is_a_file_with_columns_and_no_rows(shop: Warehouse, format: str) -> None:
    data = b"".join(stream(shop, Export("orders", format)))
    if format == "csv":
        assert data.count(b"\n") == 1 and b"order_id" in data
    else:
        assert pq.read_table(io.BytesIO(data)).num_rows == 0


@pytest.mark.parametrize(
    ("export", "said"),
    [
        (Export("invoices", "csv"), "no export"),
        (Export("events", "xlsx"), "use one of"),
        (Export("events", "csv", since="yesterday"), "no time"),
    ],
)
def test_what_cannot_be_exported_says_so_before_the_first_byte(duck: Warehouse, export: Export, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        stream(duck, export)


def test_many_rows_come_in_pieces_and_whole(duck: Warehouse, tmp_path: Path) -> None:
    columns = ", ".join(
        f"{'i::VARCHAR' if 'string' in kind else 'now()::TIMESTAMP' if 'time' in kind else 'i'} AS {name}"
        for name, kind in EVENTS.columns.items()
    )
    duck.execute(f"INSERT INTO events BY NAME SELECT {columns} FROM range(600_000) t(i)")
    pieces = list(stream(duck, Export("events", "parquet")))
    assert len(pieces) > 2
    assert len(set(pq.read_table(io.BytesIO(b"".join(pieces)))["event_id"].to_pylist())) == 600_000
