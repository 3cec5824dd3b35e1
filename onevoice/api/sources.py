"""Sources over HTTP: make, list, disable, give a new key, let one take a shop's webhooks."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from onevoice.api.access import Database, Now
from onevoice.events import sources
from onevoice.events.sources import Source

router = APIRouter(prefix="/v1/sources", tags=["sources"])

Name = Annotated[str, Path(description="The source's name", max_length=200)]


class SourceRow(BaseModel):
    """A source. Its write key may be public (web, app); its webhook secret is never shown."""

    name: str
    kind: str
    write_key: str
    platform: str | None
    is_disabled: bool


class NewSource(BaseModel):
    """A source to make."""

    name: str = Field(min_length=1, max_length=200)
    kind: str = Field(description=f"One of {', '.join(sources.KINDS)}")


class Webhooks(BaseModel):
    """Whose webhooks a source takes."""

    platform: str = Field(description="shopify or woocommerce")
    secret: str = Field(description="What the shop signs with", min_length=1, max_length=500)


@router.get("", summary="All sources")
def listed(database: Database) -> list[SourceRow]:
    """By name, with their write keys."""
    with database.connect() as connection:
        return [_row(source) for source in sources.all_sources(connection)]


@router.post("", summary="Make a source", status_code=201)
def made(database: Database, body: NewSource) -> SourceRow:
    """Gives it a write key. One that is there already is answered as it is; of another kind it is refused."""
    with database.begin() as connection:
        return _row(sources.ensure(connection, body.name, body.kind))


@router.put("/{name}/webhooks", summary="Take a shop's webhooks")
def webhooks(database: Database, name: Name, body: Webhooks) -> SourceRow:
    """The shop then delivers to /v1/webhooks/{name}; every delivery's signature is checked."""
    with database.begin() as connection:
        return _row(sources.take_webhooks(connection, name, body.platform, body.secret))


@router.post("/{name}/rotate", summary="Give a source a new write key")
def rotated(database: Database, name: Name) -> SourceRow:
    """The old key opens nothing any more, within a second or two."""
    with database.begin() as connection:
        return _row(sources.rotate_key(connection, name))


@router.post("/{name}/disable", summary="Take nothing more from a source")
def disabled(database: Database, now: Now, name: Name) -> SourceRow:
    """Its calls are answered 404 from then on; `enable` undoes it."""
    with database.begin() as connection:
        return _row(sources.disable(connection, name, now))


@router.post("/{name}/enable", summary="Take from a disabled source again")
def enabled(database: Database, name: Name) -> SourceRow:
    """Undoes `disable`."""
    with database.begin() as connection:
        return _row(sources.disable(connection, name, None))


def _row(source: Source) -> SourceRow:
    return SourceRow(
        name=source.name,
        kind=source.kind,
        write_key=source.write_key,
        platform=source.platform,
        is_disabled=source.is_disabled,
    )
