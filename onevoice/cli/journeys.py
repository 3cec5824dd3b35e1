"""`onevoice journey`: which there are, how each stands, and launching, pausing, resuming, stopping one."""

from typing import Annotated

import typer

from onevoice.cli.options import AsJson, DataDir, Locale, group, settings, show

app = group("Journeys: list, show, launch, pause, resume, stop, archive.")

Name = Annotated[str, typer.Argument(help="The journey's name")]


@app.command("list", help="List the journeys.")
def listed(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """The newest version of each."""
    from onevoice import database
    from onevoice.journeys import service

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        rows = [
            {
                "name": one.name,
                "title": one.document.title,
                "version": one.version,
                "status": one.status,
                "entered_by": one.document.entry.way,
                "launched_at": one.launched_at,
            }
            for one in service.all_journeys(connection)
        ]
    show(rows, ("name", "title", "version", "status", "entered_by", "launched_at"), "Journeys", as_json)


@app.command("show", help="Show a journey's steps, or its document.")
def shown(
    name: Name,
    version: Annotated[int | None, typer.Option(help="An older one")] = None,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="Print the document, ready for `onevoice apply`")] = False,
    locale: Locale = "en",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Each with the branches that lead to it; as YAML or JSON the document itself."""
    import json

    from onevoice import database
    from onevoice.journeys import service, versions
    from onevoice.journeys.document import all_steps, written
    from onevoice.journeys.sentences import Telling

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        found = service.get(connection, name) if version is None else versions.version(connection, name, version)
    document = written(found.document)
    if as_yaml:
        typer.echo(versions.as_yaml(document), nl=False)
        return
    if as_json:
        typer.echo(json.dumps({"version": found.version, "status": found.status, "definition": document}, indent=1))
        return
    tell = Telling(locale)
    trails = tell.trails(found.document)
    rows = [
        {"step": trails[step.id] + step.id, "kind": step.kind, "what": tell.step(step)}
        for _, step in all_steps(found.document.steps)
    ]
    show(rows, ("step", "kind", "what"), f"{name}, version {found.version}, {found.status}", False)


@app.command("figures", help="Who is where in a journey, how it ended for others, what was decided. Needs the engine.")
def shown_figures(name: Name, locale: Locale = "en", as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Steps as a person calls them; in JSON by the keys of their places, as `why` and the API have them."""
    from onevoice import database
    from onevoice.engine.client import EngineClient
    from onevoice.journeys import versions

    found = settings(data_dir)
    with database.opened(found) as pool, pool.connect() as connection:
        places = versions.places(connection, name, locale)
    told = EngineClient(found).ask("journey", name=name)["figures"]
    if as_json:
        show([told], (), "", as_json=True)
        return
    counts = [{"people": told[arm], "who": arm} for arm in ("enrolled", "treated", "holdout")]
    show(counts, ("who", "people"), name, False)
    standing = [{"step": places.get(key, key), "people": people} for key, people in told["active"].items()]
    show(standing, ("step", "people"), "Where they are", False)
    ended = [{"how": reason, "people": people} for reason, people in told["ended"].items()]
    show(ended, ("how", "people"), "How it ended for others", False)
    decided = [{**row, "step": places.get(row["step"], row["step"]), "times": row["n"]} for row in told["steps"]]
    show(decided, ("step", "channel", "outcome", "reason", "times"), "What was decided", False)


