"""Who is who over HTTP: merge, part, block, preview and undo, everybody anew, and why links do not join."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from onevoice.api.access import Ask, Database, Now
from onevoice.customers import decisions, identifiers
from onevoice.customers.decisions import Decision
from onevoice.customers.schemas import DecisionEntry
from onevoice.events import sources

router = APIRouter(prefix="/v1/identity", tags=["customers"])

Name = Annotated[
    str, Field(description="`namespace:value`, such as `loyalty_card:900`, or `customer:ID`", max_length=1200)
]


class Wanted(BaseModel):
    """merge: one customer; part: never one customer; block: `one` joins nobody."""

    action: Literal["merge", "part", "block"]
    one: Name
    other: Name | None = None
    person: str = Field(min_length=1, max_length=200, description="Who decides")
    note: str = Field("", max_length=2_000, description="Why")


class Undo(BaseModel):
    """Who takes a decision back, and why."""

    person: str = Field(min_length=1, max_length=200)
    note: str = Field("", max_length=2_000)


class Rebuild(BaseModel):
    """Who has everybody grouped anew."""

    person: str = Field(min_length=1, max_length=200)


class Asked(BaseModel):
    """The engine has been asked; it follows in its next step."""

    status: Literal["asked"] = "asked"


class Kept(BaseModel):
    """A decision's id, with which it can be undone."""

    id: UUID


class DecisionShown(BaseModel):
    """A decision, and by what it was undone."""

    id: UUID
    action: str
    namespace: str
    value: str
    other_namespace: str
    other_value: str
    person: str
    note: str
    decided_at: datetime
    undone_by: UUID | None


@router.post("/decisions", summary="Merge, part or block", status_code=201)
def decide(request: Request, database: Database, now: Now, wanted: Wanted) -> Kept:
    """The engine follows within a second. Undo it by its id."""
    with database.begin() as connection:
        return Kept(id=decisions.decide(connection, _decision(request, connection, wanted, now)))


@router.post("/preview", summary="What a decision would change")
def preview(request: Request, ask: Ask, database: Database, now: Now, wanted: Wanted) -> dict[str, Any]:
    """Customers before and after, rows that would move, segments, links that would be refused. Nothing is changed."""
    with database.connect() as connection:
        told = decisions.entry(_decision(request, connection, wanted, now))
    return _ask(request, ask, told)


@router.post("/decisions/{decision_id}/preview-undo", summary="What an undo would change")
def preview_undo(request: Request, ask: Ask, database: Database, now: Now, decision_id: UUID) -> dict[str, Any]:
    """As `preview`."""
    with database.connect() as connection:
        told = decisions.undoing(decisions.get(connection, decision_id), "preview", "", now)
    return _ask(request, ask, told)


@router.post("/decisions/{decision_id}/undo", summary="Undo a decision")
def undo(database: Database, now: Now, decision_id: UUID, by: Undo) -> Kept:
    """All is as if the decision had never been made."""
    with database.begin() as connection:
        return Kept(id=decisions.undo(connection, decision_id, by.person, by.note, now))


@router.post("/rebuild", summary="Group everybody anew", status_code=202)
def rebuild(database: Database, now: Now, by: Rebuild) -> Asked:
    """By the rules the engine was started with: change onevoice.toml and start again first.

    Done once `preview-rebuild` finds nothing to change.
    """
    with database.begin() as connection:
        decisions.ask_rebuild(connection, by.person, now)
    return Asked()


@router.post("/preview-rebuild", summary="What grouping everybody anew would change")
def preview_rebuild(request: Request, ask: Ask, database: Database) -> dict[str, Any]:
    """Profiles before and after, how many split and merge, rows that would move. Nothing is changed."""
    with database.connect() as connection:
        ids = {one.name: one.id for one in sources.all_sources(connection)}
    identity = request.app.state.settings.identity
    found: dict[str, Any] = ask.ask("identity_rebuild", identity=identity, ids=ids)
    return found


@router.get("/decisions", summary="Decisions")
def listed(database: Database, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[DecisionShown]:
    """The newest first."""
    with database.connect() as connection:
        return [DecisionShown.model_validate(row) for row in decisions.listed(connection, limit=limit)]


@router.get("/warnings", summary="Links that do not join, and why")
def warnings(
    ask: Ask,
    customer_id: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
    rule: Annotated[str, Query(description="limit, size, apart, unproven, shared or blocked")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[dict[str, Any]]:
    """Each with the rule, the identifiers and the event, the newest first."""
    found: list[dict[str, Any]] = ask.ask("identity_warnings", customer_id=customer_id, rule=rule, limit=limit)
    return found


def _decision(request: Request, connection: Any, wanted: Wanted, now: datetime) -> Decision:
    rules = identifiers.rules(request.app.state.settings.identity, {})
    one = decisions.named(connection, wanted.one, rules)
    other = decisions.named(connection, wanted.other, rules) if wanted.other else None
    return Decision(wanted.action, one, other, wanted.person, wanted.note, now)


def _ask(request: Request, ask: Any, told: DecisionEntry) -> dict[str, Any]:
    settings = request.app.state.settings.identity
    found: dict[str, Any] = ask.ask("identity_preview", told=msgspec.to_builtins(told), identity=settings)
    return found
