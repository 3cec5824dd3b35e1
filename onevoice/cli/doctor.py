"""`onevoice doctor`: looks at each part as its user would, and says what is wrong and what to do."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Engine, text

from onevoice import database
from onevoice.channels import adapter, providers
from onevoice.engine.client import EngineClient
from onevoice.kernel.errors import OneVoiceError
from onevoice.kernel.settings import Settings

LAG_SECONDS = 60
"""An entry or a message waiting longer than this is worth a word."""

FREE_BYTES = 2_000_000_000
"""Less free disk than this is worth a word."""


@dataclass(frozen=True)
class Finding:
    """One check: whether it is well, what was seen, and what to do if it is not."""

    part: str
    well: bool
    seen: str
    remedy: str = ""


def run(settings: Settings, as_json: bool) -> int:
    """Prints the findings; returns the exit status."""
    found = list(findings(settings))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=1))
    else:
        table = Table("part", "", "seen", "what to do")
        for finding in found:
            mark = "[green]well[/green]" if finding.well else "[red]wrong[/red]"
            table.add_row(finding.part, mark, escape(finding.seen), escape(finding.remedy))
        Console().print(table)
    return 0 if all(finding.well for finding in found) else 1


def findings(settings: Settings) -> Iterator[Finding]:
    """All checks in turn; without a database only those that need none."""
    try:
        pool = database.engine(settings)
        with pool.connect() as connection:
            version = connection.scalar(text("SHOW server_version"))
            pending = database.pending_migration(connection)
    except (OneVoiceError, OSError, RuntimeError) as error:
        yield Finding("database", False, str(error), "Check ONEVOICE_DATABASE_URL, or leave it empty")
        yield _disk(settings)
        return
    yield Finding(
        "database",
        pending is None,
        f"PostgreSQL {version}" if pending is None else f"revision {pending} is missing",
        "" if pending is None else "Run `onevoice migrate`",
    )
    if pending is None:
        for check in (_inbox, _queue, _in_doubt, _workers, _quarantine):
            yield check(pool)
    yield _warehouse(settings)
    yield from _channels(settings)
    yield _disk(settings)
    pool.dispose()


def _inbox(pool: Engine) -> Finding:
    waiting, seconds = _row(
        pool, "SELECT count(*), coalesce(extract(epoch FROM now() - min(received_at)), 0) FROM inbox"
    )
    well = waiting == 0 or seconds < LAG_SECONDS
    return Finding("inbox", well, f"{waiting:,} waiting", "" if well else "Is the engine running? `onevoice serve`")


def _queue(pool: Engine) -> Finding:
    waiting, seconds = _row(
        pool,
        "SELECT count(*), coalesce(extract(epoch FROM now() - min(not_before)), 0) FROM message "
        "WHERE state = 'queued' AND not_before <= now()",
    )
    well = waiting == 0 or seconds < LAG_SECONDS
    return Finding(
        "queue", well, f"{waiting:,} due", "" if well else f"The oldest waits {seconds:,.0f} s: is `deliver` running?"
    )


def _in_doubt(pool: Engine) -> Finding:
    (number,) = _row(pool, "SELECT count(*) FROM message WHERE state = 'in_doubt'")
    remedy = "Cut off while being sent, not repeated; ask the provider whether they went out" if number else ""
    return Finding("in doubt", number == 0, f"{number:,} messages", remedy)


def _workers(pool: Engine) -> Finding:
    (alive,) = _row(pool, "SELECT count(*) FROM worker WHERE heartbeat_at > now() - interval '1 minute'")
    return Finding("workers", alive > 0, f"{alive} alive", "" if alive else "Start `onevoice serve` or a deliver role")


def _quarantine(pool: Engine) -> Finding:
    (number,) = _row(pool, "SELECT count(*) FROM quarantine WHERE received_at > now() - interval '1 day'")
    remedy = "Look at them: table quarantine, columns reason and detail" if number else ""
    return Finding("quarantine", number == 0, f"{number:,} events in the last day", remedy)


def _warehouse(settings: Settings) -> Finding:
    client = EngineClient(settings)
    try:
        rows = client.ask("health")
    except OneVoiceError as error:
        return Finding("warehouse", False, error.message, "Start `onevoice serve`, or the engine role alone")
    return Finding("warehouse", True, ", ".join(f"{count:,} {name}" for name, count in rows.items()))


def _channels(settings: Settings) -> Iterator[Finding]:
    if not settings.channels:
        yield Finding("channels", False, "none is set up", "Add [channels.email] to onevoice.toml; `onevoice --help`")
    try:
        known = providers.providers(settings.channels)
    except OneVoiceError as error:
        yield Finding("channels", False, error.message, "Mend [channels] in onevoice.toml")
        return
    for name, provider in known.items():
        try:
            adapter.build(provider.options, provider.channel)
        except OneVoiceError as error:
            yield Finding(f"channel {name}", False, error.message, "Mend [channels] in onevoice.toml")
        else:
            yield Finding(f"channel {name}", True, str(provider.options.get("adapter")))


def _disk(settings: Settings) -> Finding:
    place = settings.data_dir if settings.data_dir.exists() else settings.data_dir.resolve().parent
    free = shutil.disk_usage(place).free
    return Finding(
        "disk", free > FREE_BYTES, f"{free / 1e9:,.1f} GB free", "" if free > FREE_BYTES else f"Free space at {place}"
    )


def _row(pool: Engine, query: str) -> tuple[float, ...]:
    with pool.connect() as connection:
        return tuple(connection.exec_driver_sql(query).one())
