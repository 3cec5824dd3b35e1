"""The circuit breaker of each provider, shared by all workers: a provider that is ill gets nothing for a while.

closed → open, when many attempts go wrong or the account is refused; open → half open, when a few messages may try;
half open → closed, when they pass, else open again for twice as long. `resting` is a provider's own wish for a slower
pace: it ends by itself. While a provider is open the next one of its channel takes over.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from msgspec import Struct, structs
from psycopg.rows import class_row
from sqlalchemy import Connection

from onevoice.channels.adapter import Concern, Outcome, Status
from onevoice.database import driver

WINDOW = timedelta(seconds=30)
"""Attempts are counted anew after so long."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=5)
ACCOUNT_PAUSE = timedelta(minutes=1)
"""After an alarm nothing gets well in a moment."""

LONGEST_REST = timedelta(minutes=15)
PROBES = 3
"""Messages that try whether an open provider is well again."""

PROBE_WAIT = timedelta(seconds=60)
"""After so long without an answer to them, others may try."""

CLOSED, OPEN, HALF_OPEN, RESTING = "closed", "open", "half_open", "resting"


class Tally(Struct, frozen=True):
    """What a provider's attempts came to, since it was last told."""

    well: int = 0
    ill: int = 0
    reason: str = ""  # of the last that went wrong
    alarm: bool = False
    rest_seconds: float = 0.0

    def with_outcome(self, outcome: Outcome) -> "Tally":
        """With one attempt more. A message that was refused for what it is was answered well."""
        if outcome.status is Status.ACCEPTED:
            return structs.replace(self, well=self.well + 1)
        why = " ".join(part for part in (outcome.error_code, outcome.error) if part)[:200]
        if outcome.status is Status.IN_DOUBT or (
            outcome.status is Status.RETRY and outcome.concerns in (Concern.PROVIDER, Concern.ACCOUNT)
        ):
            alarm = self.alarm or outcome.concerns is Concern.ACCOUNT
            return structs.replace(self, ill=self.ill + 1, reason=why, alarm=alarm)
        if outcome.status is Status.RETRY and outcome.concerns is Concern.PACE:
            rest = max(self.rest_seconds, outcome.retry_after_seconds, 1.0)
            return structs.replace(self, reason=why, rest_seconds=rest)
        return structs.replace(self, well=self.well + 1)


@dataclass(frozen=True)
class Bounds:
    """A provider opens when so many attempts of the window (`least_ill`), and such a share of them, went wrong."""

    least_ill: float = 5
    ill_share: float = 0.5
    first_pause_seconds: float = FIRST_PAUSE.total_seconds()
    longest_pause_seconds: float = LONGEST_PAUSE.total_seconds()


DEFAULT = Bounds()


@dataclass(frozen=True)
class Breaker:
    """How a provider does. `until`: when an open one may be tried, a half open one by others, a resting one goes on."""

    provider: str
    state: str
    until: datetime | None
    pause_seconds: float
    well: int
    ill: int
    counted_since: datetime
    reason: str
    changed_at: datetime

    def after(self, tally: Tally, now: datetime, bounds: Bounds = DEFAULT) -> "Breaker":
        """With what attempts came to."""
        fresh = not self.counted_since <= now < self.counted_since + WINDOW
        well, ill = tally.well + (0 if fresh else self.well), tally.ill + (0 if fresh else self.ill)
        counted = replace(self, well=well, ill=ill, counted_since=now if fresh else self.counted_since)
        if self.state == RESTING and self._is_over(now):
            counted = replace(counted, state=CLOSED, until=None, changed_at=now)
        if tally.alarm:
            return counted._opened(max(ACCOUNT_PAUSE, self.pause), tally.reason, now)
        if self.state == OPEN:
            return counted  # answers to what was under way
        if self.state == HALF_OPEN:
            if tally.ill:
                return counted._opened(
                    min(2 * self.pause, timedelta(seconds=bounds.longest_pause_seconds)), tally.reason, now
                )
            return counted._closed(now) if tally.well else counted
        if ill >= bounds.least_ill and ill >= bounds.ill_share * (well + ill):
            return counted._opened(timedelta(seconds=bounds.first_pause_seconds), tally.reason, now)
        if tally.rest_seconds:
            until = now + min(timedelta(seconds=tally.rest_seconds), LONGEST_REST)
            return replace(counted, state=RESTING, until=until, reason=tally.reason, changed_at=now)
        return counted

    @property
    def pause(self) -> timedelta:
        """How long it stays open."""
        return timedelta(seconds=self.pause_seconds)

    def is_shut(self, now: datetime) -> bool:
        """Whether it gets nothing, so that another provider should."""
        return self.state in (OPEN, HALF_OPEN) and not self._is_over(now)

    def most(self, now: datetime) -> int | None:
        """How many messages it may be given now; None is without bound."""
        if self.state in (OPEN, HALF_OPEN):
            return PROBES if self._is_over(now) else 0
        return 0 if self.state == RESTING and not self._is_over(now) else None

    def _is_over(self, now: datetime) -> bool:
        """Whether `until` has come, or cannot be because the clock was set back."""
        return self.until is None or not now < self.until <= now + LONGEST_REST

    def probing(self, now: datetime) -> "Breaker":
        """While its probes are under way."""
        return replace(self, state=HALF_OPEN, until=now + PROBE_WAIT, changed_at=now)

    def _opened(self, pause: timedelta, reason: str, now: datetime) -> "Breaker":
        seconds = pause.total_seconds()
        opened = replace(self, state=OPEN, until=now + pause, pause_seconds=seconds, reason=reason, changed_at=now)
        return replace(opened, well=0, ill=0, counted_since=now)

    def _closed(self, now: datetime) -> "Breaker":
        return replace(new(self.provider, now), well=self.well)


