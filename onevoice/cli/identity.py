"""`onevoice identity`: who is one customer and why; merge, unmerge, preview, undo; links that do not join."""

from typing import Annotated, Any

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show

app = group("Who is one customer, and why: show, merge, unmerge, undo, rebuild, warnings.")

Name = Annotated[str, typer.Argument(help="namespace:value, such as loyalty_card:900, or customer:ID")]
By = Annotated[str, typer.Option(help="Who decides")]
Note = Annotated[str, typer.Option(help="Why")]
Dry = Annotated[bool, typer.Option("--dry-run", help="Only say what would change; needs the running engine")]


@app.command("show", help="Show a customer's identifiers, links, decisions and warnings. Needs the running engine.")
def show_command(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """One table each."""
    from onevoice import database
    from onevoice.customers import decisions
    from onevoice.engine.client import EngineClient

    found = settings(data_dir)
    engine = EngineClient(found)
    with database.opened(found) as pool, pool.connect() as connection:
        one = decisions.named(connection, name)
        customer = engine.ask("customer_of", namespace=one.namespace, value=one.value)
        pairs = [(row["namespace"], row["value"]) for row in customer["identifiers"]]
        decided = decisions.listed(connection, pairs)
    warnings = engine.ask("identity_warnings", customer_id=int(customer["customer_id"]))
    if as_json:
        show([{**customer, "decisions": decided, "warnings": warnings}], (), "", True)
        return
    title = f"Customer {customer['customer_id']}"
    show(customer["identifiers"], ("namespace", "value", "first_seen_at"), title, False)
    show(customer["links"], ("left", "right", "kind", "trust", "source_id", "event_id", "linked_at"), "Links", False)
    _decisions(decided, False)
    _warnings(warnings, False)


@app.command("merge", help="They are one customer, whatever the limits say. Prints the decision's id, for undo.")
def merge(
    one: Name, other: Name, by: By = "cli", note: Note = "", dry_run: Dry = False, data_dir: DataDir = None
) -> None:
    """A link made by a person."""
    _decide("merge", one, other, by, note, dry_run, data_dir)


@app.command("unmerge", help="They are two customers, now and later; with one identifier: it joins nobody.")
def unmerge(
    one: Name,
    other: Annotated[str, typer.Argument(help="The other; none: all links of the one")] = "",
    by: By = "cli",
    note: Note = "",
    dry_run: Dry = False,
    data_dir: DataDir = None,
) -> None:
    """To take a merge back that a person made, use undo."""
    _decide("part" if other else "block", one, other, by, note, dry_run, data_dir)


@app.command("undo", help="Take a decision back, as if it had never been made.")
def undo(
    decision: Annotated[str, typer.Argument(help="Its id, see `decisions`")],
    by: By = "cli",
    note: Note = "",
    dry_run: Dry = False,
    data_dir: DataDir = None,
) -> None:
    """Once for each decision."""
    from uuid import UUID

    from onevoice import database
    from onevoice.customers import decisions
    from onevoice.kernel.errors import InvalidInput

    try:
        decision_id = UUID(decision)
    except ValueError as error:
        raise InvalidInput(f"{decision!r} is no decision's id; list them with `onevoice identity decisions`") from error
    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        if dry_run:
            told = decisions.undoing(decisions.get(connection, decision_id), by, note, found.clock().now())
            _preview(found, told)
            return
        typer.echo(decisions.undo(connection, decision_id, by, note, found.clock().now()))


@app.command("rebuild", help="Group everybody anew, after [identity] of onevoice.toml was changed.")
def rebuild(by: By = "cli", dry_run: Dry = False, data_dir: DataDir = None) -> None:
    """The engine does it by the rules it was started with; a dry run by those of onevoice.toml as it is now."""
    import json

    from onevoice import database
    from onevoice.customers import decisions
    from onevoice.engine.client import EngineClient
    from onevoice.events import sources

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        if dry_run:
            ids = {one.name: one.id for one in sources.all_sources(connection)}
            told = EngineClient(found).ask("identity_rebuild", identity=found.identity, ids=ids)
            typer.echo(json.dumps(told, indent=1))
            return
        decisions.ask_rebuild(connection, by, found.clock().now())
    typer.echo(
        "The engine groups everybody anew in its next step, by the rules it was started with. Where onevoice.toml was "
        "changed since then, start it again first. Once it is done, a --dry-run finds nothing to change."
    )


@app.command("decisions", help="List what people decided, the newest first.")
def decisions_command(
    limit: Annotated[int, typer.Option(min=1)] = 100, as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """With what was undone."""
    from onevoice import database
    from onevoice.customers import decisions

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        _decisions(decisions.listed(connection, limit=limit), as_json)


@app.command("warnings", help="List links that do not join, and the rule that says so. Needs the running engine.")
def warnings_command(
    rule: Annotated[str, typer.Option(help="limit, size, apart, unproven, shared or blocked")] = "",
    limit: Annotated[int, typer.Option(min=1)] = 100,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """The newest first."""
    from onevoice.engine.client import EngineClient

    _warnings(EngineClient(settings(data_dir)).ask("identity_warnings", rule=rule, limit=limit), as_json)


def _decide(action: str, one: str, other: str, by: str, note: str, dry_run: bool, data_dir: DataDir) -> None:
    from onevoice import database
    from onevoice.customers import decisions, identifiers

    found = settings(data_dir)
    rules = identifiers.rules(found.identity, {})
    with database.opened(found) as pool, pool.begin() as connection:
        ends = [decisions.named(connection, name, rules) for name in (one, other) if name]
        decision = decisions.Decision(
            action, ends[0], ends[1] if len(ends) > 1 else None, by, note, found.clock().now()
        )
        if dry_run:
            _preview(found, decisions.entry(decision))
            return
        typer.echo(decisions.decide(connection, decision))


def _preview(found: Any, told: Any) -> None:
    import json

    import msgspec

    from onevoice.engine.client import EngineClient

    answer = EngineClient(found).ask("identity_preview", told=msgspec.to_builtins(told), identity=found.identity)
    typer.echo(json.dumps(answer, indent=1, ensure_ascii=False))


def _decisions(rows: list[dict[str, Any]], as_json: bool) -> None:
    for row in rows:
        row["one"] = f"{row['namespace']}:{row['value']}"
        row["other"] = f"{row['other_namespace']}:{row['other_value']}" if row["other_namespace"] else ""
    show(rows, ("id", "action", "one", "other", "person", "note", "decided_at", "undone_by"), "Decisions", as_json)


def _warnings(rows: list[dict[str, Any]], as_json: bool) -> None:
    columns = ("rule", "namespace", "identifier", "other", "source_id", "event_id", "occurred_at", "says")
    show(rows, columns, "Links that do not join", as_json)
