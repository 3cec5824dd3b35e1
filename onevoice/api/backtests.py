"""Back-tests over HTTP: asked for, watched, read, given up. The engine runs them; nothing of them is ever sent."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from onevoice.api.access import Database, Locale, Now
from onevoice.api.instants import Instant, aware
from onevoice.journeys import backtests, service

router = APIRouter(prefix="/v1/journeys/{name}/backtests", tags=["back-tests"])


class Asked(BaseModel):
    """What is to be tried over which window."""

    since: datetime | None = Field(None, alias="from", description="90 days before the end by default")
    until: datetime | None = Field(None, alias="to", description="Now by default")
    every_minutes: int | None = Field(None, ge=15, le=1440, description="Between two looks at the segments")
    known: Literal["then", "today"] = Field("then", description="People as known then, or as known today")
    reacting: bool = Field(True, description="Whether people react as they did in the past: an estimate")
    definition: dict[str, Any] | None = Field(None, description="A draft; the saved journey by default")
    segments: list[dict[str, Any]] = Field([], description="Segments in place of those saved, or beside them")


class BacktestRow(BaseModel):
    """How far a back-test has come."""

    id: UUID
    journey: str
    asked: dict[str, Any]
    state: Literal["waiting", "running", "done", "failed", "cancelling", "cancelled"]
    progress: float
    error: str | None
    asked_at: Instant
    begun_at: Instant | None
    ended_at: Instant | None


class Backtest(BacktestRow):
    """A back-test with what it tried and what it found, once it is done."""

    definition: dict[str, Any]
    result: dict[str, Any] | None = None


@router.post("", status_code=202, summary="Run a journey over the past, with nothing sent")
def asked(database: Database, now: Now, name: str, body: Asked) -> Backtest:
    """It is put in line; read its state and result where `id` says."""
    with database.begin() as connection:
        version, definition = 0, body.definition
        if definition is None:
            saved = service.get(connection, name)
            version, definition = saved.version, saved.definition
        number = backtests.ask(
            connection,
            {**definition, "name": name},
            now,
            aware(body.since) if body.since else None,
            aware(body.until) if body.until else None,
            timedelta(minutes=body.every_minutes) if body.every_minutes else None,
            body.known,
            body.reacting,
            body.segments,
            version,
        )
        return Backtest(**backtests.one(connection, number))


@router.get("", summary="A journey's back-tests")
def listed(database: Database, name: str, limit: Annotated[int, Query(ge=1, le=200)] = 20) -> list[BacktestRow]:
    """The newest first, without their results."""
    with database.connect() as connection:
        return [BacktestRow(**row) for row in backtests.listed(connection, name, limit)]


@router.get("/{backtest_id}", summary="One back-test with its result")
def one(database: Database, locale: Locale, name: str, backtest_id: UUID) -> Backtest:
    """`result` is there once the state is `done`. `expected` in it is an estimate, all else is counted; `checks` tell
    what the document asserts (`said`), whether it holds, and what was found (`found`, its `figures`)."""
    with database.connect() as connection:
        return Backtest(**backtests.one(connection, backtest_id, locale))


@router.delete("/{backtest_id}", status_code=202, summary="Give a back-test up")
def cancelled(database: Database, now: Now, name: str, backtest_id: UUID) -> BacktestRow:
    """It ends before its next instant; one that is over stays as it is."""
    with database.begin() as connection:
        backtests.cancel(connection, backtest_id, now)
        return BacktestRow(**backtests.one(connection, backtest_id))
