"""`onevoice match`: customers that may be one though no identifier joins them; a person accepts or refuses each."""

from typing import Annotated, Any

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show

app = group("Customers that may be one: look for them, then accept or refuse each.")

CustomerId = Annotated[int, typer.Argument(help="One of the two customers' ids")]
By = Annotated[str, typer.Option(help="Who decides")]
Note = Annotated[str, typer.Option(help="Why")]
STATES = ("open", "accepted", "refused")


@app.command("run", help="Weigh the records anew and keep what may be one. Needs the running engine.")
def run(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """What was open is replaced; what was refused is not suggested again."""
    import msgspec
    from rich.console import Console

    from onevoice import database
    from onevoice.api.matches import RUN_SECONDS
    from onevoice.customers import suggestions
    from onevoice.customers.schemas import Suggestion
    from onevoice.engine.client import EngineClient

    found = settings(data_dir)
    with database.opened(found) as pool:
        with pool.connect() as connection:
            refused = suggestions.refused(connection)
        with Console(stderr=True).status("Weighing pairs of records ..."):
            answer = EngineClient(found).ask("matches", patience=RUN_SECONDS, refused=refused)
        with pool.begin() as connection:
            suggestions.keep(connection, msgspec.convert(answer, list[Suggestion]), found.clock().now())
            _show(suggestions.listed(connection), as_json)


@app.command("list", help="List the suggestions, the likeliest first.")
def listed(
    state: Annotated[str, typer.Option(help=f"One of {', '.join(STATES)}")] = "open",
    limit: Annotated[int, typer.Option(min=1)] = 100,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Each with its match weight and what every field said."""
    from onevoice import database
    from onevoice.customers import suggestions
    from onevoice.kernel.errors import InvalidInput

    if state not in STATES:
        raise InvalidInput(f"--state is one of {', '.join(STATES)}; got {state!r}")
    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        _show(suggestions.listed(connection, state, limit), as_json)


@app.command("accept", help="They are one customer: merge them. `reopen` undoes it, exactly.")
def accept(
    left: CustomerId,
    right: CustomerId,
    by: By = "cli",
    note: Note = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """The running engine merges them with its next step."""
    _decide(left, right, "accepted", by, note, as_json, data_dir)


@app.command("refuse", help="They are two people: not to be suggested again. `reopen` undoes it.")
def refuse(
    left: CustomerId,
    right: CustomerId,
    by: By = "cli",
    note: Note = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Remembered by identifiers, so it holds when either customer has another id."""
    _decide(left, right, "refused", by, note, as_json, data_dir)


@app.command("reopen", help="Undo what was decided; a merge is undone with it.")
def reopen(
    left: CustomerId, right: CustomerId, by: By = "cli", as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """The suggestion is open again."""
    _decide(left, right, "open", by, "", as_json, data_dir)


def _decide(left: int, right: int, state: str, by: str, note: str, as_json: bool, data_dir: DataDir) -> None:
    from onevoice import database
    from onevoice.customers import suggestions

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        _show([suggestions.decide(connection, left, right, state, by, note, found.clock().now())], as_json)


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    shown = rows if as_json else [{**row, **_in_words(row)} for row in rows]
    columns = ("left_customer_id", "right_customer_id", "weight", "probability", "for", "against", "state")
    show(shown, columns, "Customers that may be one", as_json)


def _in_words(row: dict[str, Any]) -> dict[str, str]:
    spoken = {
        side: ", ".join(
            f"{one['field']} {one['left']} / {one['right']} ({one['weight']:+.1f})"
            for one in row["evidence"]
            if one["weight"] * sign > 0
        )
        for side, sign in (("for", 1), ("against", -1))
    }
    return {"weight": f"{row['weight']:.1f}", "probability": f"{row['probability']:.4f}", **spoken}
