"""`onevoice privacy`: the archive of a customer, erasure with its report, retention tried and run."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show

app = group("A customer's rights: access, erasure, retention.")

CustomerId = Annotated[int, typer.Argument(help="The customer's id, as search gives it")]
By = Annotated[str, typer.Option(help="Who asks")]
Note = Annotated[str, typer.Option(help="Why")]


@app.command("archive", help="Write all that is kept of a customer into one archive. Needs the running engine.")
def archive(
    customer_id: CustomerId,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write")] = None,
    by: By = "cli",
    note: Note = "",
    data_dir: DataDir = None,
) -> None:
    """JSON and CSV for programs, a page for people."""
    from onevoice import database
    from onevoice.engine.client import EngineClient
    from onevoice.privacy import access

    found = settings(data_dir)
    now = found.clock().now()
    told = EngineClient(found).ask("access", patience=access.PATIENCE_SECONDS, customer_id=customer_id)
    with database.opened(found) as pool, pool.begin() as connection:
        packed = access.archive(connection, told, customer_id, now)
        access.noted(connection, customer_id, by, note, now)
    file = output or Path(f"customer-{customer_id}.zip")
    file.write_bytes(packed)
    typer.echo(f"Wrote {file} ({len(packed):,} bytes)")


@app.command("erase", help="Erase a customer from every store. It cannot be undone.")
def erase(
    customer_id: CustomerId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
    by: By = "cli",
    note: Note = "",
    data_dir: DataDir = None,
) -> None:
    """The running engine does it with its next step; `onevoice privacy report` shows what was found and is left."""
    from onevoice import database
    from onevoice.privacy import erasure

    if not yes:
        typer.confirm(f"Erase customer {customer_id} from every store, for ever?", abort=True)
    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        number = erasure.request(connection, customer_id, by, note, found.clock().now())
    typer.echo(f"Asked for. Follow it: onevoice privacy report {number}")


@app.command("requests", help="List the requests for access and erasure.")
def requests(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """The newest first."""
    from onevoice import database
    from onevoice.privacy import erasure

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        rows = erasure.listed(connection)
    columns = ("id", "kind", "state", "requested_by", "requested_at", "finished_at", "note")
    show(rows, columns, "Requests", as_json)


@app.command("report", help="Show an erasure's report: every store and table, rows found and rows left.")
def report(
    request_id: Annotated[str, typer.Argument(help="The request's number")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Zero must be left."""
    from uuid import UUID

    from onevoice import database
    from onevoice.kernel.errors import InvalidInput
    from onevoice.privacy import erasure

    try:
        number = UUID(request_id)
    except ValueError as error:
        raise InvalidInput(f"{request_id} is no request's number; see `onevoice privacy requests`") from error
    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        told = erasure.get(connection, number)
    if as_json:
        typer.echo(json.dumps(told, indent=1, default=str, ensure_ascii=False))
        return
    typer.echo(f"{told['kind']}: {told['state']}")
    if told["report"]:
        show(told["report"]["tables"], ("store", "table", "found", "left"), "Rows of the customer", False)
        typer.echo(f"{told['report']['found']} rows found, {told['report']['left']} left. Not looked at:")
        for one in told["report"]["not_looked_at"]:
            typer.echo(f"  - {one}")


@app.command("retention", help="Show what a run of the retention rules would remove; with --run, ask for it.")
def retention_command(
    run: Annotated[bool, typer.Option("--run", help="Ask the engine to do it with its next step")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Rules are documents of `kind: retention` for `onevoice apply`; without --run nothing is changed."""
    import msgspec

    from onevoice import database
    from onevoice.engine.client import EngineClient
    from onevoice.privacy import retention

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        rules = [rule for document in retention.documents(connection) for rule in retention.rules(document)]
        asked = msgspec.to_builtins(rules)
        aged = EngineClient(found).ask("retention_tried", patience=retention.PATIENCE_SECONDS, rules=asked)
        outcomes = retention.outcomes(connection, rules, aged, found.clock().now())
        if run:
            retention.ask(connection, found.clock().now())
    rows: list[dict[str, Any]] = [
        {"purpose": one.purpose, "data": one.data, "before": f"{one.before:%Y-%m-%d}", "table": name, "rows": number}
        for one in outcomes
        for name, number in one.rows.items()
    ]
    show(rows, ("purpose", "data", "before", "table", "rows"), "Too old", as_json)
    if run:
        typer.echo("Asked for; the engine does it with its next step.", err=True)