def new(provider: str, now: datetime) -> Breaker:
    """Of a provider of which nothing is known yet."""
    return Breaker(provider, CLOSED, None, FIRST_PAUSE.total_seconds(), 0, 0, now, "", now)


_COLUMNS = "provider, state, until, pause_seconds, well, ill, counted_since, reason, changed_at"


def found(connection: Connection) -> dict[str, Breaker]:
    """All that is known, by provider."""
    with driver(connection) as raw, raw.cursor(row_factory=class_row(Breaker)) as cursor:
        rows = cursor.execute(f"SELECT {_COLUMNS} FROM breaker").fetchall()  # noqa: S608
    return {row.provider: row for row in rows}


def note(
    connection: Connection, tallies: Mapping[str, Tally], now: datetime, bounds: Bounds = DEFAULT
) -> list[Breaker]:
    """Takes note of what attempts came to; returns the breakers whose state has changed."""
    changed = []
    for provider in sorted(tallies):  # all lock in the same order
        before = _held(connection, provider, now)
        after = before.after(tallies[provider], now, bounds)
        _write(connection, after)
        if after.state != before.state:
            changed.append(after)
    return changed


def probe(connection: Connection, provider: str, now: datetime) -> bool:
    """Claims the right to try an open provider; False where another worker has it."""
    with driver(connection) as raw, raw.cursor(row_factory=class_row(Breaker)) as cursor:
        row = cursor.execute(
            f"SELECT {_COLUMNS} FROM breaker WHERE provider = %s FOR UPDATE SKIP LOCKED",  # noqa: S608
            (provider,),
        ).fetchone()
    if row is None or row.most(now) != PROBES:
        return False
    _write(connection, row.probing(now))
    return True


def close(connection: Connection, providers: Iterable[str], now: datetime) -> None:
    """A person says that these are well again."""
    for provider in sorted(providers):
        _held(connection, provider, now)
        _write(connection, new(provider, now))


def _held(connection: Connection, provider: str, now: datetime) -> Breaker:
    """The provider's breaker, held for this transaction."""
    with driver(connection) as raw, raw.cursor(row_factory=class_row(Breaker)) as cursor:
        places = ", ".join(["%s"] * len(Breaker.__dataclass_fields__))
        made = new(provider, now)
        cursor.execute(
            f"INSERT INTO breaker ({_COLUMNS}) VALUES ({places}) ON CONFLICT DO NOTHING",  # noqa: S608
            [getattr(made, name) for name in Breaker.__dataclass_fields__],
        )
        row = cursor.execute(
            f"SELECT {_COLUMNS} FROM breaker WHERE provider = %s FOR UPDATE",  # noqa: S608
            (provider,),
        ).fetchone()
    assert row is not None, "it was just made"
    return row


def _write(connection: Connection, breaker: Breaker) -> None:
    names = [name for name in Breaker.__dataclass_fields__ if name != "provider"]
    sets = ", ".join(f"{name} = %s" for name in names)
    with driver(connection) as raw:
        raw.execute(
            f"UPDATE breaker SET {sets} WHERE provider = %s",  # noqa: S608
            (*(getattr(breaker, name) for name in names), breaker.provider),
        )
