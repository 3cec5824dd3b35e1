"""Customers over HTTP: search, one customer, the timeline, and why they did or did not get a message."""

from datetime import UTC
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel

from onevoice.api.access import Ask, Database
from onevoice.api.instants import Instant
from onevoice.journeys.why import case

router = APIRouter(prefix="/v1/customers", tags=["customers"])

CustomerId = Annotated[int, Path(description="The customer's id, as search gives it", ge=0, lt=2**63)]


class CustomerRow(BaseModel):
    """A customer in a list."""

    customer_id: str
    first_name: str | None
    last_name: str | None
    locale: str
    country: str | None
    first_seen_at: Instant


class CustomerList(BaseModel):
    """Some customers, and how many there are in all."""

    total: int
    customers: list[CustomerRow]


class IdentifierShown(BaseModel):
    """An identifier: a namespace and a value in it."""

    namespace: str
    value: str
    first_seen_at: Instant


class LinkShown(BaseModel):
    """Why two identifiers are one customer."""

    left: str
    right: str
    kind: str
    trust: str
    source_id: int
    event_id: str
    linked_at: Instant


class AddressShown(BaseModel):
    """Where the customer can be reached."""

    channel: str
    address: str
    updated_at: Instant


class ConsentShown(BaseModel):
    """What holds now for a channel and topic, since when, on what it rests, and why."""

    channel: str
    topic: str
    state: str
    since: Instant
    basis: str
    reason: str


class TraitProvenance(BaseModel):
    """Who said a trait last, and when."""

    identifier: str
    event_id: str
    occurred_at: Instant


class Customer(CustomerRow):
    """All that is known of a customer."""

    time_zone: str
    traits: dict[str, Any]
    provenance: dict[str, TraitProvenance]
    identifiers: list[IdentifierShown]
    links: list[LinkShown]
    addresses: list[AddressShown]
    consents: list[ConsentShown]


class TimelineItem(BaseModel):
    """Something the customer did or that was sent to them."""

    at: Instant
    what: Literal["event", "message"]
    type: str
    name: str
    channel: str
    properties: dict[str, Any]


@router.get("", summary="Search customers")
def search(
    ask: Ask,
    search: Annotated[str, Query(description="An identifier, an address, or part of a name", max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 20,
) -> CustomerList:
    """Customers with that identifier or address, or whose name contains the text."""
    return CustomerList.model_validate(ask.ask("search_customers", text=search, limit=limit))


@router.get("/{customer_id}", summary="One customer")
def customer(ask: Ask, customer_id: CustomerId) -> Customer:
    """Profile, identifiers and the links that join them, addresses, consents."""
    return Customer.model_validate(ask.ask("customer", customer_id=customer_id))


@router.get("/{customer_id}/timeline", summary="What the customer did and got, the newest first")
def timeline(
    ask: Ask, customer_id: CustomerId, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[TimelineItem]:
    """Events, orders and messages."""
    return [TimelineItem.model_validate(item) for item in ask.ask("timeline", customer_id=customer_id, limit=limit)]


At = Annotated[AwareDatetime | None, Query(description="A moment; by default now")]
Locale = Annotated[str, Query(description="The language of the sentence", max_length=35)]


@router.get("/{customer_id}/why", summary="Why they did or did not get a message")
def why(
    ask: Ask,
    customer_id: CustomerId,
    journey: Annotated[str | None, Query(description="Only this journey's")] = None,
    message: Annotated[str | None, Query(description="Only about this message", max_length=100)] = None,
    at: At = None,
    locale: Locale = "en",
) -> list[dict[str, Any]]:
    """Every decision up to the moment, the newest first: outcome, reason, each rule with the values it saw and its
    verdict, and a sentence."""
    answer: list[dict[str, Any]] = ask.ask(
        "reasons",
        customer_id=customer_id,
        journey=journey,
        message=message,
        at=at.astimezone(UTC).isoformat() if at else None,
        locale=locale,
    )
    return answer


@router.get("/{customer_id}/why/{journey}", summary="How they stand in a journey, and what would be decided")
def standing(
    ask: Ask, database: Database, customer_id: CustomerId, journey: str, at: At = None, locale: Locale = "en"
) -> dict[str, Any]:
    """Where they are in it or why they have not entered, and what the contact policy would decide about their next
    message at the moment, by what is known now. Nothing is written."""
    with database.connect() as connection:
        asked = case(connection, journey)
    moment = at.astimezone(UTC).isoformat() if at else None
    answer: dict[str, Any] = ask.ask("standing", customer_id=customer_id, at=moment, locale=locale, **asked)
    return answer
