"""What providers tell afterwards of messages that they had taken: some are tried again, some say that a step must stop.

A message is queued once more only where the provider says that this very try did not arrive, so nobody gets it twice.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from onevoice.channels.adapter import Failure, MessageNews, News
from onevoice.database import driver
from onevoice.delivery import breakers, holds
from onevoice.delivery.breakers import Tally
from onevoice.delivery.holds import PAUSE, Scope
from onevoice.kernel.log import logger

MOST_TRIES = 3
WAIT = timedelta(hours=1)
"""Before the second try; before the third it is twice as long."""

UNSETTLED = ("sending", "in_doubt")
"""The states of a message of whose last try nothing is known yet."""

MOST_REFUSED, REFUSED_WITHIN = 10, timedelta(hours=1)
"""So many messages of a step whose content was refused within such a time pause the step on that channel."""

log = logger("delivery")


def acted_upon(connection: Connection, provider: str, news: Sequence[MessageNews], now: datetime) -> list[MessageNews]:
    """Queues again what may arrive later, pauses what is refused for what it says; returns the news to be told.

    Not told are a failure that is tried again, and one of a try that another has followed. Twice is once.
    """
    told = []
    for one in news:
        if one.news is not News.FAILED or one.failure is Failure.FINAL:
            told.append(one)
            continue
        if one.failure is Failure.CONTENT:
            _refused(connection, one, now)
            told.append(one)
            continue
        if one.failure is Failure.ACCOUNT:
            breakers.note(connection, {provider: Tally(ill=1, reason=one.error_code, alarm=True)}, now)
        if not _again(connection, one, now):
            told.append(one)
    return told


def _again(connection: Connection, news: MessageNews, now: datetime) -> bool:
    """Whether the message is tried again, or was already since the try that the news is about.

    The message's `provider_id` is of the last try that its provider is known to have taken. News may overtake what the
    worker has to say of its try; then they stand for it, and the worker finds the message settled.
    """
    if not news.provider_id:  # of no try that could be told from others
        return False
    with driver(connection) as raw:
        row = raw.execute(
            """
            SELECT state, attempts, expires_at, coalesce(provider_id, '') FROM message WHERE id = %s FOR UPDATE
            """,
            (news.message_id,),
        ).fetchone()
        if row is None:
            return False
        state, attempts, expires_at, provider_id = row
        if state in ("queued", "paused"):
            return bool(provider_id)
        if state != "accepted" and state not in UNSETTLED:
            return False
        is_of_known = provider_id == news.provider_id
        if is_of_known != (state == "accepted"):
            return True  # of a try before the last
        at = now + WAIT * 2 ** (attempts - 1)
        if attempts >= MOST_TRIES or at >= expires_at:
            return False
        raw.execute(
            """
            UPDATE message SET state = 'queued', worker = NULL, settled_at = NULL, not_before = %s, error_code = %s,
                provider_id = %s
            WHERE id = %s
            """,
            (at, news.error_code, news.provider_id, news.message_id),
        )
    return True


def _refused(connection: Connection, news: MessageNews, now: datetime) -> None:
    with driver(connection) as raw:
        row = raw.execute(
            """
            INSERT INTO content_refusal SELECT id, journey, step, channel, %s FROM message WHERE id = %s
            ON CONFLICT DO NOTHING RETURNING journey, step, channel
            """,
            (now, news.message_id),
        ).fetchone()
        if row is None:
            return
        count = raw.execute(
            """
            SELECT count(*) FROM content_refusal
            WHERE (journey, step, channel) = (%s, %s, %s) AND refused_at > %s
            """,
            (*row, now - REFUSED_WITHIN),
        ).fetchone()
    if count and count[0] % MOST_REFUSED == 0 and row[0]:
        journey, step, channel = row
        holds.place(connection, PAUSE, Scope(journey, step, channel), f"provider: {news.error_code}")
        log.error("step paused, its content is refused", journey=journey, step=step, channel=channel)
