"""`onevoice list`: lists of identifiers from a file, for the condition `list`."""

import csv
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show
from onevoice.kernel.errors import InvalidInput

app = group("Lists of identifiers from a file, for the condition `list`.")

Name = Annotated[str, typer.Argument(help="The list's name")]


@app.command("import", help="Make a file's values the list's; `undo` brings those it had back.")
def imported(
    name: Name,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="One value a line, or CSV with --column")],
    namespace: Annotated[str, typer.Option(help="What the values are: user_id, email, phone, loyalty_card, ...")],
    column: Annotated[str | None, typer.Option(help="The column of a CSV file that holds them")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Values that cannot be of the namespace are shown, the others taken."""
    from onevoice import database
    from onevoice.segments import lists

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        done = lists.save(connection, name, namespace, _values(file, column), found.clock().now(), file.name)
    show([{**asdict(done), "refused": len(done.refused)}], ("name", "size", "refused"), "Imported", as_json)
    for value in done.refused[:10]:
        typer.echo(f"Not a {namespace}: {value!r}", err=True)


@app.command("show", help="List the lists with their sizes.")
def shown(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """By name."""
    from onevoice import database
    from onevoice.segments import lists

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        show(lists.lists(connection), ("name", "size", "origin", "saved_at"), "Lists", as_json)


@app.command("remove", help="Take a list away; `undo` brings it back.")
def removed(name: Name, data_dir: DataDir = None) -> None:
    """Nobody is on it from then on."""
    from onevoice import database
    from onevoice.segments import lists

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        lists.remove(connection, name, found.clock().now())
    typer.echo(f"The list {name} is gone; `onevoice list undo {name}` brings it back.")


@app.command("undo", help="Take the last import or removal of a list back.")
def undone(name: Name, data_dir: DataDir = None) -> None:
    """Once: of each list the one before is kept."""
    from onevoice import database
    from onevoice.segments import lists

    with database.opened(settings(data_dir)) as pool, pool.begin() as connection:
        lists.undo(connection, name)
    typer.echo(f"The list {name} is again what it was.")


def _values(file: Path, column: str | None) -> Iterator[str]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        if column is None:
            yield from (value for line in lines if (value := line.strip()))
            return
        rows = csv.DictReader(lines)
        if column not in (rows.fieldnames or ()):
            raise InvalidInput(f"{file.name} has no column {column!r}; it has {', '.join(rows.fieldnames or ())}")
        yield from (value for row in rows if (value := (row[column] or "").strip()))
