"""`onevoice backtest FILE|NAME`: a journey over the past, with progress; its figures, and its assertions for CI."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy import Engine as Database

from onevoice import database, warehouse
from onevoice.cli.applying import documents
from onevoice.engine import backtests as running
from onevoice.engine.client import EngineClient
from onevoice.journeys import backtests, service
from onevoice.journeys.backtest.scratch import Known
from onevoice.journeys.document import Document, parse
from onevoice.journeys.sentences import Telling
from onevoice.kernel.errors import InvalidInput, Unavailable
from onevoice.kernel.settings import Settings

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Wish:
    """What is asked on the command line."""

    what: str
    only: str = ""
    start: str = ""
    end: str = ""
    every: timedelta | None = None
    known: Known = "then"
    reacting: bool = True
    locale: str = "en"


def run(settings: Settings, wish: Wish, as_json: bool, check: bool) -> int:
    """Runs it and shows what it found; the exit status: 1 where `check` is asked for and an assertion does not hold."""
    with database.opened(settings) as pool:
        number = _asked(pool, settings, wish)
        found = _waited(settings, pool, number, wish.locale)
    if found["state"] != "done":
        raise InvalidInput(found["error"] or "The back-test was cancelled")
    result = found["result"]
    if as_json:
        typer.echo(json.dumps(result, indent=1, ensure_ascii=False))
    else:
        _show(result, Telling(wish.locale), parse(found["definition"]))
    return 1 if check and not result["holds"] else 0


def _asked(pool: Database, settings: Settings, wish: Wish) -> UUID:
    now = settings.clock().now()
    start, end = (_instant(text) for text in (wish.start, wish.end))
    with pool.begin() as connection:
        version, segments = 0, list[Mapping[str, Any]]()
        if Path(wish.what).exists():
            document, segments = _read(Path(wish.what), wish.only)
        else:
            saved = service.get(connection, wish.what)
            document, version = saved.definition, saved.version
        return backtests.ask(
            connection, document, now, start, end, wish.every, wish.known, wish.reacting, segments, version
        )


def _read(place: Path, only: str) -> tuple[dict[str, Any], list[Mapping[str, Any]]]:
    """The journey of a file or folder, and the segments beside it."""
    found = [document for _, document in documents(place)]
    journeys = [one for one in found if one["kind"] == "journey" and only in ("", one["name"])]
    if len(journeys) != 1:
        names = ", ".join(one["name"] for one in journeys) or "none"
        raise InvalidInput(f"{place} should hold one journey; it holds {names}. Pick one with --only NAME")
    return journeys[0], [one for one in found if one["kind"] == "segment"]


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no date; write 2026-03-01 or 2026-03-01T10:00Z") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _waited(settings: Settings, pool: Database, number: UUID, locale: str) -> dict[str, Any]:
    """The back-test once it is over; a bar shows how far it has come. Ctrl-C cancels it."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with (
        _runner(settings, pool, number),
        Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as progress,
    ):
        task = progress.add_task("Back-test", total=1.0)
        while True:
            try:
                with pool.connect() as connection:
                    found = backtests.one(connection, number, locale)
                progress.update(task, completed=found["progress"])
                if found["state"] in backtests.OVER:
                    return found
                time.sleep(POLL_SECONDS)
            except KeyboardInterrupt:
                with pool.begin() as connection:
                    backtests.cancel(connection, number, settings.clock().now())


@contextmanager
def _runner(settings: Settings, pool: Database, number: UUID) -> Iterator[None]:
    """Whoever runs it: the engine, if there is one; else this process."""
    try:
        EngineClient(settings).ask("health")
    except Unavailable:
        store = warehouse.connect(settings.warehouse, settings.warehouse_memory_mb)
        arguments = (store, pool, settings.secret(), settings.clock(), None, number)
        beside = threading.Thread(target=running.run_next, args=arguments, daemon=True)
        beside.start()
        try:
            yield
        finally:
            beside.join()
            store.close()
    else:
        yield


def _show(result: dict[str, Any], tell: Telling, journey: Document) -> None:
    console, places = Console(), tell.places(journey)
    people, messages = result["people"], result["messages"]
    console.print(
        f"[bold]{escape(result['journey'])}[/bold], {result['from'][:10]} to {result['to'][:10]}: "
        f"{people['entered']:,} came in ({people['holdout']:,} held out), {messages['messages']:,} messages, "
        f"cost {_money(messages['cost'])}. Nothing was sent. Took {result['took_seconds']} s."
    )
    if result["newcomers"]:
        console.print(
            f"{result['newcomers']:,} customers were first heard of within the window, and are missing before that; "
            "if they were imported, try --known today."
        )
    _table(
        "Messages",
        ("channel", "messages", "people", "cost"),
        [{**row, "cost": _money(row["cost"])} for row in result["channels"]],
    )
    _table(
        "People by messages, in all and at most within 7 days",
        ("number", "in_all", "within_7_days"),
        _numbers(result["per_person"]),
    )
    decided = [
        {**row, "outcome": word, "step": places.get(row["step"], row["step"])}
        for word in ("refusals", "deferrals")
        for row in result[word]
    ]
    _table("Not sent, and why", ("outcome", "step", "channel", "reason", "times", "people"), decided)
    _table("Also written to on the same day", ("other", "people", "person_days"), result["collisions"]["by_journey"])
    if result["expected"]:
        _table(
            "Estimated from the past: what would follow (95 % of chance)",
            ("channel", "messages", "opened", "clicked", "ordered"),
            [
                {**row, **{word: _range(row.get(word)) for word in ("opened", "clicked", "ordered")}}
                for row in result["expected"]["channels"]
            ],
        )
    for check in result["checks"]:
        colour, word = ("green", "holds") if check["holds"] else ("red", "broken")
        mark = f"[{colour}]{escape(tell.term(word))}[/{colour}]"
        console.print(f"{mark} {escape(check['said'])} {escape(check['found'])}", highlight=False, soft_wrap=True)
        if check["example"]:
            console.print(f"  for example customer {check['example']['customer_id']}:")
            for one in check["example"]["timeline"]:
                told = {**one, **({"step": places.get(one["step"], one["step"])} if one.get("step") else {})}
                what = ", ".join(
                    f"{name} {value}" for name, value in told.items() if name not in ("at", "seen") and value
                )
                console.print(f"    {told['at'][:16]} {escape(what)}", highlight=False)


def _numbers(per_person: dict[str, dict[str, int]]) -> list[dict[str, Any]]:
    names = sorted({*per_person["messages"], *per_person["most_in_a_week"]}, key=int)
    return [
        {
            "number": name,
            "in_all": per_person["messages"].get(name, 0),
            "within_7_days": per_person["most_in_a_week"].get(name, 0),
        }
        for name in names
    ]


def _table(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    table = Table(*(name.replace("_", " ") for name in columns), title=title)
    for row in rows:
        table.add_row(*(escape(f"{row[name]:,}" if isinstance(row[name], int) else str(row[name])) for name in columns))
    Console().print(table)


def _money(amount: float | None) -> str:
    return "unknown" if amount is None else f"{amount:,.2f}"


def _range(found: dict[str, float] | None) -> str:
    return "unknown" if found is None else f"{found['expected']:,.0f} ({found['low']:,.0f} to {found['high']:,.0f})"
