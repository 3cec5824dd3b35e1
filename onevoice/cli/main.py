"""The command `onevoice`: reads the settings once and hands them to the command's file.

Each command's file is imported when it is called, so that `--help` and one role do not pay for the others.
"""

from pathlib import Path
from typing import Annotated

import typer

import onevoice
from onevoice.cli import (
    calls,
    conditions,
    consent,
    content,
    delivery,
    identity,
    journeys,
    lists,
    mail,
    matches,
    opt_outs,
    plans,
    policy,
    privacy,
    quarantine,
    segments,
    sources,
    suppress,
    templates,
    webpush,
)
from onevoice.cli.kinds import ExportFormat, ExportKind, ImportKind, KnownAs, Role
from onevoice.cli.options import AsJson, DataDir, Locale
from onevoice.cli.options import settings as _settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "One voice to every customer, on every channel.\n\n"
        "[bold]onevoice demo[/bold] shows all of it on a real retailer's year. "
        "[bold]onevoice serve[/bold] runs it: api, engine and delivery, with a PostgreSQL of its own unless "
        "ONEVOICE_DATABASE_URL names one.\n\n"
        "Settings come from onevoice.toml in this folder (or the file ONEVOICE_CONFIG names) and from ONEVOICE_* "
        "variables, which win: ONEVOICE_DATA_DIR, ONEVOICE_PORT, ONEVOICE_DATABASE_URL, ONEVOICE_PUBLIC_URL, ... "
        "A channel is a table of the file:\n\n"
        "    \\[channels.email]\n\n    adapter = 'smtp'\n\n    host = 'localhost'"
    ),
)

app.add_typer(sources.app, name="source")
app.add_typer(consent.app, name="consent")
app.add_typer(delivery.app, name="delivery")
app.add_typer(suppress.app, name="suppress")
app.add_typer(mail.app, name="mail")
app.add_typer(webpush.app, name="webpush")
app.add_typer(opt_outs.app, name="opt-out")
app.add_typer(calls.app, name="call")
app.add_typer(policy.app, name="policy")
app.add_typer(privacy.app, name="privacy")
app.add_typer(matches.app, name="match")
app.add_typer(quarantine.app, name="quarantine")
segments.app.add_typer(conditions.app)
app.add_typer(segments.app, name="segment")
app.add_typer(identity.app, name="identity")
app.add_typer(plans.app, name="tracking-plan")
app.add_typer(lists.app, name="list")
app.add_typer(templates.app, name="template")
app.add_typer(content.brands, name="brand")
app.add_typer(content.blocks, name="block")
app.add_typer(journeys.app, name="journey")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"onevoice {onevoice.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it")] = False,
) -> None:
    """Options before the command."""


@app.command("serve", help="Run the platform until Ctrl-C; with --role, one part of it alone.")
def serve_command(
    role: Annotated[Role | None, typer.Option(help="Run only this part")] = None,
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(help="Port of the api and the page")] = None,
) -> None:
    """Migrates, then runs all roles, or one."""
    from onevoice.cli import serve

    settings = _settings(data_dir, port)
    if role is not None:
        serve.run_role(role, settings)
        return
    ready = serve.prepared(settings)
    key = serve.first_key(ready)
    typer.echo(f"OneVoice is at {ready.base_url}/?key={key}" if key else f"OneVoice is at {ready.base_url}/")
    typer.echo(f"API document: {ready.base_url}/docs    Stop with Ctrl-C")
    serve.supervise(ready, embedded=not settings.database_url)


@app.command("migrate", help="Create or upgrade the database's tables. Safe to run twice.")
def migrate_command(data_dir: DataDir = None) -> None:
    """Brings the schema to the newest revision."""
    from onevoice import database

    database.migrate(_settings(data_dir))
    typer.echo("The database is at the newest revision.")


@app.command(
    "import", help="Import customers, orders, products, events, refunds, consents or a suppression list from a file."
)
def import_command(
    kind: Annotated[ImportKind, typer.Argument(help="What the file holds")],
    place: Annotated[str, typer.Argument(help="A file, a folder, s3://, gs://, az:// or https://; .gz and .zst too")],
    source: Annotated[str, typer.Option(help="Name of the source it comes from")] = "import",
    source_kind: Annotated[str, typer.Option(help="Its kind, if new: till (offline), web, app, server")] = "",
    mapping: Annotated[Path | None, typer.Option(help="YAML: our field: the file's column")] = None,
    mapping_out: Annotated[Path | None, typer.Option(help="Where a guessed mapping is kept")] = None,
    report: Annotated[Path | None, typer.Option(help="Where bad rows are named; .csv or .jsonl")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and show, but write nothing")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what has been imported already")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON")] = False,
    data_dir: DataDir = None,
) -> None:
    """Puts the rows into the inbox; a running engine takes them from there. Broken off, the same command goes on."""
    from onevoice.cli import importing

    wish = importing.Wish(kind.value, place, source, source_kind, mapping, mapping_out, report, dry_run, again)
    importing.run(_settings(data_dir), wish, as_json)


