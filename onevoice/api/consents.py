"""Consents over HTTP: recorded with their proof, asked with the reason, told with their texts; the suppression list."""

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, Field, model_validator

from onevoice.api.access import Database, Now
from onevoice.api.instants import Instant
from onevoice.customers import consent, suppression
from onevoice.customers.consent import Consent, ledger, policies
from onevoice.customers.consent.asking import identifiers_of, standing
from onevoice.customers.consent.rule import REASONS
from onevoice.customers.identifiers import identifier
from onevoice.customers.profiles import normalised
from onevoice.customers.suppression import Suppressed, address_hash
from onevoice.delivery import double_opt_in
from onevoice.delivery.tokens import Tokens
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.settings import Settings

router = APIRouter(prefix="/v1", tags=["consent"])

AHEAD = timedelta(minutes=5)
"""How far a word may be dated ahead of us; a grant from the future would outlast any refusal."""

Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^|\x00]+$")]
Text = Annotated[str, Field(max_length=10_000, pattern=r"^[^\x00]*$")]
CustomerId = Annotated[int | None, Query(ge=0, lt=2**63, description="The customer's id, or namespace and value")]
Namespace = Annotated[str, Query(max_length=200)]
Value = Annotated[str, Query(max_length=1024)]


class Said(BaseModel):
    """What a customer said, and how we know."""

    namespace: Word = "user_id"
    value: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00]+$")]
    channel: Word
    topic: Word
    state: Literal["granted", "denied", "withdrawn", "soft_opt_in"]
    how: Literal["form", "till", "phone", "agent", "import", "webhook", "api"] = "api"
    actor: Annotated[str, Field(max_length=200, pattern=r"^(customer|system|agent:[^\x00]+)$")] = "customer"
    text: Text = ""
    locale: Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z0-9_-]*$")] = ""
    country: Annotated[str, Field(pattern=r"^([A-Za-z]{2})?$", description="ISO 3166 alpha-2; whose law counts")] = ""
    occurred_at: AwareDatetime | None = Field(None, description="Now, where it is not given")
    evidence: dict[str, Any] = Field(default={}, description="ip, user agent, page, order_id, ...")
    double_opt_in: bool | None = Field(
        None, description="Whether it must be confirmed; as the policies say, if not given"
    )
    address: Annotated[str, Field(max_length=1024)] = Field("", description="Where a double opt-in asks")

    @model_validator(mode="after")
    def _asks_somewhere(self) -> Self:
        if self.double_opt_in and not self.address:
            raise ValueError("a double opt-in needs the address to ask")
        return self


class Recorded(BaseModel):
    """What was written down: the state, and whether it is new."""

    state: str
    new: bool
    id: str


class Standing(BaseModel):
    """What holds now for a channel and topic."""

    channel: str
    topic: str
    state: str
    permitted: bool
    since: Instant | None
    basis: str
    reason: str
    sentence: str


class Told(BaseModel):
    """One word of the ledger with its text and proof."""

    id: str
    channel: str
    topic: str
    state: str
    occurred_at: Instant
    recorded_at: Instant
    origin: str
    actor: str
    country: str
    text: str | None
    locale: str | None
    evidence: dict[str, Any]


class Listing(BaseModel):
    """An address for the suppression list."""

    channel: Word
    address: Annotated[str, Field(min_length=1, max_length=1024)]
    reason: Annotated[str, Field(min_length=1, max_length=500)] = "manual"
    actor: Annotated[str, Field(max_length=200)] = "api"


class Address(BaseModel):
    """An address to look up; in the body, so that it does not end up in logs."""

    channel: Word
    address: Annotated[str, Field(min_length=1, max_length=1024)]


