"""Imports over HTTP: a file from a URL, taken in the background; how far it is, what it did, its bad rows."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from onevoice.api.access import Caller, Database, Now
from onevoice.events.imports import jobs
from onevoice.events.imports.jobs import Job
from onevoice.kernel.errors import NotFound
from onevoice.kernel.settings import Settings

router = APIRouter(prefix="/v1/imports", tags=["import"])

ImportKind = Literal["customers", "orders", "products", "events", "refunds", "consents", "suppression"]


class Wish(BaseModel):
    """What to import, and how."""

    kind: ImportKind
    url: str = Field(
        description="One file at s3://, gs://, az:// or https://, at a place that import_from in onevoice.toml lists",
        min_length=1,
        max_length=2_000,
    )
    source: str = Field("import", description="The source the rows come from; made where there is none", max_length=200)
    source_kind: str = Field(
        "", description="Its kind, if new: till, web, app, server, import; server, if left out", max_length=20
    )
    mapping: dict[str, Any] | None = Field(None, description="As in a mapping file; guessed, if left out")
    dry_run: bool = Field(False, description="Check and show, but write nothing")
    again: bool = Field(False, description="Also what has been imported already")


class ImportJob(BaseModel):
    """An import asked for, and how far it is."""

    id: UUID
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    kind: str
    url: str
    source: str
    dry_run: bool
    person: str
    phase: str
    progress: int
    total: int
    result: dict[str, Any] | None
    has_report: bool
    error: str | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


@router.post("", status_code=202, summary="Import a file from a URL")
def asked(wish: Wish, request: Request, database: Database, now: Now, caller: Caller) -> ImportJob:
    """It is taken in the background, also across restarts; ask for its id to see how far it is."""
    with database.begin() as connection:
        made = jobs.ask(connection, _settings(request), now, **wish.model_dump(), person=caller)
    return _told(made)


@router.get("", summary="Imports that were asked for")
def listed(database: Database, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[ImportJob]:
    """The newest first."""
    with database.connect() as connection:
        return [_told(job) for job in jobs.listed(connection, limit)]


@router.get("/{id}", summary="How far an import is, or what it did")
def one(database: Database, id: UUID) -> ImportJob:
    """`progress` of `total` counts bytes while fetching and reading, then rows; a total of 0 is not known."""
    with database.connect() as connection:
        return _told(jobs.get(connection, id))


@router.get(
    "/{id}/report",
    summary="The rows that were not taken",
    response_class=FileResponse,
    responses={200: {"content": {"text/csv": {}}}},
)
def report(database: Database, id: UUID) -> FileResponse:
    """As CSV: line, column, value, reason."""
    with database.connect() as connection:
        job = jobs.get(connection, id)
    if not job.report or not Path(job.report).exists():
        raise NotFound(f"Import {id} has no report: it is {job.state}, or all rows were taken")
    return FileResponse(job.report, media_type="text/csv; charset=utf-8", filename=f"import-{id}.csv")


@router.post("/{id}/cancel", summary="Stop an import")
def cancelled(database: Database, id: UUID, now: Now) -> ImportJob:
    """What has been written by then stays; the same file asked for again goes on after it."""
    with database.begin() as connection:
        return _told(jobs.cancel(connection, id, now))


@router.delete("/{id}", status_code=204, summary="Forget an import that has ended")
def removed(database: Database, request: Request, id: UUID) -> None:
    """With its report. What was imported stays."""
    with database.begin() as connection:
        jobs.remove(connection, _settings(request), id)


def _settings(request: Request) -> Settings:
    found: Settings = request.app.state.settings
    return found


def _told(job: Job) -> ImportJob:
    return ImportJob(**{**asdict(job), "has_report": bool(job.report)})
