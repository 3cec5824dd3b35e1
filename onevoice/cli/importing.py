"""`onevoice import`: files' rows into the inbox, with progress and a report of the rows that could not be taken."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from onevoice import database
from onevoice.cli import options
from onevoice.events import importing, sources
from onevoice.events.importing import ImportReport
from onevoice.events.imports import jobs, places, runs
from onevoice.events.imports import mapping as mappings
from onevoice.events.imports.places import Place
from onevoice.events.sources import Source
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.settings import Settings

SHOWN = 20
"""Bad rows printed; the report file has all."""


@dataclass(frozen=True)
class Wish:
    """What the command line asks for."""

    kind: str
    place: str
    source: str
    source_kind: str
    mapping: Path | None
    mapping_out: Path | None
    report: Path | None
    dry_run: bool
    again: bool


def run(settings: Settings, wish: Wish, as_json: bool) -> None:
    """Imports what is at the place and prints the reports; exit status 1 where rows could not be taken."""
    files = places.find(wish.place, settings.stores)
    if len(files) > 1 and wish.report:
        raise InvalidInput("--report is for one file; a folder's files have their reports beside them")
    if wish.dry_run:
        reports = [_one(settings, wish, file, None) for file in files]
    else:
        database.migrate(settings)
        pool = database.engine(settings)
        with pool.begin() as connection:
            origin = sources.ensure(connection, wish.source, wish.source_kind)
        reports = [_one(settings, wish, file, (pool, origin)) for file in files]
        pool.dispose()
    if as_json:
        told: Any = [asdict(report) for report in reports]
        typer.echo(json.dumps(told if len(told) > 1 else told[0], indent=1, default=str, ensure_ascii=False))
    else:
        for report in reports:
            _print(report)
    if any(report.bad_rows for report in reports):
        raise typer.Exit(1)


def carry_out(settings: Settings) -> None:
    """Carries out the imports asked for over HTTP; what answers customers goes first."""
    os.nice(5)
    with database.opened(settings) as pool:
        jobs.carry_out(pool, settings, settings.clock())


def show_runs(settings: Settings, as_json: bool) -> None:
    """The imports as a table."""
    pool = database.engine(settings)
    with pool.connect() as connection:
        found = runs.all_runs(connection)
    pool.dispose()
    rows = [
        {
            **asdict(run),
            "id": run.id if as_json else run.id[:8],
            "done": "" if not run.parts else f"{run.parts_done / run.parts:.0%}",
            "started": f"{run.started_at:%Y-%m-%d %H:%M}",
        }
        for run in found
    ]
    columns = ("id", "kind", "place", "state", "done", "rows", "bad_rows", "entries", "started", "error")
    options.show(rows, columns, "Imports", as_json)


def _one(settings: Settings, wish: Wish, place: Place, into: tuple[Engine, Source] | None) -> ImportReport:
    beside = Path(place.url).parent if place.is_local else settings.data_dir / "imports"
    beside.mkdir(parents=True, exist_ok=True)
    kept = wish.mapping or beside / f"{place.stem}.mapping.yaml"
    how = mappings.read(kept) if wish.mapping or kept.exists() else None
    report_to = wish.report or beside / f"{place.stem}.report.csv"
    now = settings.clock().now()
    with TemporaryDirectory(prefix="onevoice-import-") as folder, _bars(place.name) as progress:
        file, mark = places.fetched(place, Path(folder), settings.stores)
        if into is None:
            report = importing.dry_run(wish.kind, file, how, now, progress, report_to=report_to)
        else:
            report = importing.import_file(
                *(into[0], wish.kind, into[1], file, how, now, progress),
                place=str(Path(place.url).resolve()) if place.is_local else place.url,
                mark=mark,
                work=settings.data_dir / "imports",
                report_to=report_to,
                again=wish.again,
                secret=settings.secret(),
            )
    if wish.mapping_out or how is None:
        mappings.write(wish.mapping_out or kept, wish.kind, mappings.parsed(report.mapping))
    return report


class _Rate(ProgressColumn):
    """Rows, or megabytes, a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed / 1e6:,.0f} MB/s" if task.fields.get("bytes") else f"{speed:,.0f} rows/s")


@contextmanager
def _bars(name: str) -> Iterator[importing.Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), _Rate())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as shown:
        tasks: dict[str, TaskID] = {}

        def progress(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                label = f"{phase.capitalize()} {name}"
                tasks[phase] = shown.add_task(escape(label), bytes=phase == "reading", completed=done)
            shown.update(tasks[phase], completed=done, total=max(total, 1))

        yield progress


def _print(report: ImportReport) -> None:
    name = Path(report.place).name
    if report.already_at:
        typer.echo(
            f"{name}: imported already, at {report.already_at:%Y-%m-%d %H:%M} UTC; {report.entries:,} {report.kind} of "
            f"{report.rows:,} rows. Nothing was done; --again imports it once more."
        )
        return
    if report.continued_at:
        typer.echo(f"{name}: went on after row {report.continued_at:,}, where it had been broken off.")
    if report.id:
        said = f"{report.entries:,} {report.kind} taken"
    else:
        typer.echo(f"A dry run: nothing was written. {name} would be read so:\n")
        typer.echo(yaml.safe_dump(report.mapping, sort_keys=False, allow_unicode=True))
        for entry in report.sample:
            typer.echo(json.dumps(entry, indent=1, ensure_ascii=False))
        said = f"{report.entries:,} {report.kind} would be taken"
    typer.echo(f"{name}: {report.rows:,} rows read, {said}, {report.bad_rows:,} rows not taken.")
    if report.bad:
        table = Table("line", "column", "value", "reason", title="Rows not taken")
        for bad in report.bad[:SHOWN]:
            table.add_row(str(bad.line), escape(bad.column), escape(bad.value), escape(bad.reason))
        Console().print(table)
    if report.report:
        typer.echo(
            f"All of them are in {report.report}. Correct the file and import it again: what was taken is known."
        )
