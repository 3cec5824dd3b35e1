"""`onevoice opt-out`: texts that look as if somebody wanted no more, and a person's word on them."""

import getpass
from typing import Annotated
from uuid import UUID

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show

app = group("Texts that may be opt-outs. Exact words such as STOP are none of these: they act at once.")

Ids = Annotated[list[UUID], typer.Argument(help="Of the texts, as `list` shows them")]


@app.command("list", help="Show what waits for a person.")
def list_command(limit: int = 100, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """The oldest first."""
    from onevoice import database
    from onevoice.delivery import opt_outs

    found = settings(data_dir)
    with database.opened(found) as pool, pool.connect() as connection:
        rows = opt_outs.waiting(connection, limit)
    show(rows, ("id", "received_at", "channel", "address", "text"), "Perhaps opt-outs", as_json)


@app.command("confirm", help="They want no more: as if they had written STOP.")
def confirm(ids: Ids, data_dir: DataDir = None) -> None:
    """Their consent on the channel is withdrawn. Undo: they consent again."""
    _decide(ids, True, data_dir)


@app.command("dismiss", help="They want something else.")
def dismiss(ids: Ids, data_dir: DataDir = None) -> None:
    """Nothing changes for them."""
    _decide(ids, False, data_dir)


def _decide(ids: list[UUID], wants_no_more: bool, data_dir: DataDir) -> None:
    from onevoice import database
    from onevoice.delivery import opt_outs

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        done = opt_outs.decide(connection, found.secret(), ids, wants_no_more, getpass.getuser(), found.clock().now())
    typer.echo(f"{done} decided.")
