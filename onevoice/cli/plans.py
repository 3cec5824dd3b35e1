"""`onevoice tracking-plan`: what events must look like (saved by `onevoice apply`), and what was taken all the same."""

import json
from typing import Annotated

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show

app = group("Tracking plans: what events must look like. Write them as `kind: tracking_plan` for `onevoice apply`.")


@app.command("list", help="List the tracking plans.")
def listed(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """By the event's name."""
    from onevoice import database
    from onevoice.events import plans

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        rows = plans.all_plans(connection)
    for row in rows:
        row["on_violation"] = row["definition"].get("on_violation", "warn")
    show(rows, ("name", "version", "on_violation"), "Tracking plans", as_json)


@app.command("warnings", help="List what plans object to in events that were taken.")
def warnings(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100, as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """The newest first."""
    from onevoice import database
    from onevoice.events import plans

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        rows = plans.warnings(connection, limit)
    show(rows, ("event", "source_id", "problem", "times", "last_at", "example"), "Warnings", as_json)


@app.command("delete", help="Take a plan away; prints its document, with which it can be saved again.")
def delete(name: Annotated[str, typer.Argument(help="The event's name, or *")], data_dir: DataDir = None) -> None:
    """Prints YAML's JSON."""
    from onevoice import database
    from onevoice.events import plans

    with database.opened(settings(data_dir)) as pool, pool.begin() as connection:
        typer.echo(json.dumps(plans.delete(connection, name), indent=1, ensure_ascii=False))
