"""Import of files as they are: each row at fault is named, stops nothing, and what is taken the load can hold."""

from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine

from onevoice import warehouse
from onevoice.database.inbox import Entry
from onevoice.engine.load import take
from onevoice.events import sources
from onevoice.events.importing import BadRow, ImportReport, import_file
from onevoice.events.sources import Source
from tests.conftest import ALL_FACTS, NOW, entries_in

HEADER = "order_id,date,card,product_id,qty,revenue\n"
LINE = "1,2026-01-01,9,p,1,1.50\n"


@pytest.fixture
def till(db: Engine) -> Source:
    with db.begin() as connection:
        return sources.ensure(connection, "till", "till")


def load(db: Engine, source: Source, kind: str, file: Path, text: str | bytes) -> ImportReport:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return import_file(db, kind, source, file, None, NOW)


def held(entries: list[Entry], source: Source) -> tuple[int, int]:
    """Events and orders that the load makes of the entries."""
    store = warehouse.connect("duckdb://")
    store.create(ALL_FACTS)
    with store.transaction():
        take(store, entries, {source.id: source.kind}, b"s" * 32, 1)
    counts = [store.count(store.backend.table(name)) for name in ("events", "orders")]
    store.close()
    return counts[0], counts[1]


@pytest.mark.parametrize(
    ("row", "bad"),
    [
        ("2,2026-01-01,null,p,1,1\n", BadRow(3, "identifier", "null", "no identifier")),
        ("2,2026-01-01,\u00a00\u3000,p,1,1\n", BadRow(3, "identifier", "\u00a00\u3000", "no identifier")),
        ("2,2026-01-01,9,p,nan,1\n", BadRow(3, "qty", "nan", "not a number")),
        ("2,2026-01-01,9,p,-inf,1\n", BadRow(3, "qty", "-inf", "not a number")),
        ("2,2026-01-01,9,p,1,9999999999999\n", BadRow(3, "revenue", "9999999999999", "not an amount")),
        ('2,2026-01-01,9,p,1,"1,50"\n', BadRow(3, "revenue", "1,50", "not an amount")),
        ("2,2026-01-01,9,p,1,\n", BadRow(3, "revenue", "", "no revenue, or over a trillion")),
        ("2,infinity,9,p,1,1\n", BadRow(3, "date", "infinity", "not a time")),
        ("2,0044-03-15 (BC),9,p,1,1\n", BadRow(3, "date", "0044-03-15 (BC)", "not a time")),
        ("2,2126-01-01,9,p,1,1\n", BadRow(3, "date", "2126-01-01", "not a time")),
        (" ,2026-01-01,9,p,1,1\n", BadRow(3, "order_id", " ", "missing")),
        (
            "2,2026-01-01,9,p,1,1,1\n",
            BadRow(3, "", "2,2026-01-01,9,p,1,1,1", "more values than the header has columns"),
        ),
        ("2,2026-01-01\n", BadRow(3, "", "2,2026-01-01", "fewer values than the header has columns")),
        (b"2,2026-01-01,9,caf\xe9,1,1\n", BadRow(3, "", "2,2026-01-01,9,caf\ufffd,1,1", "not UTF-8")),
    ],
)
def test_a_row_at_fault_is_named_and_costs_no_other(
    db: Engine, till: Source, tmp_path: Path, row: str | bytes, bad: BadRow
) -> None:
    data = (HEADER + LINE).encode() + (row if isinstance(row, bytes) else row.encode()) + b"3,2026-01-01,9,p,1,1\n"
    report = load(db, till, "orders", tmp_path / "a.csv", data)
    assert (report.rows, report.entries, report.bad_rows, report.bad) == (3, 2, 1, [bad])
    assert held(entries_in(db), till) == (2, 2)


def test_a_quotation_mark_left_open_says_how_much_it_swallowed(db: Engine, till: Source, tmp_path: Path) -> None:
    report = load(db, till, "orders", tmp_path / "a.csv", HEADER + LINE + '2,2026-01-01,9,"p,1,1\n' + LINE * 3)
    assert report.entries == 1
    assert report.bad == [
        BadRow(3, "", "", "a quotation mark is out of place, or a value is over 16 MB; it swallowed 3 lines after it")
    ]


