"""`onevoice quarantine`: what could not be taken, with its reason; corrected, replayed, discarded."""

from pathlib import Path
from typing import Annotated, Any

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show

app = group("What could not be taken, with its reason: list, show, correct, replay, discard.")

Number = Annotated[int, typer.Argument(help="The entry's number, as `list` gives it")]
Reason = Annotated[str | None, typer.Option(help="Only entries with this reason")]
COLUMNS = ("number", "state", "kind", "source_id", "reason", "detail", "received_at")


@app.command("list", help="List the entries, the newest first.")
def listed(
    state: Annotated[str, typer.Option(help="open, replayed, discarded or all")] = "open",
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Payloads are in the JSON, and in `show`."""
    from onevoice import database
    from onevoice.events import quarantine

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        rows = [_plain(held) for held in quarantine.listed(connection, state=state, reason=reason, limit=limit)]
    show(rows, COLUMNS, "Quarantine", as_json)


@app.command("counts", help="Count the open entries by source and reason.")
def counts(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """The most first."""
    from onevoice import database
    from onevoice.events import quarantine

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        show(quarantine.counts(connection), ("source_id", "reason", "open", "last"), "Open entries", as_json)


@app.command("show", help="Show one entry as it came.")
def one(number: Number, data_dir: DataDir = None) -> None:
    """As JSON, to be corrected in an editor and replayed with --from."""
    from onevoice import database
    from onevoice.events import quarantine

    with database.opened(settings(data_dir)) as pool, pool.begin() as connection:
        held = quarantine.get(connection, number)
    typer.echo(f"{held.refused.reason}: {held.refused.detail}", err=True)
    typer.echo(held.refused.payload.decode("utf-8", "replace"))


@app.command("replay", help="Take entries again: one (corrected with --from FILE), or all open ones of a reason.")
def replayed(
    number: Annotated[int | None, typer.Argument(help="The entry's number; without it, all open ones")] = None,
    reason: Reason = None,
    corrected: Annotated[
        Path | None, typer.Option("--from", exists=True, dir_okay=False, help="JSON to take in the entry's place")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """What is still at fault stays; exit status 1 where there is such a one."""
    from onevoice import database
    from onevoice.events import plans, quarantine, replay
    from onevoice.kernel.errors import InvalidInput

    if corrected is not None and number is None:
        raise InvalidInput("--from goes with an entry's number")
    found = settings(data_dir)
    rows: list[dict[str, Any]] = []
    with database.opened(found) as pool:
        with pool.connect() as connection:
            planned = plans.ready(connection)
            numbers = [number] if number is not None else _open(connection, reason)
        with typer.progressbar(numbers, label="Replaying", file=typer.get_text_stream("stderr")) as bar:
            for each in bar:
                payload = corrected.read_bytes() if corrected is not None else None
                try:
                    with pool.begin() as connection:
                        outcome = replay.replay(connection, each, found.clock().now(), planned, payload)
                    rows.append({"number": each, "outcome": outcome})
                except InvalidInput as error:
                    rows.append({"number": each, "outcome": "still at fault", "message": error.message})
    show(rows, ("number", "outcome", "message"), "Replayed", as_json)
    if any(row["outcome"] not in (quarantine.REPLAYED, replay.DEDUPLICATED) for row in rows):
        raise typer.Exit(1)


@app.command("discard", help="Say that an entry is not wanted; it stays readable, and `reopen` undoes it.")
def discard(number: Number, data_dir: DataDir = None) -> None:
    """Marks it."""
    _mark("discard", number, data_dir)
    typer.echo(f"Entry {number} is discarded.")


@app.command("reopen", help="Undo a discard.")
def reopen(number: Number, data_dir: DataDir = None) -> None:
    """It is open again."""
    _mark("reopen", number, data_dir)
    typer.echo(f"Entry {number} is open.")


def _mark(how: str, number: int, data_dir: DataDir) -> None:
    from onevoice import database
    from onevoice.events import replay

    mark = {"discard": replay.discard, "reopen": replay.reopen}[how]
    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        mark(connection, number, found.clock().now())


def _open(connection: Any, reason: str | None) -> list[int]:
    from onevoice.events import quarantine

    numbers: list[int] = []
    before: int | None = None
    while page := quarantine.listed(connection, reason=reason, before=before, limit=1_000):
        numbers += [held.number for held in page]
        before = page[-1].number
    return numbers


def _plain(held: Any) -> dict[str, Any]:
    from onevoice.events import replay

    refused = held.refused
    return {
        "number": held.number,
        "state": held.state,
        "kind": replay.kind_of(held),
        "source_id": refused.source_id,
        "reason": refused.reason,
        "detail": refused.detail,
        "received_at": f"{refused.received_at:%Y-%m-%d %H:%M:%S}",
        "payload": refused.payload.decode("utf-8", "replace"),
    }
