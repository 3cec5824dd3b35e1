"""`onevoice journey`: which there are, how each stands, and launching, pausing, resuming, stopping one."""

from typing import Annotated

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show

app = group("Journeys: list, show, launch, pause, resume, stop, archive.")

Name = Annotated[str, typer.Argument(help="The journey's name")]


@app.command("list", help="List the journeys.")
def listed(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """The newest version of each."""
    from onevoice import database
    from onevoice.journeys import service

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        rows = [
            {
                "name": one.name,
                "title": one.document.title,
                "version": one.version,
                "status": one.status,
                "entered_by": one.document.entry.way,
                "launched_at": one.launched_at,
            }
            for one in service.all_journeys(connection)
        ]
    show(rows, ("name", "title", "version", "status", "entered_by", "launched_at"), "Journeys", as_json)


@app.command("show", help="Show a journey's steps.")
def shown(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Each with its place in the document; as JSON the document itself."""
    import json

    from onevoice import database
    from onevoice.journeys import service
    from onevoice.journeys.document import all_steps, written

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        found = service.get(connection, name)
    document = written(found.document)
    if as_json:
        typer.echo(json.dumps({"version": found.version, "status": found.status, "definition": document}, indent=1))
        return
    rows = [
        {"step": step.id, "kind": step.kind, "place": place.removeprefix("$.")}
        for place, step in all_steps(found.document.steps)
    ]
    show(rows, ("step", "kind", "place"), f"{name}, version {found.version}, {found.status}", False)


def _change(change: str, name: str, as_json: bool, data_dir: DataDir) -> None:
    from onevoice import database
    from onevoice.journeys import service

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        service.CHANGES[change](connection, name, found.clock().now())
        row = {"name": name, "status": service.get(connection, name).status}
    show([row], ("name", "status"), "Journey", as_json)


@app.command("launch", help="Let a journey take people in from now on.")
def launch(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """A draft, or one that was stopped."""
    _change("launch", name, as_json, data_dir)


@app.command("pause", help="Let everybody stand where they are.")
def pause(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Until it is resumed."""
    _change("pause", name, as_json, data_dir)


@app.command("resume", help="Go on where it was paused; messages over three days late are left out.")
def resume(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """People go on where they stood."""
    _change("resume", name, as_json, data_dir)


@app.command("stop", help="Take everybody out, and let nobody in.")
def stop(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """`launch` begins it anew; those taken out do not come back by themselves."""
    _change("stop", name, as_json, data_dir)


@app.command("archive", help="Put a journey away, with everybody out of it.")
def archive(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """`launch` brings it back."""
    _change("archive", name, as_json, data_dir)
