"""`onevoice apply PLACE`: its YAML documents (tracking plans, segments, ...) into the database, in one transaction."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
import yaml
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from onevoice import database
from onevoice.content import templates
from onevoice.customers.consent import policies, topics
from onevoice.customers.contact import store as contact
from onevoice.events import plans
from onevoice.journeys import service as journeys
from onevoice.kernel.clock import Clock
from onevoice.kernel.documents import documents as read
from onevoice.kernel.errors import Conflict, InvalidInput, OneVoiceError
from onevoice.kernel.settings import Settings
from onevoice.privacy import retention
from onevoice.segments import service as segments

ORDER = (
    "tracking_plan",
    "retention",
    "consent_policy",
    "contact_policy",
    "topic",
    "segment",
    "brand",
    "block",
    "template",
    "journey",
)
"""A journey may name a segment and a template of the same folder, a template a brand and blocks; so those go first."""


def run(
    settings: Settings,
    place: Path,
    as_json: bool,
    moves: Sequence[str] = (),
    is_sure: bool = False,
    locale: str = "en",
    anyway: bool = False,
) -> None:
    """Applies the documents and prints what changed. Where that changes the way of people in flight, it asks first; a
    journey that would be live is held to the checks before launch, unless it is to be so `anyway`."""
    from onevoice.cli import planning
    from onevoice.journeys import launching

    database.migrate(settings)
    pool = database.engine(settings)
    with pool.begin() as connection:
        found = planning.planned(connection, settings, place, planning.told(list(moves)), locale)
        for one in found if not anyway else ():
            errors = [doubt for doubt in one["doubts"] if doubt["severity"] == "error"]
            launching.refuse(one["name"], [f"{doubt['template']}: {doubt['said']}" for doubt in errors])
        concerned = [one for one in found if one["people"]]
        if concerned and not is_sure:
            planning.show(concerned, locale)
            if not sys.stdin.isatty():
                raise Conflict("People are in flight in what changes; add --yes to let it be so. Nothing was saved")
            typer.confirm("Apply it?", abort=True)
    pool.dispose()
    changes = [{name: one[name] for name in ("kind", "name", "version", "changed")} for one in found]
    if as_json:
        typer.echo(json.dumps(changes, indent=1))
        return
    table = Table("kind", "name", "version", "", title=f"Applied {place}")
    for change in changes:
        table.add_row(change["kind"], change["name"], str(change["version"]), "saved" if change["changed"] else "as is")
    Console().print(table)


def apply(
    connection: Connection, folder: Path, clock: Clock, moves: Mapping[str, Mapping[str, str]] | None = None
) -> list[dict[str, Any]]:
    """Saves every document of a file, or of a folder's `*.yaml` files; returns kind, name, version, whether it changed.

    `moves`: by journey, what becomes of the people on older versions (see journeys.service.save).

    Raises InvalidInput naming the file; then nothing must be committed.
    """
    found = sorted(documents(folder), key=lambda pair: ORDER.index(pair[1]["kind"]))
    names = [document["name"] for _, document in found if document["kind"] == "segment"]
    changes = []
    for file, document in found:
        now = clock.now()
        try:
            if document["kind"] == "segment":
                version, changed = segments.save(connection, document, now, coming=names, by="command line")
            elif document["kind"] == "tracking_plan":
                version, changed = plans.save(connection, document, now)
            elif document["kind"] == "retention":
                version, changed = retention.save(connection, document, now)
            elif document["kind"] == "consent_policy":
                version, changed = policies.save(connection, document, now)
            elif document["kind"] == "contact_policy":
                version, changed = contact.save(connection, document, now, "command line")
            elif document["kind"] == "topic":
                version, changed = topics.save(connection, document, now)
            elif document["kind"] in ("brand", "block"):
                version, changed = templates.save_part(connection, document, now)
            elif document["kind"] == "template":
                version, changed = templates.save(connection, document, now, file.parent)
            else:
                of_journey = (moves or {}).get(document["name"])
                version, changed = journeys.save(connection, document, now, of_journey, "command line")
        except OneVoiceError as error:
            raise InvalidInput(f"{file}: {error.message}") from error
        changes.append({"kind": document["kind"], "name": document["name"], "version": version, "changed": changed})
    return changes


def documents(place: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The documents of a file, or of a folder's `*.yaml` files, each with its file. Raises InvalidInput."""
    files = [place] if place.is_file() else sorted([*place.rglob("*.yaml"), *place.rglob("*.yml")])
    if not files:
        raise InvalidInput(f"{place} holds no *.yaml file")
    for file in files:
        try:
            found = read(file.read_text())
        except yaml.YAMLError as error:
            raise InvalidInput(f"{file} is not valid YAML: {error}") from error
        for document in found:
            if not isinstance(document, dict) or document.get("kind") not in ORDER:
                raise InvalidInput(f"{file}: `kind` must be one of {', '.join(ORDER)}")
            if not isinstance(document.get("name"), str):
                raise InvalidInput(f"{file}: `name` is missing")
            yield file, document
