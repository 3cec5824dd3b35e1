"""`onevoice policy`: how often and when anybody is contacted at all: shown, compared with a file, applied."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show

if TYPE_CHECKING:
    from onevoice.customers.contact import ContactPolicy

app = group("The contact policy of the house: caps, quiet hours, gaps, the control group.")

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A document of the kind `contact_policy`")]
DIFFERENCE = ("field", "before", "after")


@app.command("show", help="Show the policy that holds, as the YAML that `apply` takes.")
def showed(
    number: Annotated[int | None, typer.Option("--version", min=0, help="Another version; 0 is the default")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """A comment says which version it is."""
    import yaml

    from onevoice import database
    from onevoice.customers.contact import store, written

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        found = store.current(connection) if number is None else store.version(connection, number)
    document = written(found.policy)
    if as_json:
        typer.echo(json.dumps({"version": found.version, "definition": document}, indent=1, ensure_ascii=False))
        return
    typer.echo(f"# version {found.version}" if found.version else "# the default: nothing has been decided yet")
    typer.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True).rstrip())


@app.command("versions", help="List all versions.")
def versions(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """The newest first."""
    from onevoice import database
    from onevoice.customers.contact import store

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        show(store.versions(connection), ("version", "saved_at", "saved_by"), "Contact policy", as_json)


@app.command("diff", help="Show what a file would change; nothing is saved.")
def diff(file: File, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """By field."""
    from onevoice import database
    from onevoice.customers.contact import store

    wanted = _read(file)
    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        found = store.difference(store.current(connection).policy, wanted)
    show(found, DIFFERENCE, f"What {file.name} would change", as_json)


@app.command("apply", help="Let a file's policy hold from the next tick on; what held stays as a version.")
def applied(file: File, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """`onevoice policy show --version N > before.yaml` and `apply before.yaml` take it back."""
    from onevoice import database
    from onevoice.customers.contact import store, written

    found, wanted = settings(data_dir), _read(file)
    with database.opened(found) as pool, pool.begin() as connection:
        changes = store.difference(store.current(connection).policy, wanted)
        version, changed = store.save(connection, written(wanted), found.clock().now(), "command line")
    if as_json:
        typer.echo(json.dumps({"version": version, "changed": changed, "changes": changes}, indent=1))
        return
    show(changes, DIFFERENCE, f"Version {version}" if changed else f"As it was: version {version}", as_json)


def _read(file: Path) -> "ContactPolicy":
    import yaml

    from onevoice.customers.contact import parse
    from onevoice.kernel.documents import document
    from onevoice.kernel.errors import InvalidInput

    try:
        return parse(document(file.read_text()))
    except yaml.YAMLError as error:
        raise InvalidInput(f"{file} is not valid YAML: {error}") from error
