"""Quiet hours asked again when a worker takes a message, which may have waited past them for a throttle or a pause.

A message carries where its customer lives and its journey's own hours (`place`), so that the answer is right in any
zone and on any night; the house's hours are those of now. Whoever sleeps is put off together, not one by one.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from onevoice.customers.contact import OPEN, ContactPolicy, Place, Quiet, quiet_until
from onevoice.database import driver
from onevoice.delivery.queue import Leased

TOGETHER = 10_000
"""So many sleepers are put off by one statement; the next lease puts off the next."""

REASON = "quiet_hours"


class Home(msgspec.Struct, frozen=True, array_like=True):
    """What a message carries: where its customer lives, and its journey's own quiet hours (empty: none)."""

    zone: str
    country: str = ""
    region: str = ""
    start: str = ""
    end: str = ""

    def text(self) -> str:
        """As it is kept with the message."""
        return msgspec.json.encode(self).decode()


class QuietHours:
    """What a worker knows of them. Windows begin and end with a minute, so an answer holds as long as the minute."""

    def __init__(self) -> None:
        self._policy = OPEN
        self._minute: datetime | None = None
        self._answers: dict[tuple[str, str], datetime | None] = {}

    def follow(self, policy: ContactPolicy) -> None:
        """Goes by this policy."""
        self._policy = policy
        self._answers.clear()

    def until(self, channel: str, place: str, now: datetime) -> datetime | None:
        """When it is no longer quiet for messages of that place; None where it is not."""
        minute = now.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute = minute
            self._answers.clear()
        key = (channel, place)
        if key not in self._answers:
            home = msgspec.json.decode(place, type=Home)
            own = (Quiet(home.start, home.end),) if home.start else ()
            windows = (*self._policy.quiet_on(channel), *own)
            there = Place(home.zone, home.country, home.region)
            self._answers[key] = quiet_until(windows, there, now) if windows else None
        return self._answers[key]

    def asleep(self, messages: Sequence[Leased], now: datetime) -> dict[Leased, datetime]:
        """The messages that must wait, each with the instant until which: none beyond its expiry."""
        found = {}
        for message in messages:
            if message.place and not message.transactional and message.expires_at > now:
                until = self.until(message.channel, message.place, now)
                if until is not None:
                    found[message] = min(until, message.expires_at)
        return found


def put_off(connection: Connection, asleep: Mapping[Leased, datetime], now: datetime) -> None:
    """Puts off what else is due for those who sleep where these do."""
    ends = {(message.channel, message.place): until for message, until in asleep.items()}
    with driver(connection) as raw:
        raw.execute(
            """
            UPDATE message SET not_before = least(due.until, message.expires_at), error_code = %(reason)s
            FROM (
                SELECT message.id, asked.until
                FROM message
                JOIN unnest(%(channels)s::text[], %(places)s::text[], %(ends)s::timestamptz[])
                    AS asked (channel, place, until) USING (channel, place)
                WHERE state = 'queued' AND not_before <= %(now)s AND expires_at > %(now)s AND transactional = 0
                LIMIT %(most)s FOR UPDATE OF message SKIP LOCKED
            ) AS due WHERE message.id = due.id
            """,
            {
                "reason": REASON,
                "channels": [channel for channel, _ in ends],
                "places": [place for _, place in ends],
                "ends": list(ends.values()),
                "now": now,
                "most": TOGETHER,
            },
        )