@app.command("cascade", help="What a cascade of a journey reached, cost and saved. Needs the engine.")
def shown_cascade(
    name: Name,
    step: Annotated[str, typer.Argument(help="The cascade's step")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Saved: against sending at once on all of its channels to everybody who can be contacted there."""
    from onevoice import database
    from onevoice.engine.client import EngineClient
    from onevoice.journeys import service

    found = settings(data_dir)
    with database.opened(found) as pool, pool.connect() as connection:
        about = service.cascade(connection, name, step)
    told = EngineClient(found).ask("cascade", **about)
    if as_json:
        show([told], (), "", as_json=True)
        return
    rows = [{"channel": channel, **row, "cost": f"{row['cost']:,.4f}"} for channel, row in told["channels"].items()]
    columns = ("channel", "sent", "delivered", "opened", "clicked", "failed", "orders", "cost")
    show(rows, columns, f"{name}, {step}: {told['came']:,} came, {told['reached']:,} were reached", False)
    unpriced = f" What it saved on {', '.join(told['unpriced'])} is not known." if told["unpriced"] else ""
    typer.echo(
        f"{told['reacted']:,} stopped it by a reaction or the goal. It cost {told['spent']:,.2f} and saved "
        f"{told['saved']:,.2f}: on all channels at once it would have been {told['all_channels']:,.2f}.{unpriced}"
    )


@app.command("variants", help="Compare the variants of a split, with intervals. Needs the engine.")
def shown_variants(
    name: Name,
    step: Annotated[str, typer.Argument(help="The split's step")],
    days: Annotated[int, typer.Option(min=1, help="Days after the split in which an order counts")] = 14,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Each against the first; all intervals hold together."""
    from onevoice.cli import results

    results.variants(data_dir, name, step, days, as_json)


@app.command("versions", help="List a journey's versions.")
def listed_versions(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """The newest first."""
    from onevoice import database
    from onevoice.journeys import versions

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        rows = [
            {"version": one.version, "status": one.status, "saved_at": one.saved_at, "moves": dict(one.moves)}
            for one in versions.all_versions(connection, name)
        ]
    show(rows, ("version", "status", "saved_at", "moves"), f"Versions of {name}", as_json)


@app.command("revert", help="Bring an earlier version's document back, as a new version.")
def reverted(
    name: Name,
    version: Annotated[int, typer.Argument(help="Which; `onevoice journey versions` lists them")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """People in flight go on where they stand; at a step that is then gone they do it as their version has it."""
    from onevoice import database
    from onevoice.journeys import versions

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        number, changed = versions.revert(connection, name, version, found.clock().now(), by="command line")
    row = {"name": name, "version": number, "is": "saved" if changed else "the same already"}
    show([row], ("name", "version", "is"), "Journey", as_json)


def _change(change: str, name: str, as_json: bool, data_dir: DataDir) -> None:
    from onevoice import database
    from onevoice.journeys import service

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        service.CHANGES[change](connection, name, found.clock().now())
        row = {"name": name, "status": service.get(connection, name).status}
    show([row], ("name", "status"), "Journey", as_json)


@app.command("launch", help="Check what a journey sends, then let it take people in from now on.")
def launch(
    name: Name,
    anyway: Annotated[bool, typer.Option("--anyway", help="Launch it whatever the checks say")] = False,
    locale: Locale = "en",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """A draft, or one that was stopped. Where the engine runs, templates are tried on real customers, and it says how
    large an effect will be seen with the journey's hold-out."""
    from rich.console import Console
    from rich.markup import escape

    from onevoice import database
    from onevoice.cli import results
    from onevoice.delivery.launching import circumstances
    from onevoice.engine.client import EngineClient
    from onevoice.journeys import launching, service
    from onevoice.kernel.errors import Unavailable

    found = settings(data_dir)
    with database.opened(found) as pool, pool.connect() as connection:
        saved = service.get(connection, name)
        document = saved.document
        try:
            engine = EngineClient(found)
            audience = engine.ask("audience", journey=saved.plain)
            foreseen = results.foreseen(engine, document, locale)
        except Unavailable:
            audience, foreseen = None, ""
        doubts = launching.findings(connection, document, circumstances(found.channels, audience))
    screen = Console(stderr=True)
    for doubt in doubts:
        screen.print(f"{doubt.severity}: {escape(doubt.template)}: {escape(doubt.said(locale))}")
    if foreseen:
        screen.print(foreseen, highlight=False)
    if not anyway:
        launching.hold_back(name, doubts)
    _change("launch", name, as_json, data_dir)


@app.command("pause", help="Let everybody stand where they are.")
def pause(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Until it is resumed."""
    _change("pause", name, as_json, data_dir)


@app.command("resume", help="Go on where it was paused; messages over three days late are left out.")
def resume(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """People go on where they stood."""
    _change("resume", name, as_json, data_dir)


@app.command("stop", help="Take everybody out, and let nobody in.")
def stop(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """`launch` begins it anew; those taken out do not come back by themselves."""
    _change("stop", name, as_json, data_dir)


@app.command("archive", help="Put a journey away, with everybody out of it.")
def archive(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """`launch` brings it back."""
    _change("archive", name, as_json, data_dir)
