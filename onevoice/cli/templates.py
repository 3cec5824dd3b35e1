"""`onevoice template`: which there are, checks before launch, a preview, tests to those on the test list."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show

app = group("Templates: list, show, check before launch, preview for a customer, send a test.")
test_list = group("Who tests may be sent to.")
app.add_typer(test_list, name="test-list")

Name = Annotated[str, typer.Argument(help="The template's name")]
Locale = Annotated[str, typer.Option(help="Left out: the customer's own")]
Journey = Annotated[str, typer.Option(help="The journey whose message it is, for `event`; left out: none")]
Customer = Annotated[int | None, typer.Option(help="A real customer's id; left out: typical values. Needs the engine")]
Channel = Annotated[str, typer.Argument(help="email, sms, push, whatsapp or call")]
Address = Annotated[str, typer.Argument(help="An e-mail address, a number, a token")]


@app.command("list", help="List all templates with their channels and locales.")
def listed(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """By name."""
    from onevoice import database
    from onevoice.content import templates

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        found = templates.all_templates(connection)
    rows = [
        {
            "name": one.name,
            "version": one.version,
            "variants": ", ".join(f"{variant.channel}/{variant.locale}" for variant in one.variants),
            "saved_at": one.saved_at,
        }
        for one in found
    ]
    show(rows, ["name", "version", "variants", "saved_at"], "Templates", as_json)


@app.command("show", help="Show a template as it is written.")
def shown(
    name: Name,
    version: Annotated[int | None, typer.Option(help="Left out: the newest")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """As YAML."""
    import yaml

    from onevoice import database
    from onevoice.content import templates

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        document = templates.get(connection, name, version).document()
    written = json.dumps(document, indent=1, ensure_ascii=False) if as_json else yaml.safe_dump(document, **_YAML)
    typer.echo(written.rstrip())


_YAML: dict[str, Any] = {"allow_unicode": True, "sort_keys": False}


@app.command("versions", help="List a template's versions.")
def versions(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """The newest first; `revert` goes back to one."""
    from onevoice import database
    from onevoice.content import templates

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        rows = templates.versions(connection, name)
    show(rows, ("version", "saved_at"), name, as_json)


@app.command("revert", help="Make a template again what it was in a version, as a new version.")
def reverted(
    name: Name,
    version: Annotated[int, typer.Argument(help="As `versions` lists it")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """With brand and blocks as they are now. What was sent stays as it was."""
    from onevoice import database
    from onevoice.content import templates

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        saved, changed = templates.revert(connection, name, version, found.clock().now())
    show([{"name": name, "version": saved, "changed": changed}], ("name", "version", "changed"), "Reverted", as_json)


@app.command("check", help="Check templates before launch: saved ones, or those of a folder that is not applied yet.")
def checked(
    names: Annotated[list[str] | None, typer.Argument(help="Templates; none: all")] = None,
    folder: Annotated[Path | None, typer.Option(help="A folder with *.yaml, as for `apply`", exists=True)] = None,
    segment: Annotated[str, typer.Option(help="Who they are for; needs the running engine")] = "",
    customers: Annotated[bool, typer.Option("--customers", help="Try them on real ones; needs the engine")] = False,
    links: Annotated[bool, typer.Option("--links", help="Call every link, too")] = False,
    locale: Annotated[str, typer.Option(help="Language of the sentences: en, it, ro, id or ar")] = "en",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Exit status 1 where there is an error."""
    from onevoice import database
    from onevoice.cli.applying import apply
    from onevoice.content import checks, reach, templates
    from onevoice.delivery.launching import circumstances
    from onevoice.engine.client import EngineClient

    found = settings(data_dir)
    with database.opened(found) as pool, pool.connect() as connection:
        if folder is not None:  # saved to be looked at, and never committed
            applied = apply(connection, folder, found.clock())
            names = [one["name"] for one in applied if one["kind"] == "template"]
        ours = [templates.get(connection, one) for one in names or sorted(templates.newest_versions(connection))]
    audience = EngineClient(found).ask("audience", segment=segment) if segment or customers else None
    told = circumstances(found.channels, audience)
    doubts = [doubt for one in ours for doubt in checks.check(one, told)]
    if links:
        doubts += [doubt for one in ours for doubt in reach.check_links(one)]
    rows = [
        {
            "template": one.template,
            "where": "/".join(filter(None, (one.channel, one.locale))),
            "severity": one.severity,
            "rule": one.rule,
            "said": one.said(locale),
            "seen": dict(one.seen),
        }
        for one in doubts
    ]
    show(rows, ["template", "where", "severity", "said"], f"{len(ours)} templates checked", as_json)
    raise typer.Exit(any(one.severity == "error" for one in doubts))


