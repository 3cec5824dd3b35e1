"""Whatever bytes a file has: the import does not fail, and each row is taken or named, once."""

import csv
import io
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onevoice.events.importing import dry_run
from onevoice.kernel.errors import OneVoiceError

NOW = datetime(2026, 3, 2, tzinfo=UTC)
FEW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])

HEADERS = {
    "orders": "order_id,ordered_at,loyalty_card,product_id,quantity,revenue",
    "customers": "user_id,updated_at,email,city",
    "events": "user_id,event,occurred_at,event_id,colour",
    "products": "product_id,name,brand,category",
}
CELL = st.one_of(
    st.sampled_from(
        ["", "1", "x", "2026-01-01", "01/02/2026", "1,5", "1e400", "nan", "null", '"', "=1+1", "\x00", "\ufeff"]
    ),
    st.text(max_size=8),
)
BYTES = st.lists(st.sampled_from([b'"', b",", b"\n", b"\r", b"\r\n", b"a", b"1", b"\xff", b"\x00", b"\xc3\xa9"])).map(
    b"".join
)


@FEW
@given(kind=st.sampled_from(list(HEADERS)), body=st.one_of(st.binary(max_size=200), BYTES))
def test_any_bytes_as_csv(kind: str, body: bytes) -> None:
    take(kind, "a.csv", HEADERS[kind].encode() + b"\n" + body)


@FEW
@given(kind=st.sampled_from(list(HEADERS)), body=st.one_of(st.binary(max_size=200), BYTES))
def test_any_bytes_as_a_whole_file(kind: str, body: bytes) -> None:
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        take(kind, name, body)


@FEW
@given(kind=st.sampled_from(list(HEADERS)), rows=st.lists(st.lists(CELL, min_size=1, max_size=8), max_size=12))
def test_any_rows_are_taken_or_named_once(kind: str, rows: list[list[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADERS[kind].split(","))
    writer.writerows(rows)
    found = take(kind, "a.csv", text.getvalue().encode(errors="surrogateescape"))
    if found is not None:
        # csv writes a row of one empty value as "", which is a row; an empty line would be none
        assert found == len(rows)


JSON_LINES = [
    b'{"user_id": "a", "event": "x", "occurred_at": "2026-01-01"}',
    b'{"user_id": "\\ud800"}',
    b'{"a": {"b": [1]}}',
    b'{"user_id": 1, "event": null}',
    b'{"": 1, "#row": 2, "A": 3, "a": 4}',
    b'{"user_id": "a", "user_id": "b"}',
]


@FEW
@given(lines=st.lists(st.one_of(st.binary(max_size=30), st.sampled_from(JSON_LINES)), max_size=8))
def test_any_json_lines(lines: list[bytes]) -> None:
    body = b"\n".join(lines)
    for kind in ("customers", "events"):
        take(kind, "a.jsonl", body)


def take(kind: str, name: str, body: bytes) -> int | None:
    """The rows there were, where the file could be read; each is counted once, each bad one reported once."""
    with tempfile.TemporaryDirectory() as folder:
        file, report_to = Path(folder) / name, Path(folder) / "bad.csv"
        file.write_bytes(body)
        try:
            report = dry_run(kind, file, None, NOW, report_to=report_to)
        except OneVoiceError:
            return None
        bad = list(csv.DictReader(report_to.open(newline=""))) if report_to.exists() else []
        assert len(bad) == report.bad_rows == len({row["line"] for row in bad})
        assert report.rows - report.bad_rows >= report.entries >= (report.rows > report.bad_rows)
        if kind != "orders":
            assert report.entries + report.bad_rows == report.rows
        lines = len(body.splitlines()) + body.count(b"\r") + 1
        assert all(1 <= int(row["line"]) <= lines for row in bad)
        return report.rows
