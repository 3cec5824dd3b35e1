"""`onevoice import`: a file's rows into the inbox, with progress and a report of the rows that could not be taken."""

import json
from dataclasses import asdict
from pathlib import Path

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from onevoice import database
from onevoice.cli.kinds import ImportKind
from onevoice.events import importing, sources
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.settings import Settings

SHOWN = 20
"""Bad rows printed; the JSON has all that the report keeps."""


def run(
    settings: Settings, kind: ImportKind, file: Path, source: str, source_kind: str, mapping: Path | None, as_json: bool
) -> None:
    """Imports the file and prints the report; exit status 1 where rows could not be taken."""
    database.migrate(settings)
    pool = database.engine(settings)
    with pool.begin() as connection:
        origin = sources.ensure(connection, source, source_kind)
    columns = None
    if mapping is not None:
        columns = yaml.safe_load(mapping.read_text())
        if not isinstance(columns, dict):
            raise InvalidInput(f"{mapping}: expected lines of the form `our field: the file's column`")
    bars = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeRemainingColumn(),
    )
    with Progress(*bars, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"Importing {file.name}", total=None)
        report = importing.import_file(
            pool,
            kind.value,
            origin,
            file,
            columns,
            settings.clock().now(),
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    pool.dispose()
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=1, default=str))
    else:
        typer.echo(
            f"{report.rows:,} rows read, {report.entries:,} {kind.value} taken, {len(report.bad):,} rows not taken."
        )
        if report.bad:
            table = Table("row", "column", "reason", title="Rows not taken")
            for bad in report.bad[:SHOWN]:
                table.add_row(str(bad.row), escape(bad.column), escape(bad.reason))
            Console().print(table)
    if report.bad:
        raise typer.Exit(1)
