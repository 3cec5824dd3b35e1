"""How many messages may go out a second: by the installation, a provider, a sender, a recipient's domain.

A throttle is a token bucket in PostgreSQL that all workers share. A lease takes the tokens of its messages in the same
transaction, so that all workers together never exceed the rate. What got no token of its domain or sender goes back to
the queue with a place in that line, and keeps nobody else waiting.

    [throttles]
    installation = "200/second"
    [throttles.domain]
    "gmail.com" = "20/second"
    "*" = 50                      # every other domain; a number is messages a second
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from onevoice.database import driver
from onevoice.kernel.errors import ConfigurationError

INSTALLATION = "installation"
KINDS = ("provider", "sender", "domain")
NONE = "none"
"""How it is written that something is not throttled."""

SKEW = timedelta(seconds=5)
"""Workers' clocks may differ by so much; a bucket filled later than that was filled by a clock gone wrong."""

_UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}


@dataclass(frozen=True)
class Rate:
    """Messages a second, and how many of them may go at once after a rest: those of one second, and at least one."""

    per_second: float

    @property
    def burst(self) -> float:
        return max(1.0, self.per_second)


@dataclass(frozen=True)
class Bucket:
    """What may still go. `line_until` is the place in time of the last message that was sent back to wait."""

    tokens: float
    filled_at: datetime
    line_until: datetime

    def filled(self, rate: Rate, now: datetime) -> "Bucket":
        """The bucket as of now. A clock that was set back fills nothing twice and blocks nothing for long."""
        if now < self.filled_at - SKEW:
            return replace(self, filled_at=now, line_until=min(self.line_until, now))
        seconds = max(0.0, (now - self.filled_at).total_seconds())
        tokens = min(rate.burst, self.tokens + seconds * rate.per_second)
        return replace(self, tokens=tokens, filled_at=max(now, self.filled_at))

    def taken(self, count: int) -> "Bucket":
        """Without the tokens of so many messages."""
        return replace(self, tokens=self.tokens - count)

    def lined_up(self, rate: Rate, now: datetime) -> "Bucket":
        """With one more message in the line; its turn is `line_until`."""
        return replace(self, line_until=max(self.line_until, now) + timedelta(seconds=1 / rate.per_second))


class Throttles:
    """The rates that the settings name, and what people have changed of them (see limits.py)."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._rates: dict[str, Rate | None] = {}  # None: not throttled, though others of its kind are
        for name, value in settings.items():
            if name == INSTALLATION:
                self._rates[name] = _rate(name, value)
            elif name in KINDS and isinstance(value, Mapping):
                for which, rate in value.items():
                    self._rates[f"{name}:{which.lower()}"] = _rate(f"{name}.{which}", rate)
            else:
                raise ConfigurationError(
                    f"throttles.{name}: set `installation`, or tables [throttles.{'], [throttles.'.join(KINDS)}]"
                )

    def changed(self, rates: Mapping[str, str]) -> "Throttles":
        """With other rates for some keys. Raises ConfigurationError for a key or rate that is none."""
        made = Throttles({})
        made._rates = dict(self._rates)
        for key, value in rates.items():
            kind, _, which = key.partition(":")
            if key != INSTALLATION and (kind not in KINDS or not which):
                named = ", ".join(f"{one}:NAME" for one in KINDS)
                raise ConfigurationError(f"There is no throttle {key!r}: write {INSTALLATION}, or {named}")
            made._rates[key] = None if value == NONE else _rate(key, value)
        return made

    @property
    def of_recipients(self) -> bool:
        """Whether messages have throttles of their own."""
        return any(key.startswith(("sender:", "domain:")) for key in self._rates)

    def rate(self, key: str) -> Rate | None:
        """The rate of a key; None where it is unbounded."""
        if key in self._rates:
            return self._rates[key]
        return self._rates.get(f"{key.partition(':')[0]}:*")

    def keys_of_provider(self, provider: str) -> list[str]:
        """The throttles that every message by this provider passes."""
        return [key for key in (INSTALLATION, f"provider:{provider.lower()}") if self.rate(key)]

    def keys_of_message(self, sender: str, address: str) -> list[str]:
        """The throttles that are this message's own."""
        if not self.of_recipients:
            return []
        domain = address.rpartition("@")[2].lower() if "@" in address else ""
        keys = (f"sender:{sender.lower()}" if sender else "", f"domain:{domain}" if domain else "")
        return [key for key in keys if key and self.rate(key)]

    def __bool__(self) -> bool:
        return any(self._rates.values())

    def rates(self) -> Mapping[str, Rate | None]:
        """All of them, by key."""
        return self._rates


def _rate(name: str, value: object) -> Rate:
    number, _, unit = str(value).partition("/")
    try:
        per_second = float(number) / _UNITS[unit.strip() or "second"]
    except (ValueError, KeyError):
        per_second = 0.0
    if not 0 < per_second < float("inf"):
        raise ConfigurationError(
            f"throttles.{name} is {value!r}; write messages a second, or as 100/second, 1000/minute, /hour, /day"
        )
    return Rate(per_second)


def alone(connection: Connection) -> None:
    """Waits until no other transaction takes tokens; from here to the commit none can."""
    with driver(connection) as raw:
        raw.execute("SELECT pg_advisory_xact_lock(hashtext('onevoice.throttle'))")


def opened(connection: Connection, throttles: Throttles, keys: Sequence[str], now: datetime) -> dict[str, Bucket]:
    """The buckets as of now; to be asked for after `alone`."""
    if not keys:
        return {}
    ordered = sorted(set(keys))
    with driver(connection) as raw:
        raw.execute(
            "INSERT INTO throttle SELECT key, 1, %s, %s FROM unnest(%s::text[]) AS asked (key) ON CONFLICT DO NOTHING",
            (now, now, ordered),
        )
        rows = raw.execute(
            "SELECT key, tokens, filled_at, line_until FROM throttle WHERE key = ANY(%s)", (ordered,)
        ).fetchall()
    buckets = {}
    for key, *values in rows:
        rate = throttles.rate(key)
        assert rate is not None, "only keys with a rate are asked for"
        buckets[key] = Bucket(*values).filled(rate, now)
    return buckets


def closed(connection: Connection, buckets: Mapping[str, Bucket]) -> None:
    """Writes the buckets back."""
    if not buckets:
        return
    with driver(connection) as raw:
        raw.execute(
            """
            UPDATE throttle SET tokens = given.tokens, filled_at = given.filled_at, line_until = given.line_until
            FROM unnest(%s::text[], %s::float8[], %s::timestamptz[], %s::timestamptz[])
                AS given (key, tokens, filled_at, line_until)
            WHERE throttle.key = given.key
            """,
            (
                list(buckets),
                [bucket.tokens for bucket in buckets.values()],
                [bucket.filled_at for bucket in buckets.values()],
                [bucket.line_until for bucket in buckets.values()],
            ),
        )
