"""Calls by people: the message itself is the task. It counts as handed over at once, and what came of it is news.

The list of open calls, who has taken one and its result are kept by delivery (`delivery/calls.py`), since an adapter
knows no database.
"""

from collections.abc import Mapping
from decimal import Decimal

from onevoice.channels.adapter import MessageNews, OutboundMessage, Outcome, Status, WebhookRequest
from onevoice.kernel.errors import NotFound


class CallListAdapter:
    """The adapter `call_list`. A message's content is the `script` to speak by."""

    channel = "call"
    tells_delivery = True

    def __init__(self, price: str = "0") -> None:
        self.price = Decimal(str(price))  # of one call, such as an agent's five minutes

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def send(self, message: OutboundMessage) -> Outcome:
        """On the list it is as soon as it is accepted."""
        return Outcome(Status.ACCEPTED, provider_id=message.id)

    def news(self, request: WebhookRequest) -> list[MessageNews]:
        """Results come by the API, with a key."""
        raise NotFound("Results of calls are told to /v1/calls")

    def parts(self, content: Mapping[str, str]) -> int:
        """A call is a call."""
        return 1