@app.command("preview", help="Show a template as a customer would get it.")
def previewed(
    name: Name,
    customer: Customer = None,
    locale: Locale = "",
    channel: Annotated[str, typer.Option(help="Left out: all")] = "",
    journey: Journey = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """The text of each channel; the HTML with --json."""
    from onevoice import database
    from onevoice.content import preview, templates
    from onevoice.engine.client import EngineClient
    from onevoice.engine.personal import variables_of

    found = settings(data_dir)
    with database.opened(found) as pool, pool.connect() as connection:
        variables, wished = variables_of(EngineClient(found), pool, customer, locale, journey)
        seen = preview.preview(templates.get(connection, name), variables, wished, channel)
    if as_json:
        typer.echo(json.dumps(seen, indent=1, ensure_ascii=False))
        return
    for one in seen:
        told = f", {one['sms']['parts']} SMS in {one['sms']['encoding']}" if "sms" in one else ""
        typer.secho(f"{one['channel']} ({one['locale']}{told})", bold=True)
        if "problem" in one:
            typer.secho(one["problem"], fg="red")
        for field, text in one["content"].items():
            if field != "html" and text:
                typer.echo(f"{field}: {text}")
        typer.echo()


@app.command("test", help="Send a test to an address of the test list; no figure counts it.")
def tested(
    name: Name,
    channel: Channel,
    address: Address,
    customer: Customer = None,
    locale: Locale = "",
    journey: Journey = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """A running worker sends it."""
    from onevoice import database
    from onevoice.content import templates
    from onevoice.delivery import trial
    from onevoice.engine.client import EngineClient
    from onevoice.engine.personal import variables_of

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        variables, wished = variables_of(EngineClient(found), pool, customer, locale, journey)
        message_id = trial.send_test(
            connection,
            templates.get(connection, name),
            channel,
            address,
            wished,
            variables,
            customer or 0,
            found.clock().now(),
        )
    typer.echo(json.dumps({"message_id": message_id}) if as_json else f"Queued for {address} as {message_id}")


@test_list.command("show", help="List the addresses.")
def recipients(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """By channel."""
    from onevoice import database
    from onevoice.delivery import trial

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        show(trial.recipients(connection), ["channel", "address", "name", "added_at"], "Test list", as_json)


@test_list.command("add", help="Put an address on the list.")
def added(
    channel: Channel,
    address: Address,
    name: Annotated[str, typer.Option(help="Whose it is")] = "",
    data_dir: DataDir = None,
) -> None:
    """Twice is once."""
    from onevoice import database
    from onevoice.delivery import trial

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        trial.add_recipient(connection, channel, address, name, found.clock().now())
    typer.echo(f"Tests on {channel} may go to {address}. Undo: onevoice template test-list remove {channel} {address}")


@test_list.command("remove", help="Take an address off the list.")
def removed(channel: Channel, address: Address, data_dir: DataDir = None) -> None:
    """Tests that are queued already still go."""
    from onevoice import database
    from onevoice.delivery import trial

    with database.opened(settings(data_dir)) as pool, pool.begin() as connection:
        trial.remove_recipient(connection, channel, address)
    typer.echo(f"Tests go to {address} no more. Undo: onevoice template test-list add {channel} {address}")
