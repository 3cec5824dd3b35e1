"""Shapes that cross the border of delivery: what the hand-off queues, and news of a message on its way in."""

from datetime import datetime
from typing import Any

import msgspec

TEST = "test"
"""The `step` of a test to a colleague (see `trial.py`): no figure counts it, its links change nobody's choices."""


class QueuedMessage(msgspec.Struct, frozen=True):
    """A message the tick has planned, as the queue takes it; `message_id` makes a second hand-off harmless.

    What follows `transactional` may be left out. `variables` may be JSON ready made, which is quicker.
    """

    message_id: str  # a UUID's text
    journey: str
    step: str
    channel: str
    identifier_id: int
    address: str
    template: str
    template_version: int
    locale: str
    topic: str
    variables: dict[str, Any] | str
    not_before: datetime
    expires_at: datetime
    transactional: bool = False  # before all others, whatever their priority
    priority: int = 0  # the journey's; the higher goes first, from -32768 to 32767
    provider: str = ""  # which of the channel's providers should send it, as it is named in the settings; "": any
    sender: str = ""  # from whom, for throttles; the adapter decides what it shows
    content_key: str = ""  # names what is said, so that nobody is told the same twice
    place: str = ""  # where the customer lives and the journey's own quiet hours, as quiet.Home; "": sent at any hour
    max_attempts: int = 10  # so often tried when it was surely not sent


class MessageEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened to a message, from a worker, a tracking link or a provider's webhook."""

    message_id: str
    event_id: str  # deterministic: a repetition has the same
    news: str  # accepted, in_doubt, skipped, or one of channels.adapter.News
    occurred_at: datetime
    machine: bool = False
    error_code: str = ""
    cost: str = ""  # decimal, where accepted
    delivered: bool = False  # accepted by a provider that tells no more: counts as delivered until it bounces
    detail: dict[str, Any] = {}
