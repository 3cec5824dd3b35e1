"""Versions of templates, brands and blocks over HTTP, and back to one of them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from onevoice.api.access import Database, Now
from onevoice.api.templates import Kind, Name, PartName, Saved
from onevoice.content import parts, templates

router = APIRouter(prefix="/v1", tags=["content"])

Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="A version's number")]


class Version(BaseModel):
    """One version."""

    version: int
    saved_at: datetime


@router.get("/templates/{name}/versions", summary="A template's versions")
def template_versions(database: Database, name: Name) -> list[Version]:
    """The newest first; `GET /v1/templates/{name}?version=` shows one."""
    with database.connect() as connection:
        return [Version(**one) for one in templates.versions(connection, name)]


@router.post("/templates/{name}/revert/{version}", summary="Make a template again what it was")
def template_reverted(database: Database, now: Now, name: Name, version: Number) -> Saved:
    """As a new version, with brand and blocks as they are now."""
    with database.begin() as connection:
        number, changed = templates.revert(connection, name, version, now)
    return Saved(name=name, version=number, changed=changed)


@router.get("/content/{kind}/{name}/versions", summary="A brand's or block's versions")
def part_versions(database: Database, kind: Kind, name: PartName) -> list[Version]:
    """The newest first."""
    with database.connect() as connection:
        return [Version(**one) for one in parts.versions(connection, kind.removesuffix("s"), name)]


@router.post("/content/{kind}/{name}/revert/{version}", summary="Make a brand or block again what it was")
def part_reverted(database: Database, now: Now, kind: Kind, name: PartName, version: Number) -> Saved:
    """As a new version; the templates that it changes get a new version too."""
    with database.begin() as connection:
        number, changed = templates.revert_part(connection, kind.removesuffix("s"), name, version, now)
    return Saved(name=name, version=number, changed=changed)
