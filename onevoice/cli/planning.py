"""`onevoice plan PLACE`: what `apply` would save, in words and as a difference, and what becomes of people in flight.

It applies the documents in a transaction that it takes back, so whatever `apply` would refuse, it refuses.
"""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from sqlalchemy import Connection

from onevoice import database, warehouse
from onevoice.cli.applying import apply
from onevoice.delivery.launching import circumstances
from onevoice.engine.client import EngineClient
from onevoice.engine.load import TABLES
from onevoice.engine.questions import journey_standing
from onevoice.journeys import launching, service, versions
from onevoice.journeys.laid import laid
from onevoice.journeys.sentences import Telling
from onevoice.kernel.errors import InvalidInput, Unavailable
from onevoice.kernel.settings import Settings
from onevoice.segments import service as segments

Moves = Mapping[str, Mapping[str, str]]
"""By journey and step of an older version, what becomes of who stands there."""


def run(settings: Settings, place: Path, moves: list[str], as_json: bool, locale: str = "en") -> None:
    """Prints the plan."""
    with database.opened(settings) as pool, pool.connect() as connection, connection.begin() as transaction:
        found = planned(connection, settings, place, told(moves), locale)
        transaction.rollback()
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        show(found, locale)


def planned(
    connection: Connection, settings: Settings, place: Path, moves: Moves, locale: str = "en"
) -> list[dict[str, Any]]:
    """Applies the documents in the caller's transaction; tells what changed, and of whom it changes the way."""
    before = {journey.name: journey for journey in service.all_journeys(connection)}
    found = apply(connection, place, settings.clock(), moves)
    changed = {one["name"] for one in found if one["kind"] == "journey" and one["changed"] and one["name"] in before}
    standing: dict[str, dict[tuple[int, str], int]] = {}
    for row in _standing(settings, sorted(changed)) if changed else ():
        standing.setdefault(row["journey"], {})[row["version"], row["step"]] = row["people"]
    for one in found:
        one.update({"changes": [], "difference": "", "people": [], "doubts": []})
        if not one["changed"]:
            continue
        if one["kind"] == "segment" and one["version"] > 1:
            one["difference"] = segments.difference(connection, one["name"], one["version"] - 1, one["version"])
        if one["kind"] == "journey":
            name = one["name"]
            one.update(_journey(connection, name, before.get(name), standing.get(name, {}), locale))
            one["doubts"] = _doubts(connection, settings, name, locale)
    return found


def _journey(
    connection: Connection, name: str, before: service.SavedJourney | None, standing: versions.Standing, locale: str
) -> dict[str, Any]:
    new, *older = versions.all_versions(connection, name)
    fates = versions.fates(older, laid(name, new.version, new.definition, new.launched_at, new.moves), standing)
    return {
        "changes": versions.changes(before.document if before else None, new.document, locale),
        "difference": versions.difference(before.definition if before else None, new.definition),
        "people": [
            {
                **{name: getattr(one, name) for name in ("version", "step", "people", "fate", "to")},
                "said": one.said(locale),
            }
            for one in fates
        ],
    }


def _doubts(connection: Connection, settings: Settings, name: str, locale: str) -> list[dict[str, str]]:
    """What the checks before launch say of a journey that takes people in from then on."""
    found = service.get(connection, name)
    if found.status != "live":
        return []
    doubts = launching.findings(connection, found.document, circumstances(settings.channels))
    return [{"severity": one.severity, "template": one.template, "said": one.said(locale)} for one in doubts]


def _standing(settings: Settings, names: list[str]) -> list[dict[str, Any]]:
    """How many people are where: asked of the engine, or of the warehouse itself where none runs."""
    try:
        found: list[dict[str, Any]] = EngineClient(settings).ask("journey_standing", names=names)
        return found
    except Unavailable:
        with closing(warehouse.connect(settings.warehouse, settings.warehouse_memory_mb)) as store:
            store.create(TABLES)
            return journey_standing(store, settings.clock().now(), names)


def told(moves: list[str]) -> dict[str, dict[str, str]]:
    """`JOURNEY.STEP=finish`, `=leave` or `=OTHER_STEP`, as options say it."""
    found: dict[str, dict[str, str]] = {}
    for text in moves:
        place, _, fate = text.partition("=")
        journey, _, step = place.rpartition(".")
        if not (journey and step and fate):
            raise InvalidInput(f"--move is JOURNEY.STEP=finish, =leave or =OTHER_STEP; not {text!r}")
        found.setdefault(journey, {})[step] = fate
    return found


def show(found: list[dict[str, Any]], locale: str = "en") -> None:
    """The plan, for reading."""
    console, tell = Console(), Telling(locale)
    changed = [one for one in found if one["changed"]]
    if not changed:
        console.print(tell.phrase("plan_nothing"))
    for one in changed:
        key = "plan_new" if one["version"] == 1 else "plan_version"
        head = tell.phrase(key, kind=tell.term(one["kind"]), name=tell.name(one["name"]), n=one["version"])
        console.print(f"[bold]{escape(head)}[/bold]", highlight=False, soft_wrap=True)
        for sentence in one["changes"]:
            console.print(f"  {escape(sentence)}", highlight=False, soft_wrap=True)
        for doubt in one["doubts"]:
            colour = {"error": "red"}.get(doubt["severity"], "yellow")
            told = escape(f"{doubt['template']}: {doubt['said']}")
            console.print(f"  [{colour}]{doubt['severity']}[/{colour}] {told}", highlight=False, soft_wrap=True)
        if one["version"] > 1:
            for line in one["difference"].splitlines():
                colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "default")
                console.print(f"    [{colour}]{escape(line)}[/{colour}]", highlight=False, soft_wrap=True)
        for fate in one["people"]:
            console.print(f"  {escape(fate['said'])}", highlight=False, soft_wrap=True)
        if one["kind"] == "journey" and one["version"] > 1 and not one["people"]:
            console.print(f"  {tell.phrase('plan_nobody')}", highlight=False, soft_wrap=True)
