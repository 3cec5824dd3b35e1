"""Suggested merges over HTTP: look for customers that may be one, accept or refuse each."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from onevoice.api.access import Ask, Database, Now
from onevoice.customers import suggestions
from onevoice.customers.schemas import Suggestion

router = APIRouter(prefix="/v1/matches", tags=["customers"])

RUN_SECONDS = 900.0
"""How long a run may take; a million records take about a minute."""

CustomerId = Annotated[int, Path(ge=0, lt=2**63)]


class Ran(BaseModel):
    """What a run found."""

    open: int


class Decision(BaseModel):
    """Who decides, and why."""

    by: str = Field("api", max_length=200)
    note: str = Field("", max_length=2_000)


@router.get("", summary="Customers that may be one")
def listed(
    database: Database,
    state: Literal["open", "accepted", "refused"] = "open",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[dict[str, Any]]:
    """The likeliest first, each with its match weight and what every field said for or against it."""
    with database.connect() as connection:
        return suggestions.listed(connection, state, limit)


@router.post("/run", summary="Look for customers that may be one")
def run(ask: Ask, database: Database, now: Now) -> Ran:
    """Weighs the records anew. What was open is replaced; what was refused is not suggested again."""
    with database.connect() as connection:
        refused = suggestions.refused(connection)
    found = msgspec.convert(ask.ask("matches", patience=RUN_SECONDS, refused=refused), list[Suggestion])
    with database.begin() as connection:
        return Ran(open=suggestions.keep(connection, found, now))


@router.post("/{left}/{right}/accept", summary="They are one customer")
def accept(database: Database, now: Now, left: CustomerId, right: CustomerId, body: Decision) -> dict[str, Any]:
    """Merges them with the engine's next step. `reopen` undoes it, exactly."""
    with database.begin() as connection:
        return suggestions.decide(connection, left, right, suggestions.ACCEPTED, body.by, body.note, now)


@router.post("/{left}/{right}/refuse", summary="They are two people")
def refuse(database: Database, now: Now, left: CustomerId, right: CustomerId, body: Decision) -> dict[str, Any]:
    """Remembered: the pair is not suggested again. `reopen` undoes it."""
    with database.begin() as connection:
        return suggestions.decide(connection, left, right, suggestions.REFUSED, body.by, body.note, now)


@router.post("/{left}/{right}/reopen", summary="Undo what was decided")
def reopen(database: Database, now: Now, left: CustomerId, right: CustomerId, body: Decision) -> dict[str, Any]:
    """The suggestion is open again; a merge is undone."""
    with database.begin() as connection:
        return suggestions.decide(connection, left, right, suggestions.OPEN, body.by, body.note, now)
