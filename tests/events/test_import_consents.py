"""Files of consents, suppressed addresses and refunds: read as other tools write them, each into its own ledger."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from onevoice import warehouse
from onevoice.catalog.facts import ORDERS, REFUNDS
from onevoice.customers import suppression
from onevoice.customers.consent import ledger
from onevoice.customers.identifiers import Identifier
from onevoice.engine.load import TABLES, load
from onevoice.events import sources
from onevoice.events.importing import ImportReport, dry_run, import_file
from onevoice.events.sources import Source
from onevoice.kernel.errors import InvalidInput
from tests.conftest import NOW

SECRET = b"s" * 32


@pytest.fixture
def source(db: Engine) -> Source:
    with db.begin() as connection:
        return sources.ensure(connection, "import", "import")


def taken(db: Engine, source: Source, tmp_path: Path, kind: str, *lines: str) -> ImportReport:
    file = tmp_path / f"{kind}.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return import_file(db, kind, source, file, None, NOW, secret=SECRET, again=True)


def reasons(report: ImportReport) -> list[tuple[int, str, str]]:
    return [(bad.line, bad.column, bad.reason) for bad in report.bad]


def test_a_mailing_lists_consents_come_with_their_proof(db: Engine, source: Source, tmp_path: Path) -> None:
    lines = (
        "E-mail,Canale,Lista,Stato,Data consenso,Testo,IP",
        "Anna@Example.com,email,offers,Subscribed,2025-03-01T10:00:00Z,Voglio le offerte,203.0.113.7",
        "bob@example.com,sms,offers,opt-out,2025-03-02,,",
        "eva@example.com,email,offers,perhaps,2025-03-02,,",
        ",email,offers,yes,2025-03-02,,",
        "dan@example.com,email,offers,yes,,,",
    )
    report = taken(db, source, tmp_path, "consents", *lines)
    assert (report.entries, report.bad_rows) == (2, 3)
    assert reasons(report) == [
        (4, "Stato", "not one of granted, denied, withdrawn"),
        (5, "identifier", "no identifier"),
        (6, "Data consenso", "missing"),
    ]
    taken(db, source, tmp_path, "consents", *lines)  # again: the same words
    with db.connect() as connection:
        (word,) = ledger.history(connection, [Identifier("email", "Anna@example.com").id])
        assert (word["state"], word["topic"], word["origin"]) == ("granted", "offers", "import")
        assert (word["text"], word["evidence"]) == ("Voglio le offerte", {"ip": "203.0.113.7"})
        assert ledger.history(connection, [Identifier("email", "bob@example.com").id])[0]["state"] == "denied"


def test_a_suppression_list_is_kept_as_hashes(db: Engine, source: Source, tmp_path: Path) -> None:
    lines = ("address,channel,reason", "gone@example.com,email,Hard Bounce", "+393331234567,sms,", ",email,spam")
    report = taken(db, source, tmp_path, "suppression", *lines)
    assert report.entries == 2 and reasons(report) == [(4, "address", "missing")]
    with db.connect() as connection:
        assert {(row["channel"], row["reason"]) for row in suppression.counts(connection)} == {
            ("email", "bounced"),
            ("sms", "imported"),
        }
        assert suppression.changes(connection, SECRET, "email", "GONE@example.com")[0]["actor"] == "import"
    with pytest.raises(InvalidInput, match="secret"):
        import_file(db, "suppression", source, tmp_path / "suppression.csv", None, NOW, again=True)


def test_refunds_lower_the_orders_they_name(db: Engine, source: Source, tmp_path: Path) -> None:
    taken(
        db,
        source,
        tmp_path,
        "orders",
        "order_id,card,date,product_id,revenue",
        *("o1,7,2026-01-02,milk,4", "o1,7,2026-01-02,tea,6", "o2,7,2026-01-03,tea,6", "o3,7,2026-01-03,tea,5"),
    )
    lines = (
        "order_id,card,returned_at,product_id,quantity,amount",
        *("o1,7,2026-01-05,tea,1,6", "o2,7,2026-01-05,,,2.5", "o3,7,2026-01-06,,,"),
    )
    assert taken(db, source, tmp_path, "refunds", *lines).entries == 3
    taken(db, source, tmp_path, "refunds", *lines)  # twice is once
    store = warehouse.connect("duckdb://")
    store.create(TABLES)
    while load(store, db, SECRET):
        pass
    orders: dict[str, Any] = {row["order_id"]: row for row in store.rows(store.table(ORDERS))}
    assert {name: float(row["revenue"]) for name, row in orders.items()} == {"o1": 4.0, "o2": 3.5, "o3": 0.0}
    assert orders["o3"]["status"] == "returned" and store.count(store.table(REFUNDS)) == 3


def test_a_dry_run_shows_what_would_be_taken(tmp_path: Path) -> None:
    file = tmp_path / "consents.csv"
    file.write_text("phone,channel,status,date\n+40 721 234 567,sms,da,2025-03-01\n", encoding="utf-8")
    report = dry_run("consents", file, None, NOW)
    assert report.entries == 1 and report.sample[0]["state"] == "granted" and report.sample[0]["topic"] == "*"
