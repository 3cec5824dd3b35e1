"""Whether this process can take events, for load balancers, and which version it is. Needs no key, tells no secret."""

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

import onevoice
from onevoice.api.access import Database
from onevoice.kernel.errors import Unavailable

router = APIRouter(tags=["operation"])


class Health(BaseModel):
    """The api answers and reaches its database."""

    status: str


class Version(BaseModel):
    """What runs."""

    name: str
    version: str


@router.get("/health", summary="Whether events can be taken; 503 where the database is away")
def health(database: Database) -> Health:
    """Asks the database something small."""
    try:
        with database.connect() as connection:
            connection.execute(text("SELECT 1"))
    except (OperationalError, PoolTimeoutError) as error:
        raise Unavailable("The database does not answer; events sent now are refused with 503") from error
    return Health(status="ok")


@router.get("/version", summary="The version that runs")
def version() -> Version:
    """Name and version."""
    return Version(name="OneVoice", version=onevoice.__version__)
