"""`onevoice export`: from the running engine, or from the warehouse itself, to a file, an object store, or a pipe."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import PurePosixPath

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

from onevoice import warehouse
from onevoice.cli.kinds import ExportFormat, ExportKind
from onevoice.engine import exports
from onevoice.engine.client import EngineClient
from onevoice.engine.exports import Export
from onevoice.events.imports import places
from onevoice.kernel.errors import InvalidInput, Unavailable
from onevoice.kernel.settings import Settings


def run(
    settings: Settings,
    what: ExportKind,
    name: str,
    format: ExportFormat | None,
    out: str,
    since: str,
    until: str,
    safe: bool,
) -> None:
    """Writes the export, with progress; by default to WHAT.FORMAT in this folder."""
    if bool(name) != (what is ExportKind.SEGMENT):
        raise InvalidInput("`onevoice export segment NAME` exports a segment; the others have no name")
    ending = PurePosixPath(out).suffix.lstrip(".").lower()
    if format is None and ending and ending not in exports.FORMATS:
        raise InvalidInput(f"-o ends in .{ending}; name the format with --format")
    form = format.value if format else ending or "parquet"
    target = out or f"{name or what.value}.{form}"
    wanted = Export(what.value, form, name, since, until, safe)
    columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"Exporting {name or what.value}", total=None)

        def counted() -> Iterator[bytes]:
            for piece in _pieces(settings, wanted):
                yield piece
                progress.advance(task, len(piece))

        if target == "-":
            for piece in counted():
                sys.stdout.buffer.write(piece)
            return
        places.write(target, counted(), settings.stores)
    Console(stderr=True).print(f"Written to {target}", markup=False)


def _pieces(settings: Settings, wanted: Export) -> Iterator[bytes]:
    try:
        found = EngineClient(settings).export(**asdict(wanted))
    except Unavailable:  # no engine runs, so the warehouse is free
        store = warehouse.connect(settings.warehouse, settings.warehouse_memory_mb)
        try:
            yield from exports.stream(store, wanted)
        finally:
            store.close()
    else:
        yield from found
