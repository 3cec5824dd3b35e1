"""`onevoice suppress`: addresses that are never contacted again: added, removed, looked up, imported."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show
from onevoice.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from onevoice.customers.suppression import Suppressed

app = group("Addresses that are never contacted again. The list keeps salted hashes, so it can be asked, not read.")

Channel = Annotated[str, typer.Argument(help="email, sms, push, ...")]
Address = Annotated[str, typer.Argument(help="The address as it is written to")]
By = Annotated[str, typer.Option(help="Who does it")]

PART = 10_000
"""Addresses written by one commit."""


@app.command("add", help="Put an address on the list.")
def add(
    channel: Channel,
    address: Address,
    reason: Annotated[
        str, typer.Option(help="bounced, complained, unsubscribed, erased, manual or imported")
    ] = "manual",
    by: By = "cli",
    data_dir: DataDir = None,
) -> None:
    """An address that is listed keeps its first reason."""
    from onevoice import database
    from onevoice.customers import suppression
    from onevoice.customers.suppression import Suppressed

    found = settings(data_dir)
    now = found.clock().now()
    with database.opened(found) as pool, pool.begin() as connection:
        row = Suppressed(channel, _address(channel, address), reason, now)
        new = suppression.suppress(connection, found.secret(), [row], now, by)
    undo = f"Undo: onevoice suppress remove {channel} {address} --reason '...'"
    typer.echo(f"On the list. {undo}" if new else "It was on the list already.")


@app.command("remove", help="Take an address off the list; the reason is kept.")
def remove(
    channel: Channel,
    address: Address,
    reason: Annotated[str, typer.Option(help="Why it may be contacted again, in words")],
    by: By = "cli",
    data_dir: DataDir = None,
) -> None:
    """What was said and done stays on record: see `onevoice suppress check`."""
    from onevoice import database
    from onevoice.customers import suppression

    found = settings(data_dir)
    now = found.clock().now()
    with database.opened(found) as pool, pool.begin() as connection:
        gone = suppression.release(connection, found.secret(), channel, _address(channel, address), reason, now, by)
    typer.echo("Off the list." if gone else "It was not on the list.")
    raise typer.Exit(0 if gone else 1)


@app.command("check", help="Say whether an address is on the list, and what was done about it.")
def check(channel: Channel, address: Address, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """The changes, the newest first."""
    from onevoice import database
    from onevoice.customers import suppression
    from onevoice.customers.suppression import REASONS, address_hash

    found = settings(data_dir)
    address = _address(channel, address)
    key = (channel, address_hash(found.secret(), channel, address))
    with database.opened(found) as pool, pool.connect() as connection:
        reason = suppression.reasons(connection, [key]).get(key)
        changes = suppression.changes(connection, found.secret(), channel, address)
    rows = [{**one, "added": "added" if one["added"] else "removed"} for one in changes]
    if not as_json:
        typer.echo(f"On the list: {REASONS[reason]}." if reason else "Not on the list.")
    show(rows, ("changed_at", "added", "reason", "actor"), "What was done", as_json)


@app.command("import", help="Put a file's addresses on the list: one a line, or CSV with a column `address`.")
def import_command(
    channel: Channel,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    reason: Annotated[str, typer.Option(help="For lines without a column `reason`")] = "imported",
    by: By = "cli",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Twice is once. A line that cannot be an address is counted and named, the others are taken."""
    from rich.progress import Progress

    from onevoice import database
    from onevoice.customers import suppression

    found = settings(data_dir)
    now = found.clock().now()
    bad: list[dict[str, Any]] = []
    new = taken = 0
    part: list[Suppressed] = []
    with (
        database.opened(found) as pool,
        Progress(transient=True, disable=as_json) as progress,
        file.open(encoding="utf-8-sig", newline="") as lines,
    ):
        bar = progress.add_task(f"Reading {file.name}", total=file.stat().st_size)

        def write() -> None:
            nonlocal new, taken
            with pool.begin() as connection:
                new += suppression.suppress(connection, found.secret(), part, now, by)
            taken += len(part)
            part.clear()

        for row, read in _rows(lines, channel, reason, now, bad):
            part.append(row)
            if len(part) >= PART:
                write()
                progress.update(bar, completed=read)
        write()
    report = [{"lines_taken": taken, "new": new, "already_listed": taken - new, "bad": len(bad)}]
    show(report, ("lines_taken", "new", "already_listed", "bad"), f"Suppressed on {channel}", as_json)
    for one in bad[:20]:
        typer.echo(f"Line {one['line']}: {one['why']}", err=True)
    raise typer.Exit(1 if bad else 0)


def _address(channel: str, given: str) -> str:
    from onevoice.customers.profiles import normalised

    address = normalised(channel, given)
    if address is None:
        raise InvalidInput(f"{given} cannot be an address for {channel}; a phone number needs its country: +39 ...")
    return address


def _rows(
    lines: Any, channel: str, reason: str, now: datetime, bad: list[dict[str, Any]]
) -> Iterator[tuple["Suppressed", int]]:
    """The file's rows, each with the bytes read so far; what cannot be taken is put into `bad`."""
    import csv

    from onevoice.customers.profiles import normalised
    from onevoice.customers.suppression import REASONS, Suppressed

    reader = csv.reader(lines)
    first = next(reader, None)
    if first is None:
        return
    header = [name.strip().lower() for name in first]
    place = header.index("address") if "address" in header else None
    reasons = header.index("reason") if place is not None and "reason" in header else None
    if place is None and len(first) > 1:
        raise InvalidInput("The file has several columns and none is called `address`; name the one that holds it so")
    rows = reader if place is not None else _and([first], reader)
    read = 0
    for number, row in enumerate(rows, 2 if place is not None else 1):
        read += sum(map(len, row)) + len(row)
        if not any(cell.strip() for cell in row):
            continue
        given = row[place or 0].strip() if len(row) > (place or 0) else ""
        why = row[reasons].strip() if reasons is not None and len(row) > reasons and row[reasons].strip() else reason
        address = normalised(channel, given)
        if address is None:
            bad.append({"line": number, "why": f"this cannot be an address for {channel}"})
        elif why not in REASONS:
            bad.append({"line": number, "why": f"{why!r} is no reason; use one of {', '.join(REASONS)}"})
        else:
            yield Suppressed(channel, address, why, now), read


def _and(first: list[list[str]], rest: Any) -> Iterator[list[str]]:
    yield from first
    yield from rest
