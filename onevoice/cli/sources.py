"""`onevoice source`: where events come from: make, list, disable, give a new key, take a shop's webhooks."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show

if TYPE_CHECKING:
    from onevoice.events.sources import Source

app = group("Where events come from: each source has a kind and a write key.")

Name = Annotated[str, typer.Argument(help="The source's name")]


@app.command("list", help="List all sources with their write keys.")
def listed(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """By name."""
    from onevoice import database
    from onevoice.events import sources

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        _show(sources.all_sources(connection), as_json)


@app.command("add", help="Make a source and print its write key.")
def add(
    name: Name,
    kind: Annotated[str, typer.Option(help="web, app, till, server or import")] = "web",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """One that is there already is shown as it is."""
    from onevoice import database
    from onevoice.events import sources

    with database.opened(settings(data_dir)) as pool, pool.begin() as connection:
        _show([sources.ensure(connection, name, kind)], as_json)


@app.command("webhooks", help="Let a source take a shop's webhooks, at /v1/webhooks/NAME.")
def webhooks(
    name: Name,
    platform: Annotated[str, typer.Option(help="shopify or woocommerce")],
    secret: Annotated[str, typer.Option(help="What the shop signs with", prompt=True, hide_input=True)],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """The secret is asked for where it is not given, so that it does not stay in the shell's history."""
    from onevoice import database
    from onevoice.events import sources

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        _show([sources.take_webhooks(connection, name, platform, secret)], as_json)
    if not as_json:
        typer.echo(f"Let the shop deliver to {found.base_url}/v1/webhooks/{name}")


@app.command("rotate", help="Give a source a new write key; the old one opens nothing any more.")
def rotate(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Clients must be given the new key."""
    from onevoice import database
    from onevoice.events import sources

    with database.opened(settings(data_dir)) as pool, pool.begin() as connection:
        _show([sources.rotate_key(connection, name)], as_json)


@app.command("disable", help="Take nothing more from a source; `enable` undoes it.")
def disable(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Its calls are answered 404 from then on."""
    from onevoice import database
    from onevoice.events import sources

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        _show([sources.disable(connection, name, found.clock().now())], as_json)


@app.command("enable", help="Take from a disabled source again.")
def enable(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Undoes `disable`."""
    from onevoice import database
    from onevoice.events import sources

    with database.opened(settings(data_dir)) as pool, pool.begin() as connection:
        _show([sources.disable(connection, name, None)], as_json)


def _show(found: "list[Source]", as_json: bool) -> None:
    rows = [{name: value for name, value in asdict(source).items() if name != "secret"} for source in found]
    show(rows, ("name", "kind", "write_key", "platform", "is_disabled"), "Sources", as_json)
