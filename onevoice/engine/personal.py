"""What a preview or a test of a template is personalised with, for the api and the command line."""

from typing import Any

from sqlalchemy import Engine

from onevoice.content import sample
from onevoice.engine.client import EngineClient
from onevoice.journeys import service
from onevoice.kernel.errors import NotFound


def variables_of(
    ask: EngineClient, database: Engine, customer_id: int | None, locale: str, journey: str = ""
) -> tuple[dict[str, Any], str]:
    """A customer's variables in a message of a journey (or of none), or typical ones, and the locale: the one wished
    for, else the customer's. Raises NotFound."""
    if customer_id is None:
        return sample.VARIABLES, locale or "en"
    with database.connect() as connection:
        plain = service.get(connection, journey).plain if journey else None
    found = ask.ask("variables", customer_ids=[customer_id], journey=plain).get(str(customer_id))
    if found is None:
        raise NotFound(f"There is no customer {customer_id}; it may have been merged: search by an identifier")
    return found, locale or found["customer"]["locale"]
