"""Mapping: guessed from headers in our users' languages and from values, kept as YAML, read back the same."""

from pathlib import Path

import pytest

from onevoice.events.importing import dry_run
from onevoice.events.imports import mapping
from onevoice.events.imports.mapping import Mapping
from onevoice.kernel.errors import InvalidInput
from tests.conftest import NOW

ITALIAN = """Numero ordine;Data;Tessera fedeltà;Articolo;Q.tà;Importo;Négozio
1;31/12/2025 18:30;77;latte;2;1.234,50;Bari
"""
HEADERS = {
    "it": ("Numero ordine", "Data", "Tessera", "Articolo", "Quantità", "Importo"),
    "ro": ("Nr. comandă", "Data comenzii", "Nr card", "Cod produs", "Cantitate", "Valoare"),
    "id": ("No Pesanan", "Tanggal", "Nomor Kartu", "Kode Barang", "Jumlah", "Total Harga"),
    "misspelt": ("order_nunber", "purchased-att", "Loyality Card", "product idd", "quantitty", "revenu"),
}


@pytest.mark.parametrize("language", HEADERS)
def test_headers_of_our_users_are_known(language: str) -> None:
    samples = dict(zip(HEADERS[language], [["1"], ["2026-01-01"], ["9"], ["p"], ["1"], ["1.5"]], strict=True))
    found = mapping.guess("orders", samples).columns
    wanted = ("order_id", "ordered_at", "loyalty_card", "product_id", "quantity", "revenue")
    assert {name: found.get(name) for name in wanted} == dict(zip(wanted, HEADERS[language], strict=True))


def test_amounts_and_dates_as_italians_write_them(tmp_path: Path) -> None:
    file = tmp_path / "vendite.csv"
    file.write_text(ITALIAN)
    report = dry_run("orders", file, None, NOW)
    assert (report.mapping["decimal"], report.mapping["date_format"]) == (",", "%d/%m/%Y %H:%M")
    (order,) = report.sample
    assert order["occurred_at"] == "2025-12-31T18:30:00.000000Z"
    assert order["call"]["properties"]["revenue"] == 1234.5


def test_a_time_without_a_zone_is_that_of_the_mapping(tmp_path: Path) -> None:
    file = tmp_path / "v.csv"
    file.write_text("user_id,event,timestamp\nu,Visit,2026-01-01 00:30:00\n")
    columns = {"user_id": "user_id", "event": "event", "occurred_at": "timestamp"}
    (event,) = dry_run("events", file, Mapping(columns, time_zone="Europe/Rome"), NOW).sample
    assert event["occurred_at"] == "2025-12-31T23:30:00.000000Z"


def test_the_second_part_over_twelve_tells_the_month_comes_first() -> None:
    samples = {"user_id": ["u"], "event": ["e"], "date": ["01/02/2026", "12/31/2025"]}
    assert mapping.guess("events", samples).date_format == "%m/%d/%Y"


def test_a_known_header_whose_values_do_not_fit_gives_way_to_one_whose_do() -> None:
    samples = {"user_id": ["u"], "event": ["e"], "date": ["spring"], "timestamp": ["2026-01-01"]}
    assert mapping.guess("events", samples).columns["occurred_at"] == "timestamp"


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    made = Mapping({"order_id": "N°"}, ",", "%d/%m/%Y", "Europe/Rome")
    mapping.write(tmp_path / "m.yaml", "orders", made)
    assert mapping.read(tmp_path / "m.yaml") == made


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("columns: {a: b}\ndecimal: ';'", "decimal"),
        ("columns: {a: b}\ntime_zone: Mars", "time_zone"),
        ("- a", "lines"),
        ("a: [", "read"),
    ],
)
def test_a_mapping_that_is_none_says_so(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(InvalidInput, match=said):
        mapping.read(tmp_path / "m.yaml")


def test_the_line_is_that_of_the_file_also_where_values_span_lines(tmp_path: Path) -> None:
    file, report_to = tmp_path / "a.csv", tmp_path / "a.jsonl"
    file.write_text('user_id,event,timestamp,note\n\nu,e,2026-01-01,"a\nb\n"\r\nu,e,never,x\nu,e\n', newline="")
    report = dry_run("events", file, None, NOW, report_to=report_to)
    assert [bad.line for bad in report.bad] == [6, 7]
    assert [line.partition(",")[0] for line in report_to.read_text().splitlines()] == ['{"line": 6', '{"line": 7']


def test_lines_of_both_kinds_of_ends_are_all_read(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"user_id,event,timestamp\r\na,e,2026-01-01\nb,e,2026-01-01\r\nc,e,2026-01-01\n")
    assert dry_run("events", file, None, NOW).entries == 3
