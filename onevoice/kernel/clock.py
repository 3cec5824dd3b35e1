"""The one clock. Whatever depends on "now" is handed a clock or an instant, never asks the system itself.

Instants are aware and in UTC inside the program; the warehouse stores them naive, also in UTC.
"""

import mmap
import os
import struct
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_zone(name: str) -> tzinfo:
    """The zone of that name; one that nobody knows counts as UTC."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, or too long for a file
        return UTC


class Clock(Protocol):
    """Tells the instant at which the program believes to be."""

    def now(self) -> datetime:
        """The instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands still until it is moved; for tests and back-tests."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


class SharedClock:
    """A simulated clock that several processes read and one moves: eight bytes (microseconds since 1970) in a file."""

    def __init__(self, path: Path, start: datetime | None = None) -> None:
        if start is not None:
            path.write_bytes(_microseconds(start))
        descriptor = os.open(path, os.O_RDWR)
        try:
            self._memory = mmap.mmap(descriptor, 8)
        finally:
            os.close(descriptor)

    def now(self) -> datetime:
        (microseconds,) = struct.unpack("<q", self._memory[:8])
        return _EPOCH + timedelta(microseconds=microseconds)

    def move(self, to: datetime) -> None:
        """Sets the instant for all processes that read this file."""
        self._memory[:8] = _microseconds(to)


def _microseconds(at: datetime) -> bytes:
    return struct.pack("<q", (at - _EPOCH) // timedelta(microseconds=1))


def naive(at: datetime) -> datetime:
    """The instant as the warehouse stores it: UTC without a zone. Raises ValueError for a naive instant."""
    if at.tzinfo is None:
        raise ValueError(f"{at!r} has no time zone; pass an aware instant")
    return at.astimezone(UTC).replace(tzinfo=None)


def aware(at: datetime) -> datetime:
    """A warehouse timestamp as an aware instant in UTC."""
    return at.replace(tzinfo=UTC)
