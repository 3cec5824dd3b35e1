"""Shops' webhooks over HTTP. No API key: each delivery is signed with the secret of its source."""

from dataclasses import asdict

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from onevoice.api.access import Database, Now
from onevoice.events import plans, sources
from onevoice.events.webhooks import taking
from onevoice.kernel.errors import TooLarge

router = APIRouter(prefix="/v1/webhooks", tags=["sources"])

LARGEST = 5 * 1024 * 1024
"""Bytes of a delivery; an order of some thousand lines is below one million."""


class Taken(BaseModel):
    """What became of a delivery."""

    events: int
    deduplicated: int
    quarantined: int
    products: int
    consents: int


@router.post("/{source}", summary="Take a shop's delivery")
async def delivered(request: Request, database: Database, now: Now, source: str) -> Taken:
    """Shopify's and WooCommerce's orders, refunds, customers, products, checkouts. The same twice is once."""
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > LARGEST:
            raise TooLarge("The delivery is larger than 5 MB")
        pieces.append(piece)
    headers = dict(request.headers)

    def take() -> Taken:
        with database.begin() as connection:
            planned = plans.ready(connection)
            found = sources.get(connection, source)
            return Taken(**asdict(taking.deliver(connection, found, headers, b"".join(pieces), now, planned)))

    return await run_in_threadpool(take)
