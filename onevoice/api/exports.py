"""Exports over HTTP: customers, a segment, events or orders as Parquet or CSV, streamed from the engine."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from onevoice.api.access import Ask

router = APIRouter(prefix="/v1/export", tags=["export"])

Format = Annotated[Literal["parquet", "csv"], Query(description="What the bytes are")]
Safe = Annotated[bool, Query(description="CSV: put an apostrophe before what a spreadsheet would run as a formula")]
Instant = Annotated[str, Query(description="ISO 8601; without a zone it is UTC", max_length=40)]

_MEDIA = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv; charset=utf-8"}
_BYTES: dict[str, dict[str, str]] = {"application/vnd.apache.parquet": {}, "text/csv": {}}


@router.get(
    "/customers", summary="All customers", response_class=StreamingResponse, responses={200: {"content": _BYTES}}
)
def customers(ask: Ask, format: Format = "parquet", safe: Safe = True) -> StreamingResponse:
    """A row per customer: the profile, and identifiers, addresses and consents as JSON."""
    return _streamed(ask, "customers", format, safe=safe)


@router.get(
    "/segments/{name}", summary="A segment", response_class=StreamingResponse, responses={200: {"content": _BYTES}}
)
def segment(ask: Ask, name: str, format: Format = "parquet", safe: Safe = True) -> StreamingResponse:
    """As the customers, those that are in the segment now."""
    return _streamed(ask, "segment", format, segment=name, safe=safe)


@router.get("/events", summary="Events", response_class=StreamingResponse, responses={200: {"content": _BYTES}})
def events(
    ask: Ask, format: Format = "parquet", since: Instant = "", until: Instant = "", safe: Safe = True
) -> StreamingResponse:
    """Those from `since` on and before `until`."""
    return _streamed(ask, "events", format, since=since, until=until, safe=safe)


@router.get("/orders", summary="Orders", response_class=StreamingResponse, responses={200: {"content": _BYTES}})
def orders(
    ask: Ask, format: Format = "parquet", since: Instant = "", until: Instant = "", safe: Safe = True
) -> StreamingResponse:
    """Those from `since` on and before `until`."""
    return _streamed(ask, "orders", format, since=since, until=until, safe=safe)


def _streamed(ask: Ask, what: str, format: str, **further: object) -> StreamingResponse:
    pieces = ask.export(what=what, format=format, **further)
    headers = {"content-disposition": f'attachment; filename="{what}.{format}"'}
    return StreamingResponse(pieces, media_type=_MEDIA[format], headers=headers)
