"""An import that is killed, whenever and however often, ends as one that never was: nothing twice, nothing lost."""

import contextlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import Engine

from onevoice.database.inbox import Entry
from onevoice.events import importing, sources
from onevoice.events.imports import runs
from onevoice.kernel.settings import Settings, as_environment
from tests.conftest import entries_in

ROWS = 90_000
"""Five parts."""

BAD = 7_000
"""Each so many rows one cannot be taken."""

KILLS = 6


def write(file: Path) -> None:
    with file.open("w") as out:
        out.write("user_id,event,timestamp,price\n")
        for number in range(ROWS):
            at = "never" if number % BAD == 0 else f"2026-01-0{1 + number % 9}"
            out.write(f"u{number},Viewed,{at},1.50\n")


def start(settings: Settings, file: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "onevoice", "import", "events", str(file), "--source", "till", "--source-kind", "till"],
        env={**os.environ, **as_environment(settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def payloads(found: list[Entry]) -> list[bytes]:
    return sorted(entry.payload for entry in found)


def test_an_import_killed_at_random_moments_ends_as_one_in_one_go(
    settings: Settings, db: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "till.csv"
    write(file)
    random.seed(7)
    began = time.monotonic()
    whole = start(settings, file)
    whole.communicate()
    took = time.monotonic() - began
    expected = payloads(entries_in(db))
    assert whole.returncode == 1 and len(expected) == ROWS - len(range(0, ROWS, BAD))
    with db.begin() as connection:
        connection.exec_driver_sql("TRUNCATE inbox, import_run, seen_1, seen_2")

    seen = set()
    for _ in range(KILLS):
        process = start(settings, file)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=random.uniform(0.3, 0.95) * took)
        process.kill()
        process.communicate()
        with db.connect() as connection:
            seen |= {(run.state, run.parts_done) for run in runs.all_runs(connection)}
    process = start(settings, file)
    process.communicate()
    assert seen, "every one was killed before it began"
    assert payloads(entries_in(db)) == expected
    with db.connect() as connection:
        (run,) = runs.all_runs(connection)
    assert (run.state, run.entries, run.parts_done) == ("done", len(expected), run.parts)


def test_an_import_broken_off_goes_on_with_the_part_after_the_last(
    settings: Settings, db: Engine, tmp_path: Path
) -> None:
    """What breaks it off here is the progress, called after each part."""
    file, work = tmp_path / "till.csv", tmp_path / "work"
    file.write_text("user_id,event,timestamp\n" + "".join(f"u{n},Viewed,2026-01-01\n" for n in range(70_000)))
    with db.begin() as connection:
        source = sources.ensure(connection, "till", "till")

    class Broken(BaseException):
        pass

    def breaking(phase: str, done: int, total: int) -> None:
        if phase == "writing" and done >= 40_000:
            raise Broken

    at = settings.clock().now()
    phases: list[str] = []
    with contextlib.suppress(Broken):
        importing.import_file(db, "events", source, file, None, at, breaking, work=work)
    report = importing.import_file(
        db, "events", source, file, None, at, lambda phase, *_: phases.append(phase), work=work
    )
    assert set(phases) == {"writing"}, "what was read and checked is not read again"
    assert (report.continued_at, report.rows, report.entries) == (59_999, 70_000, 70_000)
    assert len({entry.payload for entry in entries_in(db)}) == len(entries_in(db)) == 70_000
    assert not list(work.iterdir())
