"""Journeys over HTTP: the list, and one with its figures per step, its decisions and its lift."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from onevoice.api.access import Ask, Database
from onevoice.api.instants import Instant
from onevoice.journeys import service

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


def _row(found: service.SavedJourney) -> JourneyRow:
    return JourneyRow(
        name=found.name,
        version=found.version,
        status=found.status,
        saved_at=found.saved_at,
        definition=found.definition,
    )
