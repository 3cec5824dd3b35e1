"""Shapes that cross the border of delivery: what the hand-off queues, and news of a message on its way in."""

from datetime import datetime
from typing import Any

import msgspec


class QueuedMessage(msgspec.Struct, frozen=True):
    """A message the tick has planned, as the queue takes it; `message_id` makes a second hand-off harmless."""

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
    variables: dict[str, Any]
    not_before: datetime
    expires_at: datetime
    transactional: bool = False


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
