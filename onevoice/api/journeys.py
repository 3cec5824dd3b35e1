"""Journeys over HTTP: the list, and one with its figures per step, its decisions and its lift."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from onevoice.api.access import Ask, Database, Locale, Now
from onevoice.api.instants import Instant
from onevoice.api.templates import FindingRow, finding_row
from onevoice.delivery.launching import circumstances
from onevoice.journeys import launching, service

router = APIRouter(prefix="/v1/journeys", tags=["journeys"])


class JourneyRow(BaseModel):
    """A journey in the list: its newest version."""

    name: str
    version: int
    status: str
    saved_at: Instant
    definition: dict[str, Any]


class Journey(JourneyRow):
    """A journey with its results."""

    results: dict[str, Any]


@router.get("", summary="All journeys")
def journeys(database: Database) -> list[JourneyRow]:
    """The newest version of each."""
    with database.connect() as connection:
        return [_row(found) for found in service.all_journeys(connection)]


@router.get("/{name}", summary="One journey with its figures")
def journey(ask: Ask, database: Database, name: str) -> Journey:
    """Figures per step and channel, decisions by reason, lift over the hold-out with its interval."""
    with database.connect() as connection:
        found = service.get(connection, name)
    return Journey(**_row(found).model_dump(), results=ask.ask("journey", name=name))


class Changed(BaseModel):
    """Where the journey stands now."""

    name: str
    status: str


class Launched(Changed):
    """The same, with what the checks doubt."""

    findings: list[FindingRow]


def _change(database: Database, now: Now, name: str, change: str) -> Changed:
    with database.begin() as connection:
        service.CHANGES[change](connection, name, now)
        return Changed(name=name, status=service.get(connection, name).status)


@router.post("/{name}/launch", summary="Check what a journey sends, and launch it")
def launch(
    request: Request,
    ask: Ask,
    database: Database,
    now: Now,
    locale: Locale,
    name: str,
    anyway: Annotated[bool, Query(description="Launch it whatever the checks say")] = False,
) -> Launched:
    """It takes in who comes from now on. An error in a template holds it back (409, which names it)."""
    with database.connect() as connection:
        found = service.get(connection, name)
        told = circumstances(request.app.state.settings.channels, ask.ask("audience", journey=found.plain))
        doubts = launching.findings(connection, found.document, told)
    if not anyway:
        launching.hold_back(name, doubts)
    changed = _change(database, now, name, "launch")
    return Launched(**changed.model_dump(), findings=[finding_row(one, locale) for one in doubts])


@router.post("/{name}/pause", summary="Pause a journey")
def pause(database: Database, now: Now, name: str) -> Changed:
    """Everybody stands where they are."""
    return _change(database, now, name, "pause")


@router.post("/{name}/resume", summary="Resume a journey that was paused")
def resume(database: Database, now: Now, name: str) -> Changed:
    """What fell due meanwhile is done, but messages that are more than three days late."""
    return _change(database, now, name, "resume")


@router.post("/{name}/stop", summary="Stop a journey")
def stop(database: Database, now: Now, name: str) -> Changed:
    """Takes everybody out, and lets nobody in."""
    return _change(database, now, name, "stop")


@router.post("/{name}/archive", summary="Put a journey away")
def archive(database: Database, now: Now, name: str) -> Changed:
    """With everybody out of it."""
    return _change(database, now, name, "archive")


def _row(found: service.SavedJourney) -> JourneyRow:
    return JourneyRow(
        name=found.name,
        version=found.version,
        status=found.status,
        saved_at=found.saved_at,
        definition=found.definition,
    )
