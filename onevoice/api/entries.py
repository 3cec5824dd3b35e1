"""Ways into a journey over HTTP: asked for by a program, and by a link or QR code, which needs no key."""

from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from onevoice.api.access import Database, Now
from onevoice.customers.identifiers import Identifier, identifier
from onevoice.delivery.machines import machine
from onevoice.journeys import requests, service
from onevoice.kernel.errors import InvalidInput

router = APIRouter(prefix="/v1/journeys", tags=["journeys"])
public = APIRouter(tags=["journeys"])


class EntryRequest(BaseModel):
    """Who is to be taken in."""

    namespace: str = Field(examples=["user_id"])
    value: str = Field(examples=["u-1001"])
    key: str = Field("", description="Such as an order's id: one enrolment per key, where the journey says so")
    properties: dict[str, Any] = Field(default_factory=dict, description="Kept with the event of the entry")
    id: str = Field("", description="The same id is taken once; without one every request counts")


class EntryAnswer(BaseModel):
    """Whether it was new."""

    taken: bool


class CodeLink(BaseModel):
    """A link for a QR code, a receipt, a letter."""

    url: str


@router.post("/{name}/entries", status_code=202, summary="Ask a journey to take somebody in")
def entries(database: Database, now: Now, name: str, body: EntryRequest) -> EntryAnswer:
    """They enter with the next tick, where the journey's rules let them."""
    who = _who(body.namespace, body.value)
    token = body.id or uuid4().hex
    with database.begin() as connection:
        return EntryAnswer(taken=requests.request(connection, name, who, now, token, body.key, body.properties))


@router.get("/{name}/codes", summary="A link that takes one customer into the journey")
def codes(
    request: Request,
    database: Database,
    name: str,
    namespace: Annotated[str, Query(examples=["loyalty_card"])],
    value: Annotated[str, Query(examples=["2900000001"])],
) -> CodeLink:
    """Signed, short, the same for the same customer; it leads to where the journey's entry says."""
    with database.connect() as connection:
        if service.get(connection, name).document.entry.code is None:
            raise InvalidInput(
                f"Journey {name} is not entered by a code; give it `entry: {{code: {{to: https://...}}}}`"
            )
    settings = request.app.state.settings
    token = requests.code(settings.secret(), name, _who(namespace, value))
    return CodeLink(url=f"{settings.base_url.rstrip('/')}/e/{token}")


@public.get("/e/{token}", status_code=302, summary="Follow a code", response_class=RedirectResponse)
def scan(request: Request, database: Database, now: Now, token: str) -> RedirectResponse:
    """Takes whom the code names into its journey, and leads on. A machine that looks at the link takes nobody in."""
    by_machine = bool(machine(request.method, request.headers))
    with database.begin() as connection:
        to = requests.scan(connection, request.app.state.settings.secret(), token, now, by_machine)
    return RedirectResponse(
        to, status_code=302, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    )


def _who(namespace: str, value: str) -> Identifier:
    found = identifier(namespace, value)
    if found is None:
        raise InvalidInput(f"{value!r} can be no {namespace}")
    return found
