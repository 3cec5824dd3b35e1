"""`onevoice segment`: who is in which segment and why; try a condition; versions, restore, delete."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show

app = group("Segments: who is in them and why, what they were before, what a new one would find.")

Locale = Annotated[str, typer.Option(help="Language of the words: en, it, ro, id or ar")]
Name = Annotated[str, typer.Argument(help="The segment's name")]
BY = "command line"


@app.command("list", help="List all segments with sizes and freshness. Needs the running engine.")
def listed(
    archived: Annotated[bool, typer.Option("--archived", help="The deleted ones")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """By name."""
    from onevoice import database
    from onevoice.engine.client import EngineClient
    from onevoice.segments import service

    found = settings(data_dir)
    with database.opened(found) as pool, pool.connect() as connection:
        if archived:
            gone = [{"name": one.name, "version": one.version} for one in service.archived(connection)]
            show(gone, ["name", "version"], "Deleted segments", as_json)
            return
        ours = service.all_segments(connection)
    engine = EngineClient(found)
    sizes, states = engine.ask("segment_sizes"), engine.ask("segment_states")
    rows = [
        {"name": one.name, "version": one.version, "size": sizes.get(one.name, 0), **_freshness(states, one.name)}
        for one in ours
    ]
    show(rows, ["name", "version", "size", "computed_at", "took_ms", "error"], "Segments", as_json)


@app.command("show", help="Show one segment: definition, size, some customers. Needs the running engine.")
def shown(name: Name, locale: Locale = "en", as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """As YAML."""
    from onevoice.engine.client import EngineClient
    from onevoice.segments.sentence import sentence
    from onevoice.segments.tree import condition

    found = settings(data_dir)
    engine = EngineClient(found)
    counted = engine.ask("segment", name=name)
    state = _freshness(engine.ask("segment_states"), name)
    document = _document(found, name)
    words = sentence(condition(document["where"]), locale)
    _print({"name": name, "sentence": words, "definition": document, **counted, **state}, as_json)


@app.command(
    "explain", help="Say why a customer is in a segment or not, with the values seen. Needs the running engine."
)
def explained(
    name: Name,
    customer_id: Annotated[int, typer.Argument(help="The customer's id, as a search gives it")],
    locale: Locale = "en",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Each condition with a tick or a cross."""
    from onevoice.engine.client import EngineClient

    found = settings(data_dir)
    where = _document(found, name)["where"]
    tree = EngineClient(found).ask("segment_explain", where=where, customer_id=customer_id, locale=locale)
    if as_json:
        typer.echo(json.dumps(tree, indent=1, ensure_ascii=False))
    else:
        typer.echo("\n".join(_lines(tree)))


@app.command("preview", help="Try the segment of a YAML file; nothing is saved. Needs the running engine.")
def previewed(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file with `where`, as for `apply`")],
    sample: Annotated[int, typer.Option(min=0, max=100)] = 10,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Size, some customers, and the overlap with every segment."""
    from onevoice.engine.client import EngineClient
    from onevoice.kernel import documents
    from onevoice.kernel.errors import InvalidInput

    document = documents.document(file.read_text())
    if not isinstance(document, dict) or "where" not in document:
        raise InvalidInput(f"{file}: expected a document with `where`, the condition")
    engine = EngineClient(settings(data_dir))
    _print(engine.ask("segment_preview", where=document["where"], sample=sample, overlap=True), as_json)


@app.command("versions", help="List all versions of a segment, or show what changed between two.")
def versions(
    name: Name,
    between: Annotated[tuple[int, int] | None, typer.Option("--diff", help="Two versions to compare")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """The newest first."""
    from onevoice import database
    from onevoice.segments import service

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        if between is not None:
            lines = service.difference(connection, name, *between)
            typer.echo(json.dumps({"lines": lines}) if as_json else lines)
            return
        rows = [
            {"version": one.version, "saved_at": one.saved_at, "saved_by": one.saved_by, "definition": one.document}
            for one in service.versions(connection, name)
        ]
    show(rows, ["version", "saved_at", "saved_by"], f"Versions of {name}", as_json)


@app.command("restore", help="Bring back a deleted segment, or an earlier version as the newest.")
def restored(
    name: Name,
    version: Annotated[int | None, typer.Option(help="The version; left out: the deleted segment")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Undoes `delete` and any change."""
    from onevoice import database
    from onevoice.segments import service

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        number, changed = service.restore(connection, name, found.clock().now(), version, BY)
    show([{"name": name, "version": number, "changed": changed}], ["name", "version", "changed"], "Restored", as_json)


@app.command("delete", help="Delete a segment that nothing needs; `restore` undoes it.")
def deleted(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Refused with the path where another segment or a journey needs it."""
    from onevoice import database
    from onevoice.journeys import service as journeys
    from onevoice.segments import service

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        service.delete(connection, name, found.clock().now(), journeys.waiting(connection))
    undo = f"onevoice segment restore {name}"
    typer.echo(json.dumps({"deleted": name, "undo": undo}) if as_json else f"Deleted {name}. Undo: {undo}")


def _document(found: Any, name: str) -> dict[str, Any]:
    from onevoice import database
    from onevoice.segments import service

    with database.opened(found) as pool, pool.connect() as connection:
        return service.get(connection, name).document


def _freshness(states: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: states.get(name, {}).get(key) for key in ("computed_at", "took_ms", "error")}


def _print(values: dict[str, Any], as_json: bool) -> None:
    import yaml

    if as_json:
        typer.echo(json.dumps(values, indent=1, ensure_ascii=False))
    else:
        typer.echo(yaml.safe_dump(values, allow_unicode=True, sort_keys=False).rstrip())


def _lines(node: dict[str, Any], depth: int = 0) -> list[str]:
    mark = "✓" if node["holds"] else "✗"
    seen = ", ".join(f"{name} {value}" for name, value in node.get("seen", {}).items()) or "nothing"
    told = f"{node['said']}  (seen: {seen})" if "said" in node else node["kind"]
    inner = [line for one in node.get("conditions", []) for line in _lines(one, depth + 1)]
    return [f"{'  ' * depth}{mark} {told}", *inner]
