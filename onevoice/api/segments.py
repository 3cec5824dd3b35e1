"""Segments over HTTP: list, make, change, compare, restore, delete; preview a condition, explain it for a customer."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from onevoice.api.access import Ask, Caller, Database, Now
from onevoice.journeys import service as journeys
from onevoice.segments import service
from onevoice.segments.schema import tree_schema
from onevoice.segments.sentence import sentence
from onevoice.segments.service import SavedSegment
from onevoice.segments.tree import condition

router = APIRouter(prefix="/v1/segments", tags=["segments"])

Name = Annotated[str, Path(description="The segment's name")]
Document = dict[str, Any]
Locale = Annotated[str, Query(description="Language of the sentences: en, it, ro, id or ar")]


class SegmentRow(BaseModel):
    """A segment in the list."""

    name: str
    version: int
    size: int
    definition: Document
    sentence: str = Field(description="The definition in words")
    computed_at: datetime | None = Field(None, description="When everybody was last asked; in between, whoever changed")
    took_ms: float | None = Field(None, description="How long that took")
    error: str | None = Field(None, description="Why it cannot be computed; its members are then those of before")


class Segment(SegmentRow):
    """A segment with some of its customers."""

    sample: list[dict[str, Any]]


class Saved(BaseModel):
    """What became of a save."""

    name: str
    version: int
    changed: bool


class VersionRow(BaseModel):
    """What a segment was defined as, since when and by whom."""

    version: int
    saved_at: datetime
    saved_by: str
    definition: Document


class Difference(BaseModel):
    """What changed between two versions."""

    lines: str = Field(description="As `diff -u` has it, over the YAML of both")


class Restore(BaseModel):
    """What to bring back."""

    version: int | None = Field(None, description="An earlier version; left out: the deleted segment as it was")


class Preview(BaseModel):
    """A condition to try."""

    where: Document
    sample: Annotated[int, Query(ge=0, le=100)] = 10
    overlap: bool = Field(False, description="Also say, for each segment, how many are in both")


class Sentence(BaseModel):
    """A condition to say."""

    where: Document
    locale: str = "en"


class Said(BaseModel):
    """A condition in words."""

    sentence: str


class Explain(BaseModel):
    """A condition, and the customer to explain it for."""

    where: Document
    customer_id: int
    locale: str = Field("en", description="Language of the words")


@router.get("", summary="All segments with their sizes and freshness")
def segments(ask: Ask, database: Database, locale: Locale = "en") -> list[SegmentRow]:
    """Each segment's definition, how many customers are in it now, and when everybody was last asked."""
    sizes, states = ask.ask("segment_sizes"), ask.ask("segment_states")
    with database.connect() as connection:
        return [SegmentRow(**_row(one, sizes, states, locale)) for one in service.all_segments(connection)]


@router.post("", summary="Make a segment", status_code=201)
def made(database: Database, now: Now, caller: Caller, body: Document) -> Saved:
    """The document is that of `onevoice apply`: `name`, `where`, and perhaps `title` and `description`."""
    with database.begin() as connection:
        version, changed = service.save(connection, body, now, by=caller)
    return Saved(name=body["name"], version=version, changed=changed)


@router.get("/archived", summary="The deleted segments")
def archived(database: Database) -> list[Saved]:
    """Each can be restored."""
    with database.connect() as connection:
        return [Saved(name=one.name, version=one.version, changed=False) for one in service.archived(connection)]


@router.post("/preview", summary="Try a condition", responses={499: {"description": "The client went away"}})
async def preview(request: Request, ask: Ask, body: Preview) -> Any:
    """How many customers meet the condition now, and some of them; nothing is saved.

    A client that edits drops the request of the state before: its query is then ended.
    """

    async def is_wanted() -> bool:
        return not await request.is_disconnected()

    answer = await ask.ask_while(
        is_wanted, "segment_preview", where=body.where, sample=body.sample, overlap=body.overlap
    )
    return Response(status_code=499) if answer is None else answer


