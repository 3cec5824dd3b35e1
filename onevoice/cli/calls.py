"""`onevoice call`: the list of calls that people make, who takes one, and what came of it."""

import getpass
from typing import Annotated
from uuid import UUID

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show

app = group("Calls that people make to customers.")

Id = Annotated[UUID, typer.Argument(help="Of the call, as `list` shows it")]
Agent = Annotated[str, typer.Option(help="Who calls; by default who you are here")]


@app.command("list", help="Show open calls, with what to say.")
def list_command(
    limit: int = 50,
    mine: Annotated[bool, typer.Option(help="Only what nobody else has taken")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """The oldest first."""
    from onevoice import database
    from onevoice.delivery import calls
    from onevoice.delivery.links import LinkMaker

    found = settings(data_dir)
    with database.opened(found) as pool:
        links = LinkMaker(found.secret(), found.base_url)
        rows = calls.listed(pool, links, found.clock().now(), limit, getpass.getuser() if mine else "")
    show(rows, ("message_id", "number", "title", "script", "call_before", "taken_by", "tries"), "Calls", as_json)


@app.command("take", help="Take a call, so that nobody else does.")
def take(message_id: Id, agent: Agent = "", data_dir: DataDir = None) -> None:
    """Undo: `onevoice call result ID no_answer` puts it back."""
    from onevoice import database
    from onevoice.delivery import calls

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        calls.take(connection, message_id, agent or getpass.getuser(), found.clock().now())
    typer.echo("Yours.")


@app.command("result", help="Say what came of it: talked, voicemail, no_answer, wrong_number, no_more_calls.")
def result(
    message_id: Id,
    what: Annotated[str, typer.Argument(help="no_answer puts it back on the list; the others end it")],
    note: str = "",
    agent: Agent = "",
    data_dir: DataDir = None,
) -> None:
    """What was said is kept with the call."""
    from onevoice import database
    from onevoice.delivery import calls

    found = settings(data_dir)
    now = found.clock().now()
    with database.opened(found) as pool, pool.begin() as connection:
        calls.end(connection, found.secret(), message_id, agent or getpass.getuser(), what, note, now)
    typer.echo("Noted.")
