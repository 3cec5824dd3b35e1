"""What an attempt's outcome means for the message, and the news that goes into the inbox. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from onevoice.channels.adapter import Concern, Outcome, Status
from onevoice.database.inbox import INTERNAL_SOURCE, Entry, Kind
from onevoice.delivery.holds import CANCEL, Hold
from onevoice.delivery.queue import Leased, Settlement
from onevoice.delivery.schemas import MessageEntry
from onevoice.kernel.ids import fact_code

SHORTEST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)
OVER_PAUSE = timedelta(seconds=1)
"""Before another provider takes over."""

_STATES: Mapping[Status, str] = {
    Status.ACCEPTED: "accepted",
    Status.FAILED: "failed",
    Status.IN_DOUBT: "in_doubt",
}


def settlement(message: Leased, outcome: Outcome, cost: Decimal, now: datetime, spares: int = 0) -> Settlement:
    """How an attempt is written down. What surely was not sent is tried again, later each time, at last given up.

    A transactional message in doubt is tried again too: better twice than never. What the provider was at fault for
    goes at once to one of the channel's `spares`; that it wants a slower pace or knows the account no more is not
    counted against the message.
    """
    unsent = outcome.status is Status.RETRY
    if unsent and outcome.concerns in (Concern.PACE, Concern.ACCOUNT):
        later = timedelta(seconds=outcome.retry_after_seconds) or SHORTEST_PAUSE
        return _again(message, outcome, now + later, attempted=False)
    if (unsent or (outcome.status is Status.IN_DOUBT and message.transactional)) and (
        message.attempts < message.max_attempts
    ):
        over = unsent and outcome.concerns is Concern.PROVIDER and message.attempts <= spares
        wait = OVER_PAUSE if over else pause(message.attempts, outcome.retry_after_seconds)
        return _again(message, outcome, now + wait)
    accepted = outcome.status is Status.ACCEPTED
    return Settlement(
        message.id,
        message.attempts,
        _STATES.get(outcome.status, "failed"),
        provider_id=outcome.provider_id,
        error_code=outcome.error_code,
        error=outcome.error,
        cost=cost if accepted else None,
    )


def _again(message: Leased, outcome: Outcome, at: datetime, *, attempted: bool = True) -> Settlement:
    at_fault = outcome.status is Status.RETRY and outcome.concerns in (Concern.PROVIDER, Concern.ACCOUNT)
    return Settlement(
        message.id,
        message.attempts,
        "queued",
        error_code=outcome.error_code,
        error=outcome.error,
        not_before=at,
        avoid=message.via if at_fault else "",
        attempted=attempted,
    )


def pause(attempts: int, asked_seconds: float = 0.0) -> timedelta:
    """How long to wait after so many attempts: doubled each time, and never shorter than the provider asks."""
    doubled: timedelta = min(SHORTEST_PAUSE * 2 ** (attempts - 1), LONGEST_PAUSE)
    return max(doubled, timedelta(seconds=asked_seconds))


def put_back(message: Leased, at: datetime, reason: str = "") -> Settlement:
    """A message that was not tried after all, and may be from an instant on."""
    return Settlement(message.id, message.attempts, "queued", attempted=False, not_before=at, error_code=reason)


def held(message: Leased, hold: Hold) -> Settlement:
    """A message that a hold keeps from being sent."""
    if hold.action == CANCEL:
        return Settlement(message.id, message.attempts, "skipped", error_code="cancelled")
    return Settlement(message.id, message.attempts, "paused", attempted=False, hold=hold.id)


def skipped(message: Leased, reason: str) -> Settlement:
    """A message that is not sent after all, with the reason."""
    return Settlement(message.id, message.attempts, "skipped", error_code=reason)


def news(settled: Settlement, now: datetime, *, delivered: bool) -> MessageEntry | None:
    """What the inbox is told of a settlement; None where the message will be tried again.

    `delivered`: the provider tells no more than that it accepted.
    """
    if settled.state in ("queued", "paused"):
        return None
    accepted = settled.state == "accepted"
    message_id = str(settled.id)
    return MessageEntry(
        message_id=message_id,
        event_id=fact_code("attempt", message_id, settled.attempts, settled.state),
        news=settled.state,
        occurred_at=now,
        error_code=settled.error_code,
        cost=str(settled.cost) if settled.cost is not None else "",
        delivered=accepted and delivered,
        detail={"provider_id": settled.provider_id} if settled.provider_id else {},
    )


def entry(told: MessageEntry, now: datetime) -> Entry:
    """News of a message as the inbox takes it."""
    return Entry(INTERNAL_SOURCE, Kind.MESSAGE, now, msgspec.json.encode(told))


def entries(told: Iterable[MessageEntry | None], now: datetime) -> list[Entry]:
    """All that there is to tell, as one entry: hundreds of rows less."""
    lines = [msgspec.json.encode(one) for one in told if one is not None]
    return [Entry(INTERNAL_SOURCE, Kind.MESSAGE, now, b"\n".join(lines), len(lines))] if lines else []
