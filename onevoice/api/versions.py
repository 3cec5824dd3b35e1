"""Versions of journeys over HTTP: what a document would change, saving it, what there was, and going back."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from onevoice.api.access import Ask, Caller, Database, Locale, Now
from onevoice.api.instants import Instant
from onevoice.delivery.launching import circumstances
from onevoice.journeys import launching, service, versions
from onevoice.journeys.laid import laid

router = APIRouter(prefix="/v1/journeys/{name}", tags=["journeys"])


class Document(BaseModel):
    """A journey's document, and what becomes of the people on older versions."""

    definition: dict[str, Any]
    moves: dict[str, str] = Field({}, description="By step of an older version: finish, leave, or a step to move to")


class Fate(BaseModel):
    """What becomes of those who stand at a place of an older version."""

    version: int
    step: str
    people: int
    fate: str
    to: str
    said: str


class Plan(BaseModel):
    """What saving a document would change."""

    changed: bool
    changes: list[str]
    difference: str
    people: list[Fate]


class Saved(BaseModel):
    """What saving did."""

    version: int
    changed: bool


class Version(BaseModel):
    """A version of a journey."""

    version: int
    status: str
    saved_at: Instant
    moves: dict[str, str]
    definition: dict[str, Any]


@router.post("/plan", summary="What saving a document would change")
def planned(database: Database, ask: Ask, now: Now, locale: Locale, name: str, body: Document) -> Plan:
    """In words, as a difference of the YAML, and for the people in flight with their numbers. Saves nothing."""
    with database.connect() as connection, connection.begin() as transaction:
        before = next((one for one in service.all_journeys(connection) if one.name == name), None)
        _, changed = service.save(connection, {**body.definition, "name": name}, now, body.moves)
        new, *older = versions.all_versions(connection, name)
        transaction.rollback()
    rows = ask.ask("journey_standing", names=[name]) if changed and before is not None else []
    standing = {(row["version"], row["step"]): row["people"] for row in rows}
    latest = laid(name, new.version, new.definition, new.launched_at, new.moves)
    return Plan(
        changed=changed,
        changes=versions.changes(before.document if before else None, new.document, locale),
        difference=versions.difference(before.definition if before else None, new.definition),
        people=[
            Fate(version=one.version, step=one.step, people=one.people, fate=one.fate, to=one.to, said=one.said(locale))
            for one in versions.fates(older, latest, standing)
        ],
    )


@router.put("", summary="Save a journey as a new version")
def saved(
    request: Request,
    database: Database,
    now: Now,
    caller: Caller,
    name: str,
    body: Document,
    anyway: Annotated[bool, Query(description="Let it be live whatever the checks say")] = False,
) -> Saved:
    """Ask for its plan first: it says what becomes of the people in flight. A journey that is live then is held to the
    checks before launch: an error in a template holds it back (409, which names it)."""
    with database.begin() as connection:
        version, changed = service.save(connection, {**body.definition, "name": name}, now, body.moves, caller)
        found = service.get(connection, name)
        if changed and found.status == "live" and not anyway:
            told = circumstances(request.app.state.settings.channels)
            launching.hold_back(name, launching.findings(connection, found.document, told))
    return Saved(version=version, changed=changed)


@router.get("/versions", summary="All versions of a journey")
def listed(database: Database, name: str) -> list[Version]:
    """The newest first."""
    with database.connect() as connection:
        return [
            Version(
                version=one.version,
                status=one.status,
                saved_at=one.saved_at,
                moves=dict(one.moves),
                definition=one.definition,
            )
            for one in versions.all_versions(connection, name)
        ]


@router.post("/revert/{version}", summary="Bring an earlier version back, as a new one")
def reverted(database: Database, now: Now, caller: Caller, name: str, version: int) -> Saved:
    """The journey keeps its status."""
    with database.begin() as connection:
        number, changed = versions.revert(connection, name, version, now, by=caller)
    return Saved(version=number, changed=changed)
