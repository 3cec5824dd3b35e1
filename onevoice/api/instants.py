"""Instants in answers. The warehouse keeps them naive in UTC; over HTTP each says its zone, as RFC 3339 wants."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator


def aware(at: datetime) -> datetime:
    """The instant with its zone."""
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


Instant = Annotated[datetime, AfterValidator(aware)]