@app.command("imports", help="List the imports, the newest first, and how far each has come.")
def imports_command(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """See onevoice.events.imports.runs."""
    from onevoice.cli import importing

    importing.show_runs(_settings(data_dir), as_json)


@app.command("import-jobs", hidden=True)
def import_jobs_command(data_dir: DataDir = None) -> None:
    """Carries out the imports that were asked for over HTTP, then ends; the api starts it."""
    from onevoice.cli import importing

    importing.carry_out(_settings(data_dir))


@app.command("export", help="Export customers, a segment, events or orders as Parquet or CSV.")
def export_command(
    what: Annotated[ExportKind, typer.Argument(help="What to export")],
    name: Annotated[str, typer.Argument(help="The segment's name")] = "",
    format: Annotated[ExportFormat | None, typer.Option(help="By default what the ending of -o says")] = None,
    out: Annotated[
        str, typer.Option("-o", "--out", help="A file, s3://, gs:// or az://; - is the standard output")
    ] = "",
    since: Annotated[str, typer.Option(help="Events and orders from this time on (ISO 8601)")] = "",
    until: Annotated[str, typer.Option(help="Events and orders before this time")] = "",
    raw: Annotated[bool, typer.Option("--raw", help="CSV: leave what a spreadsheet would run as it is")] = False,
    data_dir: DataDir = None,
) -> None:
    """Asks the running engine, or opens the warehouse itself where none runs."""
    from onevoice.cli import exporting

    exporting.run(_settings(data_dir), what, name, format, out, since, until, not raw)


Place = Annotated[Path, typer.Argument(exists=True, help="A YAML file, or a folder with *.yaml files")]
Moves = Annotated[
    list[str] | None,
    typer.Option(
        "--move", help="JOURNEY.STEP=finish, =leave or =OTHER_STEP: of who stands at a step of an older version"
    ),
]


@app.command("plan", help="Show what apply would change, and what becomes of people in flight. Saves nothing.")
def plan_command(
    place: Place, move: Moves = None, locale: Locale = "en", as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """In words, and as a difference."""
    from onevoice.cli import planning

    planning.run(_settings(data_dir), place, move or [], as_json, locale)


@app.command("why", help="Say why a customer did or did not get a message, with all rules. Needs the running engine.")
def why_command(
    customer_id: Annotated[int, typer.Argument(help="The customer's id, as a search gives it")],
    journey: Annotated[str | None, typer.Option(help="Only this journey; also how they stand in it")] = None,
    message: Annotated[str | None, typer.Option(help="Only about this message")] = None,
    at: Annotated[str, typer.Option(help="A moment (ISO 8601): what was known, and would be decided, then")] = "",
    locale: Locale = "en",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """The newest decision first."""
    from onevoice.cli import why

    why.run(_settings(data_dir), why.Wish(customer_id, journey, message, at, locale), as_json)


@app.command("apply", help="Save the segments, templates and journeys of a folder's YAML files.")
def apply_command(
    place: Place,
    move: Moves = None,
    is_sure: Annotated[bool, typer.Option("--yes", help="Do not ask, though people are in flight")] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Let journeys be live whatever the checks say")] = False,
    locale: Locale = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print what changed as JSON")] = False,
    data_dir: DataDir = None,
) -> None:
    """All or nothing: one bad document and none is saved."""
    from onevoice.cli import applying

    applying.run(_settings(data_dir), place, as_json, move or [], is_sure, locale, anyway)


@app.command("lift", help="What a journey caused: everybody treated against the hold-out, with intervals.")
def lift_command(
    name: Annotated[str, typer.Argument(help="The journey's name")],
    days: Annotated[int, typer.Option(min=1, help="Days after entering in which an order counts")] = 14,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """See onevoice.insights.experiments."""
    from onevoice.cli import results

    results.lift(data_dir, name, days, as_json)


@app.command("power", help="Before launch: how large an effect must be to be seen with a hold-out.")
def power_command(
    segment: Annotated[str | None, typer.Option(help="Who would enter: the members of this segment")] = None,
    event: Annotated[str | None, typer.Option(help="Who would enter: whoever does this event")] = None,
    holdout: Annotated[float, typer.Option(help="Share that is not contacted")] = 0.1,
    days: Annotated[int, typer.Option(min=1, help="Days after entering in which an order counts")] = 14,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """See onevoice.insights.power."""
    from onevoice.cli import results

    results.power(data_dir, holdout, segment, event, days, as_json)


@app.command("recommendations", help="How well each way to recommend products foresees what customers buy next.")
def recommendations_command(
    shown: Annotated[int, typer.Option(min=1, max=100, help="Products recommended to each")] = 10,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """See onevoice.catalog.recommendations."""
    from onevoice.cli import results

    results.recommendations(data_dir, shown, as_json)


@app.command("backtest", help="Run a journey over the past, with nothing sent: who, what, why not, at what cost.")
def backtest_command(
    what: Annotated[str, typer.Argument(help="A YAML file or folder with the journey, or a saved journey's name")],
    since: Annotated[str, typer.Option("--from", help="Its first day (default: 90 days before --to)")] = "",
    until: Annotated[str, typer.Option("--to", help="Its last instant (default: now)")] = "",
    only: Annotated[str, typer.Option(help="Which journey, where the file holds several")] = "",
    every: Annotated[int | None, typer.Option(help="Minutes between two looks at the segments, 15 to 1440")] = None,
    known: Annotated[KnownAs, typer.Option(help="People as known then, or as known today")] = KnownAs.THEN,
    reacting: Annotated[bool, typer.Option(help="Whether people react, as they did in the past")] = True,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 where an assertion of the document is broken")] = False,
    locale: Locale = "en",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """The running engine does it; where none runs, this command itself."""
    from datetime import timedelta

    from onevoice.cli import backtesting

    pause = timedelta(minutes=every) if every is not None else None
    wish = backtesting.Wish(what, only, since, until, pause, known.value, reacting, locale)
    raise typer.Exit(backtesting.run(_settings(data_dir), wish, as_json, check))


@app.command("doctor", help="Check database, warehouse, queue, channels and disk, and say what is wrong.")
def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON")] = False,
    data_dir: DataDir = None,
) -> None:
    """Exit status 1 where something is wrong."""
    from onevoice.cli import doctor

    raise typer.Exit(doctor.run(_settings(data_dir), as_json))
