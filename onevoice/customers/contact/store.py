"""The house's contact policy kept: every change a new version, none is ever overwritten."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from onevoice.customers.contact.document import SENSIBLE, ContactPolicy, parse, written
from onevoice.customers.models import contact_policy as table
from onevoice.kernel.errors import NotFound


@dataclass(frozen=True)
class Saved:
    """A version; 0 is what holds where the house has not decided anything."""

    version: int
    policy: ContactPolicy
    saved_at: datetime | None = None
    saved_by: str = ""


def current(connection: Connection) -> Saved:
    """The version that holds."""
    row = connection.execute(select(table).order_by(table.c.version.desc()).limit(1)).one_or_none()
    return Saved(row.version, parse(row.definition), row.saved_at, row.saved_by) if row else Saved(0, SENSIBLE)


def version(connection: Connection, number: int) -> Saved:
    """One version. Raises NotFound."""
    row = connection.execute(select(table).where(table.c.version == number)).one_or_none()
    if row is not None:
        return Saved(row.version, parse(row.definition), row.saved_at, row.saved_by)
    if number == 0:
        return Saved(0, SENSIBLE)
    raise NotFound(f"There is no version {number} of the contact policy; `onevoice policy versions` lists them")


def versions(connection: Connection) -> list[dict[str, Any]]:
    """All, the newest first."""
    rows = connection.execute(
        select(table.c.version, table.c.saved_at, table.c.saved_by).order_by(table.c.version.desc())
    )
    return [dict(row) for row in rows.mappings()]


def save(connection: Connection, document: Any, now: datetime, by: str = "") -> tuple[int, bool]:
    """Saves a document as a new version if it differs from what holds; returns (version, changed).

    Raises InvalidInput naming the place.
    """
    policy = parse(document)
    # One writer at a time, so that two do not take the same number.
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtext("contact_policy"))))
    held = current(connection)
    if held.version and held.policy == policy:
        return held.version, False
    number = held.version + 1
    connection.execute(table.insert().values(version=number, definition=written(policy), saved_at=now, saved_by=by))
    return number, True


def difference(before: ContactPolicy, after: ContactPolicy) -> list[dict[str, Any]]:
    """By field what stands there before and after; fields that are alike are left out."""
    old, new = written(before), written(after)
    return [
        {"field": name, "before": old.get(name), "after": new.get(name)}
        for name in msgspec.structs.asdict(after)
        if old.get(name) != new.get(name)
    ]
