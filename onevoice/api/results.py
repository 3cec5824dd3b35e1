"""What journeys cause, what could be seen of one before launch, and which recommendations foresee what is bought."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from onevoice.api.access import Ask, Database
from onevoice.content.compiling import source_kinds
from onevoice.journeys import service
from onevoice.kernel.errors import InvalidInput

router = APIRouter(prefix="/v1", tags=["insights"])

CHANNELS = tuple(source_kinds())
"""Those that templates can be written for."""

Days = Annotated[int, Query(ge=1, le=365, description="Days after entering in which an order counts")]


@router.get("/journeys/{name}/lift", summary="What a journey caused")
def lift(ask: Ask, database: Database, name: str, days: Days = 14) -> dict[str, Any]:
    """Treated against the hold-out: conversion, orders, revenue, per head and per message, with intervals at one look
    (`lift`, `revenue_lift_adjusted`) and at any number of looks (`anytime`)."""
    with database.connect() as connection:
        service.get(connection, name)
    answer: dict[str, Any] = ask.ask("lift", name=name, days=days)
    return answer


@router.get("/journeys/{name}/variants/{step}", summary="The variants of a split compared")
def variants(ask: Ask, database: Database, name: str, step: str, days: Days = 14) -> dict[str, Any]:
    """Each variant against the first one of the document, by what people did after they came to the split; and by what
    rule people are dealt (`dealt`): how many of each variant did what it counts, and the share who would get it now."""
    with database.connect() as connection:
        about = service.split(connection, name, step)
    answer: dict[str, Any] = ask.ask("variants", **about, days=days)
    return answer


@router.get("/journeys/{name}/cascades/{step}", summary="What a cascade reached, cost and saved")
def cascade(ask: Ask, database: Database, name: str, step: str) -> dict[str, Any]:
    """How many came to it, were reached, and stopped it by a reaction; figures per channel; what it spent, and what it
    saved against sending at once on all of its channels."""
    with database.connect() as connection:
        about = service.cascade(connection, name, step)
    answer: dict[str, Any] = ask.ask("cascade", **about)
    return answer


@router.get("/customers/{customer_id}/habits", summary="A customer's best channel and best hour, and why")
def habits(
    ask: Ask, customer_id: int, channel: Annotated[list[str] | None, Query(description="Which; by default all")] = None
) -> dict[str, Any]:
    """Channels with the best first: own messages and actions, whom the customer is like and how those act, price and
    worth of an action. The hour by the customer's own clock."""
    answer: dict[str, Any] = ask.ask("habits", customer_id=customer_id, channels=channel or list(CHANNELS))
    return answer


@router.get("/power", summary="How large an effect must be to be seen")
def power(
    ask: Ask,
    holdout: Annotated[float, Query(gt=0, lt=1)] = 0.1,
    segment: str | None = None,
    event: str | None = None,
    days: Days = 14,
) -> dict[str, Any]:
    """The smallest effect seen four times of five, by hold-out and days after launch. Give `segment` or `event`."""
    if (segment is None) == (event is None):
        raise InvalidInput("Say who would enter: `segment` or `event`")
    answer: dict[str, Any] = ask.ask("power", holdout=holdout, segment=segment, event=event, days=days)
    return answer


@router.get("/recommendations", summary="How well each way to recommend foresees the next basket")
def recommendations(ask: Ask, shown: Annotated[int, Query(ge=1, le=100)] = 10) -> dict[str, Any]:
    """Hit rate, recall and NDCG of what is named, against everybody's last basket."""
    answer: dict[str, Any] = ask.ask("recommended", patience=600.0, shown=shown)
    return answer
