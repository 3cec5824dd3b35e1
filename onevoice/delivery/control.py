"""What people ask of delivery and tell it to do: pause, resume, cancel, how it stands. Used by the API and the CLI."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine

from onevoice.channels.providers import Provider, providers
from onevoice.database import driver, inbox
from onevoice.delivery import breakers, holds, limits, quiet, throttles
from onevoice.delivery.holds import CANCEL, Hold, Scope
from onevoice.delivery.queue import Settlement
from onevoice.delivery.settlement import entries, news
from onevoice.delivery.throttles import Throttles
from onevoice.kernel.settings import Settings

BATCH = 10_000
"""Messages cancelled in one transaction."""

ALIVE_SECONDS = 60
"""A worker heard of within so long counts as alive."""


@dataclass(frozen=True)
class Cancelled:
    """What a cancellation came to. Of those being sent at that moment, it stops who is not handed over yet."""

    hold: Hold
    cancelled: int
    being_sent: int


def cancel(
    pool: Engine, scope: Scope, by: str, now: datetime, told: Callable[[int], None] = lambda _: None
) -> Cancelled:
    """Cancels what waits, for good; `told` hears how many are done. What is in flight stops within two seconds."""
    with pool.begin() as connection:
        hold = holds.place(connection, CANCEL, scope, by)
    done = 0
    while True:
        with pool.begin() as connection:
            some = _carry_out(connection, hold, now)
        if not some:
            break
        done += some
        told(done)
    with pool.connect() as connection:
        return Cancelled(hold, done, _count(connection, "sending", scope))


def _carry_out(connection: Connection, hold: Hold, now: datetime) -> int:
    """Cancels up to `BATCH` of what waits; returns how many. 0: all that waited are cancelled."""
    with driver(connection) as raw:
        rows = raw.execute(
            f"""
            UPDATE message SET state = 'skipped', error_code = 'cancelled', settled_at = %(now)s
            WHERE id IN (
                SELECT id FROM message WHERE state IN ('queued', 'paused') AND queued_at <= %(placed_at)s
                  AND {holds.COVERED} LIMIT %(batch)s FOR UPDATE SKIP LOCKED
            )
            RETURNING id, attempts
            """,  # noqa: S608 - a text of this module
            {"now": now, "placed_at": hold.placed_at, "batch": BATCH, **hold.scope.values()},
        ).fetchall()
    tell_cancelled(connection, [(row[0], row[1]) for row in rows], now)
    return len(rows)


def tell_cancelled(connection: Connection, cancelled: Sequence[tuple[UUID, int]], now: datetime) -> None:
    """Tells the inbox of messages that were cancelled while they waited, each given with its attempts."""
    for start in range(0, len(cancelled), BATCH):
        some = cancelled[start : start + BATCH]
        skipped = [Settlement(id, attempts, "skipped", error_code="cancelled") for id, attempts in some]
        inbox.append(connection, entries([news(one, now, delivered=False) for one in skipped], now))


def waiting(connection: Connection, scope: Scope) -> int:
    """How many messages of the scope are not sent yet."""
    return _count(connection, "queued", scope) + _count(connection, "paused", scope)


def _count(connection: Connection, state: str, scope: Scope) -> int:
    with driver(connection) as raw:
        row = raw.execute(
            f"SELECT count(*) FROM message WHERE state = '{state}' AND {holds.COVERED}",  # noqa: S608
            scope.values(),
        ).fetchone()
    return int(row[0]) if row else 0


def status(connection: Connection, settings: Settings, now: datetime) -> dict[str, Any]:
    """How delivery stands: what waits and since when, each provider, each throttle, the holds, the workers."""
    bounds = limits.found(connection, settings.throttles).throttles
    with driver(connection) as raw:
        states = dict(
            raw.execute(
                """
                SELECT state, count(*) FROM message WHERE state IN ('queued', 'sending', 'paused', 'in_doubt')
                GROUP BY state
                """
            ).fetchall()
        )
        due, oldest, sleeping = raw.execute(
            """
            SELECT count(*) FILTER (WHERE not_before <= %(now)s), min(not_before) FILTER (WHERE not_before <= %(now)s),
                   count(*) FILTER (WHERE not_before > %(now)s AND error_code = %(quiet)s)
            FROM message WHERE state = 'queued'
            """,
            {"now": now, "quiet": quiet.REASON},
        ).fetchone() or (0, None, 0)
        workers = raw.execute(
            "SELECT count(*) FROM worker WHERE heartbeat_at > now() - make_interval(secs => %s)", (ALIVE_SECONDS,)
        ).fetchone()
    return {
        "queued": states.get("queued", 0),
        "due": due,
        "oldest_waiting_seconds": round((now - oldest).total_seconds(), 1) if oldest else 0.0,
        "for_quiet_hours": sleeping,
        "sending": states.get("sending", 0),
        "paused": states.get("paused", 0),
        "in_doubt": states.get("in_doubt", 0),
        "workers": workers[0] if workers else 0,
        "providers": _providers(connection, providers(settings.channels), bounds, now),
        "throttles": _throttles(connection, bounds, now),
        "holds": [described(hold) for hold in holds.in_force(connection)],
    }


def described(hold: Hold) -> dict[str, Any]:
    """A hold as it is shown."""
    scope = {name: str(value) for name, value in hold.scope.values().items() if value}
    return {
        "action": hold.action,
        "scope": scope or "everything",
        "placed_at": hold.placed_at.isoformat(),
        "by": hold.placed_by,
    }


def _providers(
    connection: Connection, known: Mapping[str, Provider], bounds: Throttles, now: datetime
) -> list[dict[str, Any]]:
    states = breakers.found(connection)
    rows = []
    for name, provider in known.items():
        breaker = states.get(name, breakers.new(name, now))
        rate = bounds.rate(f"provider:{name}")
        seconds = max((now - breaker.counted_since).total_seconds(), 1.0)
        recent = seconds <= 2 * breakers.WINDOW.total_seconds()
        rows.append(
            {
                "provider": name,
                "channel": provider.channel,
                "adapter": provider.options.get("adapter"),
                "breaker": breaker.state,
                "until": breaker.until.isoformat() if breaker.until else None,
                "reason": breaker.reason,
                "per_second": round((breaker.well + breaker.ill) / seconds, 2) if recent else 0.0,
                "went_wrong": breaker.ill if recent else 0,
                "most_per_second": rate.per_second if rate else None,
            }
        )
    return rows


def _throttles(connection: Connection, bounds: Throttles, now: datetime) -> list[dict[str, Any]]:
    with driver(connection) as raw:
        rows = raw.execute("SELECT key, tokens, filled_at, line_until FROM throttle ORDER BY key").fetchall()
    buckets = {row[0]: throttles.Bucket(*row[1:]) for row in rows}
    shown = []
    for key in sorted({*bounds.rates(), *buckets}):
        rate, bucket = bounds.rate(key), buckets.get(key)
        if rate is None:
            continue  # the settings name it no more
        line = max(0.0, (bucket.line_until - now).total_seconds()) if bucket else 0.0
        shown.append(
            {
                "throttle": key,
                "per_second": rate.per_second,
                "free": round(bucket.filled(rate, now).tokens, 1) if bucket else rate.burst,
                "line_seconds": round(line, 1),
            }
        )
    return shown
