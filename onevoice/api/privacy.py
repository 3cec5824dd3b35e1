"""A customer's rights over HTTP: the archive of all that is kept, erasure with its report, retention tried and run."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from onevoice.api.access import Ask, Database, Now
from onevoice.privacy import access, erasure, retention

router = APIRouter(prefix="/v1/privacy", tags=["privacy"])

CustomerId = Annotated[int, Path(description="The customer's id, as search gives it", ge=0, lt=2**63)]


class Wish(BaseModel):
    """Who asks, and why."""

    by: str = Field("api", max_length=200)
    note: str = Field("", max_length=2_000)


class Asked(BaseModel):
    """A request's number, to follow it."""

    id: str


@router.get("/requests", summary="Requests for access and erasure")
def requests(database: Database, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[dict[str, Any]]:
    """The newest first, each with its state and report."""
    with database.connect() as connection:
        return erasure.listed(connection, limit)


@router.get("/requests/{request_id}", summary="One request")
def request(database: Database, request_id: UUID) -> dict[str, Any]:
    """Its state; of a completed erasure the report: every store and table, the rows found and the rows left."""
    with database.connect() as connection:
        return erasure.get(connection, request_id)


@router.post("/customers/{customer_id}/erase", summary="Erase a customer", status_code=202)
def erase(database: Database, now: Now, customer_id: CustomerId, body: Wish) -> Asked:
    """Out of every store, with the engine's next step. It cannot be undone; what repeats old facts is dropped."""
    with database.begin() as connection:
        return Asked(id=str(erasure.request(connection, customer_id, body.by, body.note, now)))


@router.post(
    "/customers/{customer_id}/archive",
    summary="All that is kept of a customer",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}, "description": "JSON, CSV and a page, zipped"}},
)
def archive(ask: Ask, database: Database, now: Now, customer_id: CustomerId, body: Wish) -> Response:
    """One archive for programs and people; that it was made is noted, the archive itself is kept nowhere."""
    told = ask.ask("access", patience=access.PATIENCE_SECONDS, customer_id=customer_id)
    with database.begin() as connection:
        packed = access.archive(connection, told, customer_id, now)
        access.noted(connection, customer_id, body.by, body.note, now)
    name = f"customer-{customer_id}.zip"
    return Response(
        packed, media_type="application/zip", headers={"content-disposition": f'attachment; filename="{name}"'}
    )


@router.get("/retention", summary="What is kept how long")
def kept(database: Database) -> list[dict[str, Any]]:
    """The documents, as saved by `onevoice apply` or PUT."""
    with database.connect() as connection:
        return retention.documents(connection)


@router.put("/retention/{name}", summary="Save what is kept how long")
def saved(database: Database, now: Now, name: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    """Holds from the next daily run on. Try it dry first."""
    with database.begin() as connection:
        version, changed = retention.save(connection, {"kind": "retention", "name": name, "rules": rules}, now)
    return {"version": version, "changed": changed}


@router.get("/retention/dry-run", summary="What a run would remove")
def dry(ask: Ask, database: Database, now: Now) -> list[dict[str, Any]]:
    """Per rule and table: the rows; nothing is changed."""
    with database.connect() as connection:
        rules = [rule for document in retention.documents(connection) for rule in retention.rules(document)]
        aged = ask.ask("retention_tried", patience=retention.PATIENCE_SECONDS, rules=msgspec.to_builtins(rules))
        found: list[dict[str, Any]] = msgspec.to_builtins(retention.outcomes(connection, rules, aged, now))
    return found


@router.get("/retention/runs", summary="What runs have removed")
def runs(database: Database) -> list[dict[str, Any]]:
    """The newest first."""
    with database.connect() as connection:
        return retention.runs(connection)


@router.post("/retention/run", summary="Run it now", status_code=202)
def run(database: Database, now: Now) -> Asked:
    """With the engine's next step; else it runs daily."""
    with database.begin() as connection:
        return Asked(id=str(retention.ask(connection, now)))
