"""What comes back, over HTTP: e-mail handed over by a mail server, texts that may be opt-outs, the list of calls."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from onevoice.api.access import Caller, Database, Now
from onevoice.delivery import calls, mailbox, opt_outs
from onevoice.delivery.links import LinkMaker
from onevoice.kernel.errors import TooLarge
from onevoice.kernel.settings import Settings

router = APIRouter(prefix="/v1", tags=["delivery"])

LARGEST_MAIL = 20_000_000


class ReceivedMail(BaseModel):
    """What was made of an e-mail."""

    what: str
    message_id: str
    status: str


class Text(BaseModel):
    """A text that looks as if somebody wanted no more."""

    id: UUID
    channel: str
    address: str
    text: str
    received_at: datetime
    message_id: UUID | None


class Decision(BaseModel):
    """A person's word on such texts."""

    ids: list[UUID] = Field(min_length=1, max_length=1_000)
    wants_no_more: bool


class Result(BaseModel):
    """What came of a call."""

    agent: str = Field(min_length=1, max_length=200)
    result: Literal["talked", "voicemail", "no_answer", "wrong_number", "no_more_calls"]
    note: str = Field("", max_length=2_000)


class Taken(BaseModel):
    """Who takes a call."""

    agent: str = Field(min_length=1, max_length=200)


@router.post("/mail", summary="Take in an e-mail that came back: a bounce, a complaint, an answer")
async def mail(request: Request, database: Database, now: Now, recipient: str = "") -> ReceivedMail:
    """The body is the message as it came (RFC 5322); `recipient` is the address it was delivered to. Twice is once."""
    from starlette.concurrency import run_in_threadpool

    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST_MAIL:
            raise TooLarge(f"The message is over {LARGEST_MAIL:,} bytes")
    secret = _settings(request).secret()

    def within() -> mailbox.Received:
        with database.begin() as connection:
            return mailbox.receive(connection, secret, raw, now, recipient)

    found = await run_in_threadpool(within)
    return ReceivedMail(what=found.what, message_id=found.message_id, status=found.status)


@router.get("/opt-outs", summary="Texts that may be opt-outs and wait for a person")
def waiting(database: Database, limit: Annotated[int, Query(ge=1, le=1_000)] = 100) -> list[Text]:
    """The oldest first. Exact words such as STOP are none of these: they act at once."""
    with database.connect() as connection:
        return [Text(**row) for row in opt_outs.waiting(connection, limit)]


@router.post("/opt-outs", summary="Decide on such texts")
def decide(decision: Decision, database: Database, who: Caller, now: Now, request: Request) -> dict[str, int]:
    """`wants_no_more`: as if they had written STOP."""
    secret = _settings(request).secret()
    with database.begin() as connection:
        done = opt_outs.decide(connection, secret, decision.ids, decision.wants_no_more, who, now)
    return {"decided": done}


@router.get("/calls", summary="Open calls, with what to say")
def open_calls(
    database: Database,
    now: Now,
    request: Request,
    agent: Annotated[str, Query(max_length=200, description="Only what nobody else has taken")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> list[dict[str, Any]]:
    """The oldest first."""
    settings = _settings(request)
    return calls.listed(database, LinkMaker(settings.secret(), settings.base_url), now, limit, agent)


@router.post("/calls/{message_id}/take", summary="Take a call, so that nobody else does")
def take(message_id: UUID, taken: Taken, database: Database, now: Now) -> dict[str, str]:
    """Twice is once."""
    with database.begin() as connection:
        calls.take(connection, message_id, taken.agent, now)
    return {"taken_by": taken.agent}


@router.post("/calls/{message_id}/result", summary="Say what came of a call")
def result(message_id: UUID, told: Result, database: Database, now: Now, request: Request) -> dict[str, str]:
    """`no_answer` puts it back on the list; the others end it."""
    with database.begin() as connection:
        calls.end(connection, _settings(request).secret(), message_id, told.agent, told.result, told.note, now)
    return {"result": told.result}


def _settings(request: Request) -> Settings:
    found: Settings = request.app.state.settings
    return found