def test_lines_are_numbered_as_in_the_file_where_some_cannot_be_read(db: Engine, till: Source, tmp_path: Path) -> None:
    report = load(db, till, "orders", tmp_path / "a.csv", HEADER + f"x\n{LINE}x\nx\n2,no,9,p,1,1\nx\n3,no,9,p,1,1\n")
    assert [bad.line for bad in report.bad] == [2, 4, 5, 6, 7, 8]
    assert [bad.line for bad in report.bad if bad.column == "date"] == [6, 8]


def test_half_an_order_is_not_taken(db: Engine, till: Source, tmp_path: Path) -> None:
    report = load(db, till, "orders", tmp_path / "a.csv", HEADER + LINE + "1,2026-01-01,9,q,many,1\n2" + LINE[1:])
    assert (report.entries, report.bad_rows) == (1, 2)
    assert report.bad[0] == BadRow(2, "", "", "another line of the same order cannot be taken")


def test_an_order_of_over_a_trillion_is_left_out_as_a_whole(db: Engine, till: Source, tmp_path: Path) -> None:
    report = load(db, till, "orders", tmp_path / "a.csv", HEADER + "1,2026-01-01,9,p,1,900000000000\n" * 2)
    assert (report.entries, report.bad_rows) == (0, 2)
    assert report.bad == [BadRow(line, "", "", "the lines of the order sum to over a trillion") for line in (2, 3)]


def test_a_price_and_a_quantity_are_as_good_as_a_revenue(db: Engine, till: Source, tmp_path: Path) -> None:
    text = "order_id;date;card;product_id;qty;price\n1;2026-01-01;9;p;3;1.10\n1;2026-01-01;9;q;;0.20\n"
    assert load(db, till, "orders", tmp_path / "a.csv", text).entries == 1
    order = msgspec.json.decode(entries_in(db)[0].payload)["call"]["properties"]
    assert order["revenue"] == 3.5 and [line["revenue"] for line in order["products"]] == [3.3, 0.2]


def test_json_lines_of_any_kind_keep_their_values(db: Engine, till: Source, tmp_path: Path) -> None:
    lines = [
        '{"user_id": 1, "since": "2026-01-02T00:00:00Z", "tags": ["a"], "city": null}',
        '{"user_id": "x", "since": 5, "a/b~c": 1.50}',
        '{"user_id": ',
        "5",
        "{}",
    ]
    report = load(db, till, "customers", tmp_path / "a.jsonl", "\n".join(lines))
    assert report.bad == [
        BadRow(3, "", '{"user_id":', "no JSON object"),
        BadRow(4, "", "5", "no JSON object"),
        BadRow(5, "identifier", "", "no identifier"),
    ]
    calls = [msgspec.json.decode(entry.payload)["call"] for entry in entries_in(db)]
    assert [(call["userId"], call["traits"]) for call in calls] == [
        ("1", {"since": "2026-01-02T00:00:00Z", "tags": ["a"]}),
        ("x", {"since": 5, "a/b~c": 1.5}),
    ]
    assert held(entries_in(db), till) == (2, 0)


def test_an_empty_cell_deletes_no_trait(db: Engine, till: Source, tmp_path: Path) -> None:
    load(db, till, "customers", tmp_path / "a.csv", "user_id,email,city\nu,,Roma\n")
    assert msgspec.json.decode(entries_in(db)[0].payload)["call"]["traits"] == {"city": "Roma"}


def test_columns_that_bear_the_names_we_use_ourselves_do_no_harm(db: Engine, till: Source, tmp_path: Path) -> None:
    text = '\ufeffuser_id,"#user_id",#ROW,f_name,name,Name,\nu,1,2,3,4,5,6\n'
    assert load(db, till, "customers", tmp_path / "a.csv", text).entries == 1
    call = msgspec.json.decode(entries_in(db)[0].payload)["call"]
    assert call["userId"] == "u"
    assert call["traits"] == {"user_id_": "1", "ROW": "2", "f_name": "3", "name": "4", "Name_": "5", "column 7": "6"}
