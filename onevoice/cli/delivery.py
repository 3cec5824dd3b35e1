"""`onevoice delivery`: how it stands; pause, resume, cancel; messages in doubt, and a person's word on them."""

import getpass
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show

if TYPE_CHECKING:
    from onevoice.delivery.holds import Scope

app = group("How delivery stands; pause, resume, cancel; messages in doubt.")

Journey = Annotated[str, typer.Option(help="Only this journey's messages")]
Step = Annotated[str, typer.Option(help="Only this step's; goes with --journey")]
Channel = Annotated[str, typer.Option(help="Only this channel's")]
Message = Annotated[UUID | None, typer.Option(help="Only this message")]
All = Annotated[bool, typer.Option("--all", help="Everything")]


@app.command("status", help="Show what waits and since when, providers, throttles, what is paused.")
def status(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """One object as JSON, or three tables."""
    from onevoice import database
    from onevoice.delivery import control

    found = settings(data_dir)
    with database.opened(found) as pool, pool.connect() as connection:
        told = control.status(connection, found, found.clock().now())
    if as_json:
        typer.echo(json.dumps(told, indent=1, ensure_ascii=False))
        return
    figures = ("queued", "due", "oldest_waiting_seconds", "for_quiet_hours", "sending", "paused", "in_doubt", "workers")
    show([told], figures, "Messages", False)
    columns = ("provider", "adapter", "breaker", "until", "per_second", "most_per_second", "went_wrong", "reason")
    show(told["providers"], columns, "Providers", False)
    if told["throttles"]:
        show(told["throttles"], ("throttle", "per_second", "free", "line_seconds"), "Throttles", False)
    if told["holds"]:
        show(told["holds"], ("action", "scope", "placed_at", "by"), "Paused and cancelled", False)


@app.command("pause", help="Stop sending within two seconds; `resume` takes it back.")
def pause(
    everything: All = False,
    journey: Journey = "",
    step: Step = "",
    channel: Channel = "",
    message: Message = None,
    data_dir: DataDir = None,
) -> None:
    """What is paused waits, until it expires."""
    from onevoice import database
    from onevoice.delivery import holds

    scope = _scope(everything, journey, step, channel, message)
    with database.opened(settings(data_dir)) as pool, pool.begin() as connection:
        holds.place(connection, holds.PAUSE, scope, getpass.getuser())
    typer.echo("Paused. The same options with `onevoice delivery resume` take it back.")


@app.command("resume", help="Take a pause back; the options are those it was made with.")
def resume(
    everything: All = False,
    journey: Journey = "",
    step: Step = "",
    channel: Channel = "",
    message: Message = None,
    data_dir: DataDir = None,
) -> None:
    """What waited is queued again."""
    from onevoice import database
    from onevoice.delivery import holds

    scope = _scope(everything, journey, step, channel, message)
    with database.opened(settings(data_dir)) as pool, pool.begin() as connection:
        again = holds.lift(connection, scope)
    typer.echo(f"Resumed: {again:,} messages are queued again.")


@app.command("cancel", help="Cancel what waits, for good: it is skipped with the reason `cancelled`.")
def cancel(
    everything: All = False,
    journey: Journey = "",
    step: Step = "",
    channel: Channel = "",
    message: Message = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """What comes later is sent: pause or stop the journey too, if it should not be."""
    from onevoice import database
    from onevoice.delivery import control

    scope = _scope(everything, journey, step, channel, message)
    found = settings(data_dir)
    with database.opened(found) as pool:
        with pool.connect() as connection:
            waiting = control.waiting(connection, scope)
        if not yes:
            typer.confirm(f"Cancel {waiting:,} messages? This cannot be taken back", abort=True)
        with typer.progressbar(length=waiting, label="Cancelling", file=typer.get_text_stream("stderr")) as bar:
            done = control.cancel(
                pool, scope, getpass.getuser(), found.clock().now(), lambda count: bar.update(count - bar.pos)
            )
    row = {"cancelled": done.cancelled, "being_sent": done.being_sent}
    show([row], ("cancelled", "being_sent"), "Cancelled", as_json)


@app.command("in-doubt", help="List messages that were cut off while being sent.")
def in_doubt(
    journey: Journey = "",
    limit: Annotated[int, typer.Option(min=1)] = 100,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """The oldest first."""
    from onevoice import database
    from onevoice.delivery import doubts

    with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
        rows = [asdict(one) for one in doubts.listed(connection, limit, journey)]
    show(rows, ("id", "journey", "step", "provider", "address", "attempted_at", "error_code"), "In doubt", as_json)


@app.command("resolve", help="Say of messages in doubt whether they were sent.")
def resolve(
    messages: Annotated[list[UUID], typer.Argument(help="Their ids, as `in-doubt` lists them")],
    sent: Annotated[bool, typer.Option("--sent/--not-sent", help="They went out, or did not and go out again")],
    data_dir: DataDir = None,
) -> None:
    """Exit status 1 where one was not in doubt."""
    from onevoice import database
    from onevoice.delivery import doubts

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        settled = doubts.resolve(connection, messages, sent=sent, by=getpass.getuser(), now=found.clock().now())
    typer.echo(f"{len(settled):,} are {'taken for sent' if sent else 'queued again'}.")
    strange = set(messages) - set(settled)
    if strange:
        typer.echo(f"Not in doubt: {', '.join(map(str, sorted(strange)))}", err=True)
        raise typer.Exit(1)


@app.command("limits", help="Show throttles and breakers' bounds, and who has changed which.")
def limits(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Those of the settings, and what `limit` has changed."""
    from onevoice import database
    from onevoice.delivery import limits

    found = settings(data_dir)
    with database.opened(found) as pool, pool.connect() as connection:
        rows = limits.listed(connection, found.throttles)
    show(rows, ("key", "value", "set_by", "set_at"), "Limits", as_json)


@app.command("limit", help="Change a throttle or a breaker's bound; workers go by it within five seconds.")
def limit(
    key: Annotated[str, typer.Argument(help="installation, provider:NAME, domain:NAME, sender:NAME, breaker:...")],
    value: Annotated[str, typer.Argument(help="Such as 20/second, 1000/hour or none; a number for a breaker's")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """`unlimit` takes it back."""
    from onevoice import database
    from onevoice.delivery import limits

    found = settings(data_dir)
    with database.opened(found) as pool, pool.begin() as connection:
        limits.change(connection, key, value, getpass.getuser(), found.clock().now())
        rows = [row for row in limits.listed(connection, found.throttles) if row["key"] == key.strip().lower()]
    show(rows, ("key", "value", "set_by", "set_at"), "Changed", as_json)


@app.command("unlimit", help="Let the settings' throttle or the default bound hold again.")
def unlimit(key: Annotated[str, typer.Argument(help="As `limits` shows it")], data_dir: DataDir = None) -> None:
    """What was changed is gone; `limit` sets it again."""
    from onevoice import database
    from onevoice.delivery import limits

    with database.opened(settings(data_dir)) as pool, pool.begin() as connection:
        limits.reset(connection, key)
    typer.echo(f"{key}: what the settings say holds again.")


@app.command("close", help="Say that a provider is well again: its circuit breaker closes at once.")
def close(provider: Annotated[str, typer.Argument(help="As `status` names it")], data_dir: DataDir = None) -> None:
    """Else it is tried by itself, after ever longer pauses of at most five minutes."""
    from onevoice import database
    from onevoice.channels.providers import providers
    from onevoice.delivery import breakers
    from onevoice.kernel.errors import NotFound

    found = settings(data_dir)
    if provider not in providers(found.channels):
        raise NotFound(f"There is no provider {provider!r}; `onevoice delivery status` lists them")
    with database.opened(found) as pool, pool.begin() as connection:
        breakers.close(connection, [provider], found.clock().now())
    typer.echo(f"{provider} gets messages again.")


def _scope(everything: bool, journey: str, step: str, channel: str, message: UUID | None) -> "Scope":
    from onevoice.delivery.holds import Scope
    from onevoice.kernel.errors import InvalidInput

    scope = Scope(journey, step, channel, message).checked()
    if everything == (scope != Scope()):
        raise InvalidInput("Say what: --journey, --step, --channel or --message; or --all for everything")
    return scope
