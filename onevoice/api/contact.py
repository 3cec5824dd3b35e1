"""The contact policy over HTTP: what holds, its versions, what another would change, and a new one."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from onevoice.api.access import Caller, Database, Now
from onevoice.api.instants import Instant
from onevoice.customers.contact import parse, store, written

router = APIRouter(prefix="/v1/contact-policy", tags=["contact policy"])


class Policy(BaseModel):
    """A version of the document; 0 is what holds where nothing was decided."""

    version: int
    definition: dict[str, Any]
    saved_at: Instant | None
    saved_by: str


class Version(BaseModel):
    """One of the list."""

    version: int
    saved_at: Instant
    saved_by: str


class Change(BaseModel):
    """A field of the document before and after."""

    field: str
    before: Any
    after: Any


class Saved(BaseModel):
    """What saving did."""

    version: int
    changed: bool


@router.get("", summary="The contact policy that holds")
def current(database: Database) -> Policy:
    """Caps, quiet hours, gaps, the control group."""
    with database.connect() as connection:
        return _told(store.current(connection))


@router.get("/versions", summary="Its versions")
def versions(database: Database) -> list[Version]:
    """The newest first."""
    with database.connect() as connection:
        return [Version(**row) for row in store.versions(connection)]


@router.get("/versions/{number}", summary="One version")
def version(database: Database, number: int) -> Policy:
    """As it was saved."""
    with database.connect() as connection:
        return _told(store.version(connection, number))


@router.post("/diff", summary="What a document would change")
def diff(database: Database, document: dict[str, Any]) -> list[Change]:
    """Nothing is saved."""
    with database.connect() as connection:
        return [Change(**row) for row in store.difference(store.current(connection).policy, parse(document))]


@router.put("", summary="Let another contact policy hold")
def save(database: Database, now: Now, caller: Caller, document: dict[str, Any]) -> Saved:
    """From the next tick on. What held stays as a version."""
    with database.begin() as connection:
        number, changed = store.save(connection, document, now, caller)
    return Saved(version=number, changed=changed)


def _told(found: store.Saved) -> Policy:
    return Policy(
        version=found.version,
        definition=written(found.policy),
        saved_at=found.saved_at,
        saved_by=found.saved_by,
    )
