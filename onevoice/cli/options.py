"""What commands share: where the data is, JSON beside every table, the settings read once, one table on the screen.

A group of commands is a `typer.Typer` of its own file, added in main.py; its heavy imports stand in its functions.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from onevoice.kernel import log
from onevoice.kernel.settings import Settings, load

DataDir = Annotated[Path | None, typer.Option(help="Where the data is kept (default: ./data)", show_default=False)]
Locale = Annotated[str, typer.Option(help="Language of the sentences: en, it, ro, id or ar")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")]


def settings(data_dir: Path | None = None, port: int | None = None) -> Settings:
    """The settings, with the log set up accordingly."""
    found = load(data_dir=data_dir, port=port)
    log.configure(found.log_level)
    return found


def group(about: str) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(no_args_is_help=True, help=about, pretty_exceptions_enable=False)


def show(rows: Sequence[Mapping[str, Any]], columns: Iterable[str], title: str, as_json: bool) -> None:
    """Rows as JSON, or those columns of them as a table."""
    if as_json:
        typer.echo(json.dumps(list(rows), indent=1, default=str, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    names = list(columns)
    table = Table(*(name.replace("_", " ") for name in names), title=title)
    for row in rows:
        table.add_row(*(escape("" if row.get(name) is None else str(row[name])) for name in names))
    Console().print(table)
