"""The quarantine over HTTP: what could not be taken, with its reason; corrected, replayed, discarded."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from onevoice.api.access import Database, Now
from onevoice.events import plans, quarantine, replay
from onevoice.events.quarantine import Held
from onevoice.kernel.errors import InvalidInput

router = APIRouter(prefix="/v1/quarantine", tags=["quarantine"])

Number = Annotated[int, Path(description="The entry's number, as the list gives it", ge=0, lt=2**63)]
State = Literal["open", "replayed", "discarded", "all"]

AT_ONCE = 1_000
"""Entries one request replays at the most."""


class HeldRow(BaseModel):
    """An entry in the quarantine."""

    number: int
    state: str
    kind: str
    source_id: int
    reason: str
    detail: str
    received_at: datetime
    resolved_at: datetime | None
    payload: str


class Corrected(BaseModel):
    """What to take in the entry's place; as it came, if left out."""

    payload: dict[str, Any] | None = None


class Chosen(BaseModel):
    """Which open entries to replay: all that meet what is given."""

    reason: str | None = None
    source_id: int | None = None
    limit: int = Field(AT_ONCE, ge=1, le=AT_ONCE)


class Replayed(BaseModel):
    """What became of several."""

    replayed: int = 0
    deduplicated: int = 0
    still_at_fault: list[dict[str, Any]] = []


@router.get("", summary="What could not be taken")
def listed(
    database: Database,
    state: State = "open",
    reason: Annotated[str | None, Query(max_length=100)] = None,
    source_id: Annotated[int | None, Query(ge=0, lt=2**15)] = None,
    before: Annotated[int | None, Query(description="Go on before this number", ge=0, lt=2**63)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[HeldRow]:
    """The newest first, each with its reason and as it came."""
    with database.connect() as connection:
        found = quarantine.listed(
            connection, state=state, reason=reason, source_id=source_id, before=before, limit=limit
        )
    return [_row(held) for held in found]


@router.get("/counts", summary="How many are open, by source and reason")
def counts(database: Database) -> list[dict[str, Any]]:
    """The most first."""
    with database.connect() as connection:
        return quarantine.counts(connection)


@router.post("/replay", summary="Take several again")
def replayed(database: Database, now: Now, body: Chosen) -> Replayed:
    """After a plan or a program was mended. Each entry for itself: what is still at fault stays, and is named."""
    told = Replayed()
    with database.connect() as connection:
        chosen = quarantine.listed(connection, reason=body.reason, source_id=body.source_id, limit=body.limit)
        planned = plans.ready(connection)
    for held in chosen:
        try:
            with database.begin() as connection:
                outcome = replay.replay(connection, held.number, now, planned)
        except InvalidInput as error:
            told.still_at_fault.append({"number": held.number, "message": error.message})
        else:
            told.replayed += outcome == quarantine.REPLAYED
            told.deduplicated += outcome == replay.DEDUPLICATED
    return told


@router.get("/{number}", summary="One entry")
def one(database: Database, number: Number) -> HeldRow:
    """As it came, with its reason."""
    with database.begin() as connection:
        return _row(quarantine.get(connection, number))


@router.post("/{number}/replay", summary="Take one again, maybe corrected")
def again(database: Database, now: Now, number: Number, body: Corrected) -> dict[str, str]:
    """As if it had come at its own time. Refused with the reason where it is still at fault."""
    corrected = None if body.payload is None else msgspec.json.encode(body.payload)
    with database.begin() as connection:
        return {"outcome": replay.replay(connection, number, now, plans.ready(connection), corrected)}


@router.post("/{number}/discard", summary="Say that one is not wanted")
def discard(database: Database, now: Now, number: Number) -> HeldRow:
    """It stays readable; `reopen` undoes it."""
    with database.begin() as connection:
        replay.discard(connection, number, now)
        return _row(quarantine.get(connection, number))


@router.post("/{number}/reopen", summary="Undo a discard")
def reopen(database: Database, now: Now, number: Number) -> HeldRow:
    """It is open again."""
    with database.begin() as connection:
        replay.reopen(connection, number, now)
        return _row(quarantine.get(connection, number))


def _row(held: Held) -> HeldRow:
    refused = held.refused
    return HeldRow(
        number=held.number,
        state=held.state,
        kind=replay.kind_of(held),
        source_id=refused.source_id,
        reason=refused.reason,
        detail=refused.detail,
        received_at=refused.received_at,
        resolved_at=held.resolved_at,
        payload=refused.payload.decode("utf-8", "replace"),
    )
