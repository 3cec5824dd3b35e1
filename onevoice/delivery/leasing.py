"""A lease: which messages a worker takes now, by which provider, within what throttles, breakers and quiet hours allow.

All of it is one transaction: the tokens taken, the attempts written down, and what has to wait sent back.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from onevoice.channels.providers import Provider
from onevoice.customers.contact import store
from onevoice.delivery import breakers, limits, queue, quiet, throttles
from onevoice.delivery.breakers import DEFAULT, PROBES, Breaker
from onevoice.delivery.queue import Choice, Leased
from onevoice.delivery.quiet import QuietHours
from onevoice.delivery.settlement import put_back
from onevoice.delivery.throttles import Bucket, Throttles

KNOWN_SECONDS = 5.0
"""How long a worker goes by what it has read of the contact policy and the limits."""


class Desk:
    """What a worker sends by: the providers of each channel in order of preference, the throttles, quiet hours."""

    def __init__(
        self, providers: Mapping[str, Provider], given: Throttles, settings: Mapping[str, Any] | None = None
    ) -> None:
        self.throttles, self.bounds = given, DEFAULT
        self.quiet = QuietHours()
        self._settings = settings  # of the throttles; None: they are as they are given, whatever people change
        self._read_at = float("-inf")
        self.channels: dict[str, list[str]] = {}
        for name, provider in providers.items():
            self.channels.setdefault(provider.channel, []).append(name)

    def know(self, connection: Connection) -> None:
        """Reads what people have changed, if that was not done a moment ago."""
        if time.monotonic() - self._read_at > KNOWN_SECONDS:
            self.quiet.follow(store.current(connection).policy)
            if self._settings is not None:
                found = limits.found(connection, self._settings)
                self.throttles, self.bounds = found.throttles, found.breakers
            self._read_at = time.monotonic()

    def spares(self, channel: str) -> int:
        """How many providers may take over from one that is ill."""
        return len(self.channels[channel]) - 1


def choices(channel: str, named: Sequence[str], known: Mapping[str, Breaker], now: datetime) -> list[Choice]:
    """Which messages of a channel each of its providers gets now; those that must be tried first come first.

    A provider that is shut gets none. One that has to show that it is well again gets a few, and is not relied on.
    """
    usable = [name for name in named if name not in known or not known[name].is_shut(now)]
    tried = [name for name in usable if name in known and known[name].most(now) == PROBES]
    steady = [name for name in usable if name not in tried]
    second = steady[1] if len(steady) > 1 else ""
    return [Choice(channel, name, name, steady[0] if steady else "", (name, *steady)) for name in tried] + [
        Choice(channel, name, steady[0], second, tuple(steady)) for name in steady
    ]


def lease(
    connection: Connection, worker: str, desk: Desk, room: Mapping[str, int], limit: int, now: datetime
) -> list[Leased]:
    """Takes up to `limit` messages, of each channel up to its `room`. Nothing may be sent before the commit."""
    channels = [channel for channel in desk.channels if room.get(channel, 0) > 0]
    if len(desk.channels) > 1:
        channels = queue.waiting(connection, channels, now)
    if not channels:
        return []
    desk.know(connection)
    if desk.throttles:
        throttles.alone(connection)
    known = breakers.found(connection)
    asked = [key for channel in channels for name in desk.channels[channel] for key in _keys(desk, name)]
    buckets = throttles.opened(connection, desk.throttles, asked, now)
    taken: list[Leased] = []
    for channel in channels:
        left = min(room[channel], limit - len(taken))
        for choice in choices(channel, desk.channels[channel], known, now):
            most = min([left, *(int(buckets[key].tokens) for key in _keys(desk, choice.provider))])
            bound = known[choice.provider].most(now) if choice.provider in known else None
            most = most if bound is None else min(most, bound)
            if most <= 0:
                continue
            found = _awake(connection, worker, desk.quiet, queue.lease(connection, worker, choice, most, now), now)
            if found and bound == PROBES and not breakers.probe(connection, choice.provider, now):
                _send_back(connection, worker, dict.fromkeys(found, now), now)  # another worker tries it
                continue
            granted = _granted(connection, worker, desk.throttles, found, now)
            for key in _keys(desk, choice.provider):
                buckets[key] = buckets[key].taken(len(granted))
            taken += granted
            left -= len(granted)
    throttles.closed(connection, buckets)
    return taken


def _keys(desk: Desk, provider: str) -> list[str]:
    return desk.throttles.keys_of_provider(provider)


def _awake(connection: Connection, worker: str, hours: QuietHours, found: list[Leased], now: datetime) -> list[Leased]:
    """Those for whom it is not quiet; the others wait until it no longer is, and so do all who sleep where they do."""
    asleep = hours.asleep(found, now)
    if not asleep:
        return found
    queue.settle(connection, worker, [put_back(message, at, quiet.REASON) for message, at in asleep.items()], now)
    quiet.put_off(connection, asleep, now)
    return [message for message in found if message not in asleep]


def _granted(
    connection: Connection, worker: str, bounds: Throttles, found: Sequence[Leased], now: datetime
) -> list[Leased]:
    """Those that the throttles of their sender and domain let go now; the others get a place in the line."""
    if not bounds.of_recipients:
        return list(found)
    keys = {message: bounds.keys_of_message(message.sender, message.address) for message in found}
    buckets = throttles.opened(connection, bounds, [key for own in keys.values() for key in own], now)
    granted, waiting = [], {}
    for message, own in keys.items():
        short = [key for key in own if buckets[key].tokens < 1]
        if short:
            for key in short:
                buckets[key] = _lined_up(bounds, buckets[key], key, now)
            waiting[message] = min(max(buckets[key].line_until for key in short), message.expires_at)
        else:
            for key in own:
                buckets[key] = buckets[key].taken(1)
            granted.append(message)
    throttles.closed(connection, buckets)
    _send_back(connection, worker, waiting, now)
    return granted


def _lined_up(bounds: Throttles, bucket: Bucket, key: str, now: datetime) -> Bucket:
    rate = bounds.rate(key)
    assert rate is not None, "only keys with a rate have a bucket"
    return bucket.lined_up(rate, now)


def _send_back(connection: Connection, worker: str, until: Mapping[Leased, datetime], now: datetime) -> None:
    if until:
        queue.settle(connection, worker, [put_back(message, at) for message, at in until.items()], now)
