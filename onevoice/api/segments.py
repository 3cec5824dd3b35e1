"""Segments over HTTP: the list with sizes, one with a sample, and a preview of a condition being edited."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from onevoice.api.access import Ask, Database
from onevoice.segments import service
from onevoice.segments.schema import tree_schema

router = APIRouter(prefix="/v1/segments", tags=["segments"])


class SegmentRow(BaseModel):
    """A segment in the list."""

    name: str
    version: int
    size: int
    definition: dict[str, Any]


class Segment(SegmentRow):
    """A segment with some of its customers."""

    sample: list[dict[str, Any]]


class Preview(BaseModel):
    """A condition to try."""

    where: dict[str, Any]
    sample: Annotated[int, Query(ge=0, le=100)] = 10


@router.get("", summary="All segments with their sizes")
def segments(ask: Ask, database: Database) -> list[SegmentRow]:
    """Each segment's definition and how many customers are in it now."""
    sizes = ask.ask("segment_sizes")
    with database.connect() as connection:
        return [
            SegmentRow(name=s.name, version=s.version, size=sizes.get(s.name, 0), definition=s.document)
            for s in service.all_segments(connection)
        ]


@router.get("/schema", summary="The JSON Schema of conditions")
def schema() -> dict[str, Any]:
    """What `where` may hold, for an editor."""
    return tree_schema()


@router.get("/{name}", summary="One segment with a sample")
def segment(ask: Ask, database: Database, name: str, sample: Annotated[int, Query(ge=0, le=100)] = 10) -> Segment:
    """How many customers are in the segment now, and some of them."""
    with database.connect() as connection:
        found = service.get(connection, name)
    counted = ask.ask("segment", name=name, sample=sample)
    return Segment(name=found.name, version=found.version, definition=found.document, **counted)


@router.post("/preview", summary="Try a condition")
def preview(ask: Ask, body: Preview) -> dict[str, Any]:
    """How many customers meet the condition now, and some of them; nothing is saved."""
    answer: dict[str, Any] = ask.ask("segment_preview", where=body.where, sample=body.sample)
    return answer
