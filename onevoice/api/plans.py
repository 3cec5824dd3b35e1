"""Tracking plans over HTTP: what events must look like, and what was taken though it did not."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from onevoice.api.access import Database, Now
from onevoice.events import plans

router = APIRouter(prefix="/v1/tracking-plans", tags=["tracking plans"])

Name = Annotated[
    str, Path(description="The event's name; * for all without a plan; $identify, $group for traits", max_length=200)
]


class PlanRow(BaseModel):
    """A plan with its version."""

    name: str
    version: int
    definition: dict[str, Any]


class PlanBody(BaseModel):
    """What an event must look like."""

    description: str = ""
    on_violation: str = Field("warn", description="warn: take it and count the problem; quarantine: keep it out")
    json_schema: dict[str, Any] | bool = Field(alias="schema", description="JSON Schema of the event's properties")


class Saved(BaseModel):
    """What saving did."""

    version: int
    changed: bool


@router.get("", summary="All tracking plans")
def listed(database: Database) -> list[PlanRow]:
    """By name."""
    with database.connect() as connection:
        return [PlanRow(**row) for row in plans.all_plans(connection)]


@router.get("/warnings", summary="What plans object to in events that were taken")
def warnings(database: Database, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[dict[str, Any]]:
    """Each problem with how often it was met, the newest first."""
    with database.connect() as connection:
        return plans.warnings(connection, limit)


@router.put("/{name}", summary="Save a tracking plan")
def saved(database: Database, now: Now, name: Name, body: PlanBody) -> Saved:
    """It holds for events from then on, within a few seconds."""
    document: dict[str, Any] = {
        "kind": "tracking_plan",
        "name": name,
        "on_violation": body.on_violation,
        "schema": body.json_schema,
    }
    if body.description:
        document["description"] = body.description
    with database.begin() as connection:
        version, changed = plans.save(connection, document, now)
    return Saved(version=version, changed=changed)


@router.delete("/{name}", summary="Take a tracking plan away")
def deleted(database: Database, name: Name) -> dict[str, Any]:
    """Answers its document, with which it can be saved again."""
    with database.begin() as connection:
        return plans.delete(connection, name)
