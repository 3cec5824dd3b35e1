"""Throttles and breakers' bounds as people change them while everything runs; what nobody has changed is the settings'.

A change is a row of PostgreSQL, and every worker goes by it within five seconds. A key is a throttle's (`installation`,
`provider:sms.main`, `domain:gmail.com`, `domain:*`, `sender:news@shop.example`; the value a rate, or `none`), or one of
`BREAKER`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from onevoice.delivery.breakers import DEFAULT, Bounds
from onevoice.delivery.models import delivery_limit
from onevoice.delivery.throttles import NONE, Throttles
from onevoice.kernel.errors import ConfigurationError, InvalidInput, NotFound

BREAKER: Mapping[str, tuple[float, float]] = {
    "breaker:least_ill": (1, 10_000),
    "breaker:ill_share": (0.01, 1),
    "breaker:first_pause_seconds": (1, 3_600),
    "breaker:longest_pause_seconds": (1, 86_400),
}
"""The bounds of the circuit breakers, each with the least and the most that it may be."""


@dataclass(frozen=True)
class Limits:
    """What holds now."""

    throttles: Throttles
    breakers: Bounds = DEFAULT


def found(connection: Connection, settings: Mapping[str, Any]) -> Limits:
    """The throttles of the settings and the default bounds, with what people have changed."""
    changed = {row.key: row.value for row in connection.execute(select(delivery_limit.c.key, delivery_limit.c.value))}
    bounds = {key.partition(":")[2]: float(value) for key, value in changed.items() if key in BREAKER}
    rates = {key: value for key, value in changed.items() if key not in BREAKER}
    return Limits(Throttles(settings).changed(rates), replace(DEFAULT, **bounds))


def listed(connection: Connection, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All that hold: key, value, and who changed it when, where it is not the settings' or the default."""
    changed = {row.key: row for row in connection.execute(select(delivery_limit))}
    own = Throttles(settings).rates()
    values = {key: f"{rate.per_second:g}/second" if rate else NONE for key, rate in own.items()}
    values |= {key: f"{getattr(DEFAULT, key.partition(':')[2]):g}" for key in BREAKER}
    values |= {key: row.value for key, row in changed.items()}
    return [
        {
            "key": key,
            "value": value,
            "set_by": changed[key].set_by if key in changed else "",
            "set_at": changed[key].set_at.isoformat() if key in changed else "",
        }
        for key, value in sorted(values.items())
    ]


def change(connection: Connection, key: str, value: str, by: str, now: datetime) -> None:
    """Sets one limit, in place of the settings'. Raises InvalidInput saying what may be set."""
    key, value = key.strip().lower(), value.strip()
    if key in BREAKER:
        least, most = BREAKER[key]
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not least <= number <= most:
            raise InvalidInput(f"{key} is a number from {least:g} to {most:g}; not {value!r}")
        value = f"{number:g}"
    else:
        try:
            Throttles({}).changed({key: value})
        except ConfigurationError as error:
            raise InvalidInput(f"{error.message}; or set one of {', '.join(BREAKER)}") from error
    row = {"value": value, "set_by": by, "set_at": now}
    statement = insert(delivery_limit).values(key=key, **row)
    connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_=row))


def reset(connection: Connection, key: str) -> None:
    """Lets the settings' or the default hold again. Raises NotFound where nobody has changed it."""
    which = delivery_limit.c.key == key.strip().lower()
    if not connection.execute(delete(delivery_limit).where(which)).rowcount:
        raise NotFound(f"Nobody has changed {key!r}; `onevoice delivery limits` shows what holds and who set it")
