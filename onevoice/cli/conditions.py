"""`onevoice segment schema`: the schema of conditions, for an editor."""

import json

import typer

from onevoice.cli.options import group

app = group("Segments: who is asked for, as a tree of conditions.")


@app.command("schema", help="Print the JSON Schema of a segment's conditions, for an editor.")
def schema() -> None:
    """What `where` may hold."""
    from onevoice.segments.schema import tree_schema

    typer.echo(json.dumps(tree_schema(), indent=2, ensure_ascii=False))