@router.post("/explain", summary="Explain a condition for a customer")
def explain(ask: Ask, body: Explain) -> Any:
    """The condition's tree, with `holds` at every node and the values `seen` at every leaf; nothing is saved."""
    return ask.ask("segment_explain", where=body.where, customer_id=body.customer_id, locale=body.locale)


@router.post("/sentence", summary="Say a condition in words")
def said(body: Sentence) -> Said:
    """One plain sentence in the language of the locale; nothing is saved."""
    return Said(sentence=sentence(condition(body.where), body.locale))


@router.get("/schema", summary="The JSON Schema of conditions")
def schema() -> dict[str, Any]:
    """What `where` may hold, for an editor."""
    return tree_schema()


@router.get("/{name}", summary="One segment with a sample")
def segment(
    ask: Ask, database: Database, name: Name, sample: Annotated[int, Query(ge=0, le=100)] = 10, locale: Locale = "en"
) -> Segment:
    """How many customers are in the segment now, and some of them."""
    with database.connect() as connection:
        found = service.get(connection, name)
    counted = ask.ask("segment", name=name, sample=sample)
    row = _row(found, {name: counted["size"]}, ask.ask("segment_states"), locale)
    return Segment(**row, sample=counted["sample"])


@router.put("/{name}", summary="Change a segment")
def changed(database: Database, now: Now, caller: Caller, name: Name, body: Document) -> Saved:
    """Saves a new version; a segment keeps its name."""
    with database.begin() as connection:
        version, is_new = service.replace(connection, name, body, now, caller)
    return Saved(name=name, version=version, changed=is_new)


@router.delete("/{name}", summary="Delete a segment", status_code=204)
def deleted(database: Database, now: Now, name: Name) -> Response:
    """Refused with the path where another segment or a journey needs it; `restore` brings it back."""
    with database.begin() as connection:
        service.delete(connection, name, now, journeys.waiting(connection))
    return Response(status_code=204)


@router.post("/{name}/restore", summary="Bring back a deleted segment, or an earlier version")
def restored(database: Database, now: Now, caller: Caller, name: Name, body: Restore) -> Saved:
    """An earlier version becomes the newest."""
    with database.begin() as connection:
        version, is_new = service.restore(connection, name, now, body.version, caller)
    return Saved(name=name, version=version, changed=is_new)


@router.get("/{name}/versions", summary="All versions of a segment")
def versions(database: Database, name: Name) -> list[VersionRow]:
    """The newest first; of a deleted segment too."""
    with database.connect() as connection:
        return [
            VersionRow(version=one.version, saved_at=one.saved_at, saved_by=one.saved_by, definition=one.document)
            for one in service.versions(connection, name)
        ]


@router.get("/{name}/difference", summary="What changed between two versions")
def difference(database: Database, name: Name, old: int, new: int) -> Difference:
    """Line by line."""
    with database.connect() as connection:
        return Difference(lines=service.difference(connection, name, old, new))


@router.get("/{name}/explain", summary="Why a customer is in the segment or not")
def explained(ask: Ask, database: Database, name: Name, customer_id: int, locale: Locale = "en") -> Any:
    """The definition's tree, with `holds` at every node and the values `seen` at every leaf."""
    with database.connect() as connection:
        found = service.get(connection, name)
    return ask.ask("segment_explain", where=found.document["where"], customer_id=customer_id, locale=locale)


def _row(one: SavedSegment, sizes: dict[str, int], states: dict[str, Any], locale: str) -> dict[str, Any]:
    state = {key: states.get(one.name, {}).get(key) for key in ("computed_at", "took_ms", "error")}
    known = {"name": one.name, "version": one.version, "size": sizes.get(one.name, 0), "definition": one.document}
    return {**known, **state, "sentence": sentence(one.condition, locale)}
