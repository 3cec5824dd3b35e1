"""Delivery over HTTP: how it stands; pause, resume, cancel; what is in doubt, and a person's word on it."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from onevoice.api.access import Caller, Database, Now
from onevoice.channels.providers import providers
from onevoice.delivery import breakers, control, doubts, holds, limits
from onevoice.delivery.doubts import Doubt
from onevoice.delivery.holds import PAUSE, Scope
from onevoice.kernel.errors import NotFound

router = APIRouter(prefix="/v1/delivery", tags=["delivery"])


class Which(BaseModel):
    """What is meant; nothing given is everything."""

    journey: str = Field("", max_length=200)
    step: str = Field("", max_length=200, description="Goes with its journey")
    channel: str = Field("", max_length=50)
    message_id: UUID | None = None

    def scope(self) -> Scope:
        """The same for delivery."""
        return Scope(self.journey, self.step, self.channel, self.message_id)


class Word(BaseModel):
    """A person's word on messages in doubt."""

    message_ids: list[UUID] = Field(min_length=1, max_length=1_000)
    sent: bool = Field(description="true: they went out; false: they did not, and are queued again")


class Limit(BaseModel):
    """A throttle or a bound of the breakers."""

    key: str = Field(
        max_length=300,
        pattern=r"^(installation|(provider|domain|sender):[!-~]+|breaker:[a-z_]+)$",
        description="installation, provider:NAME, domain:NAME, sender:NAME, breaker:...",
    )
    value: str = Field(
        max_length=50,
        pattern=r"^(none|[0-9]+([.][0-9]+)?(/(second|minute|hour|day))?)$",
        description="A rate such as 20/second, or none; a number for a breaker's",
    )


class HeldLimit(Limit):
    """One that holds, and who changed it when; empty: the settings' or the default."""

    set_by: str
    set_at: str


class Settled(BaseModel):
    """The messages that were in doubt, and are no more."""

    settled: list[UUID]


@router.get("", summary="How delivery stands")
def status(database: Database, now: Now, request: Request) -> dict[str, Any]:
    """What waits and since when, each provider's pace and breaker, throttles, holds, workers."""
    with database.connect() as connection:
        return control.status(connection, request.app.state.settings, now)


@router.get("/limits", summary="Throttles and breakers' bounds, and who has changed which")
def limits_held(database: Database, request: Request) -> list[HeldLimit]:
    """Those of the settings, with what was changed while everything ran."""
    with database.connect() as connection:
        found = limits.listed(connection, request.app.state.settings.throttles)
    return [HeldLimit(**one) for one in found]


@router.put("/limits", summary="Change one", status_code=204)
def limit(wanted: Limit, database: Database, who: Caller, now: Now) -> None:
    """Workers go by it within five seconds."""
    with database.begin() as connection:
        limits.change(connection, wanted.key, wanted.value, who, now)


@router.delete("/limits", summary="Let the settings' or the default hold again", status_code=204)
def unlimit(key: Annotated[str, Query(max_length=300)], database: Database) -> None:
    """Of one that was changed."""
    with database.begin() as connection:
        limits.reset(connection, key)


@router.post("/pause", summary="Stop sending: everything, a channel, a journey, a step or a message")
def pause(which: Which, database: Database, who: Caller) -> dict[str, Any]:
    """In force within two seconds, also for what is in flight; `resume` takes it back."""
    with database.begin() as connection:
        return control.described(holds.place(connection, PAUSE, which.scope(), who))


@router.post("/resume", summary="Take a pause back")
def resume(which: Which, database: Database) -> dict[str, int]:
    """The scope must be the pause's own."""
    with database.begin() as connection:
        return {"queued_again": holds.lift(connection, which.scope())}


@router.post("/cancel", summary="Cancel what waits: it is skipped, for good")
def cancel(which: Which, database: Database, who: Caller, now: Now) -> dict[str, Any]:
    """What is in flight and not handed over yet stops within two seconds."""
    done = control.cancel(database, which.scope(), who, now)
    return {**control.described(done.hold), "cancelled": done.cancelled, "being_sent": done.being_sent}


@router.get("/in-doubt", summary="Messages that may have been sent")
def in_doubt(
    database: Database,
    journey: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> list[Doubt]:
    """The oldest first."""
    with database.connect() as connection:
        return doubts.listed(connection, limit, journey)


@router.post("/in-doubt", summary="Say of messages in doubt whether they were sent")
def resolve(word: Word, database: Database, who: Caller, now: Now) -> Settled:
    """Those that were not go out again."""
    with database.begin() as connection:
        return Settled(settled=doubts.resolve(connection, word.message_ids, sent=word.sent, by=who, now=now))


@router.post("/providers/{name}/close", summary="Say that a provider is well again", status_code=204)
def close(name: Annotated[str, Path(max_length=100)], database: Database, now: Now, request: Request) -> None:
    """Its circuit breaker closes at once."""
    if name not in providers(request.app.state.settings.channels):
        raise NotFound(f"There is no provider {name!r}; GET /v1/delivery lists them")
    with database.begin() as connection:
        breakers.close(connection, [name], now)