@router.post("/consents", summary="Record what a customer said about being contacted")
def record(request: Request, database: Database, now: Now, said: Said) -> Recorded:
    """Appends to the ledger. A grant that must be confirmed becomes `pending`; a message asks the customer."""
    who = identifier(said.namespace, said.value)
    if who is None:
        raise InvalidInput(f"{said.value!r} cannot be a {said.namespace}: it is empty, blocked or misspelt")
    at = said.occurred_at or now
    if at > now + AHEAD:
        raise InvalidInput(f"occurred_at is {at.isoformat()}, which is ahead of us; mend the clock it comes from")
    word = Consent(
        identifier_id=who.id,
        channel=said.channel,
        topic=said.topic,
        state=said.state,
        occurred_at=at,
        origin=said.how,
        evidence=said.evidence,
        namespace=who.namespace,
        value=who.value,
        text=said.text,
        locale=said.locale,
        actor=said.actor,
        country=said.country.upper(),
    )
    settings: Settings = request.app.state.settings
    with database.begin() as connection:
        confirmed = said.double_opt_in
        if confirmed is None and said.state == "granted":
            confirmed = policies.must_confirm(connection, word.country, word.channel, word.topic)
        if not confirmed or said.state != "granted":
            return Recorded(state=word.state, new=bool(consent.record(connection, [word], now)), id=str(word.id))
        if not said.address:
            raise InvalidInput(
                f"Consent for {said.channel} about {said.topic} must be confirmed there; send the `address` to ask"
            )
        tokens = Tokens(settings.secret())
        asked = double_opt_in.ask(
            connection, word, _address(said.channel, said.address), tokens, settings.base_url, now
        )
        return Recorded(state="pending", new=True, id=str(asked))


@router.get("/consents", summary="Whether a customer may be contacted, and why")
def current(
    database: Database,
    now: Now,
    customer_id: CustomerId = None,
    namespace: Namespace = "user_id",
    value: Value = "",
    channel: Annotated[str, Query(max_length=200)] = "",
    topic: Annotated[str, Query(max_length=200)] = "",
) -> list[Standing]:
    """For the channel and topic asked about; else for each that the customer has said something about."""
    with database.connect() as connection:
        ids = identifiers_of(connection, customer_id, namespace, value)
        asked = [(channel, topic)] if channel and topic else None
        return [
            Standing(
                channel=place,
                topic=about,
                state=found.state,
                permitted=found.permitted,
                since=found.since,
                basis=found.basis,
                reason=found.reason,
                sentence=REASONS[found.reason],
            )
            for place, about, found in standing(connection, ids, now, asked)
        ]


@router.get("/consents/history", summary="Every word of a customer, with text and proof")
def history(
    database: Database, customer_id: CustomerId = None, namespace: Namespace = "user_id", value: Value = ""
) -> list[Told]:
    """The newest first."""
    with database.connect() as connection:
        rows = ledger.history(connection, identifiers_of(connection, customer_id, namespace, value))
    return [Told.model_validate(row) for row in rows]


@router.get("/suppressions", summary="How many addresses are suppressed, by channel and reason")
def suppressions(database: Database) -> list[dict[str, Any]]:
    """The list holds salted hashes; so it can be counted and asked, not read."""
    with database.connect() as connection:
        return suppression.counts(connection)


@router.post("/suppressions", summary="Put an address on the suppression list")
def suppress(request: Request, database: Database, now: Now, listing: Listing) -> dict[str, bool]:
    """It is not contacted on the channel any more. An address that is listed keeps its first reason."""
    row = Suppressed(listing.channel, _address(listing.channel, listing.address), listing.reason, now)
    with database.begin() as connection:
        return {"new": suppression.suppress(connection, _secret(request), [row], now, listing.actor) == 1}


@router.post("/suppressions/remove", summary="Take an address off the suppression list")
def release(request: Request, database: Database, now: Now, listing: Listing) -> dict[str, bool]:
    """`reason` says why it may be contacted again, and is kept."""
    with database.begin() as connection:
        address = _address(listing.channel, listing.address)
        gone = suppression.release(
            connection, _secret(request), listing.channel, address, listing.reason, now, listing.actor
        )
        return {"removed": gone}


@router.post("/suppressions/check", summary="Whether an address is suppressed, and what was done about it")
def check(request: Request, database: Database, asked: Address) -> dict[str, Any]:
    """The reason, or none; and who put it on the list or took it off, when and why."""
    secret, address = _secret(request), _address(asked.channel, asked.address)
    key = (asked.channel, address_hash(secret, asked.channel, address))
    with database.connect() as connection:
        return {
            "reason": suppression.reasons(connection, [key]).get(key),
            "changes": suppression.changes(connection, secret, asked.channel, address),
        }


def _address(channel: str, given: str) -> str:
    """The address as it is written to. Raises InvalidInput where it cannot be one."""
    address = normalised(channel, given)
    if address is None:
        raise InvalidInput(f"The address cannot be one for {channel}; a phone number needs its country, as in +39 ...")
    return address


def _secret(request: Request) -> bytes:
    settings: Settings = request.app.state.settings
    return settings.secret()
