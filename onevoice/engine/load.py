"""The load: the inbox into the warehouse, in order, exactly once.

Every entry's rows and the watermark that says so are written in one warehouse transaction. A kill before it leaves
nothing, a kill after it leaves the entries to be pruned; both are mended by running again.

An entry that cannot be taken, though it was checked at the door, goes to quarantine and does not hold up the others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, select

from onevoice.catalog import facts as catalog_facts
from onevoice.catalog import load as catalog
from onevoice.customers import decisions, identifiers
from onevoice.customers import facts as customer_facts
from onevoice.customers import load as customers
from onevoice.customers.identifiers import RULES, Rules
from onevoice.database import inbox
from onevoice.database.inbox import Entry, Kind
from onevoice.delivery import facts as delivery_facts
from onevoice.delivery import load as delivery
from onevoice.events import facts as event_facts
from onevoice.events import load as events
from onevoice.events import quarantine
from onevoice.events.models import source
from onevoice.events.quarantine import Refused
from onevoice.journeys import facts as journey_facts
from onevoice.kernel.log import logger
from onevoice.privacy import tombstones
from onevoice.segments import facts as segment_facts
from onevoice.warehouse import DATA_ERRORS, WATERMARKS, Facts, Warehouse, set_watermark, watermark

log = logger("engine")

TABLES: Sequence[Facts] = (
    *customer_facts.TABLES,
    *catalog_facts.TABLES,
    *event_facts.TABLES,
    *segment_facts.TABLES,
    *journey_facts.TABLES,
    *delivery_facts.TABLES,
    WATERMARKS,
)
"""Every table of the warehouse."""

PROJECTED = [
    facts
    for facts in TABLES
    if {"identifier_id", "customer_id"} <= set(facts.columns) and facts is not customer_facts.IDENTIFIERS
]
"""The tables whose rows follow their identifier when customers merge or part."""

FAULTS = (*DATA_ERRORS, msgspec.MsgspecError, ValueError, TypeError, LookupError, ArithmeticError)
"""What an entry may be to blame for. Anything else (a full disk, a lost connection) ends the step, which runs again."""

BATCH = 20_000
"""Facts a load takes in one transaction."""


def load(
    warehouse: Warehouse,
    database: Engine,
    secret: bytes,
    limit: int = BATCH,
    identity: Mapping[str, Any] | None = None,
) -> int:
    """Takes some `limit` facts in; returns how many. `identity`: what the settings override of its rules."""
    mark = watermark(warehouse, "inbox")
    with database.connect() as connection:
        rows = inbox.read(connection, mark, limit)
        kinds, ids = _sources(connection)
        is_erased = tombstones.test(connection, secret)
    if not rows:
        return 0
    rules = identifiers.rules(identity or {}, ids)
    revision = watermark(warehouse, "revision")[0] + 1
    mark = rows[-1][:2]

    def taking(entries: Sequence[Entry]) -> None:
        take(warehouse, entries, kinds, secret, revision, rules, is_erased)

    try:
        with warehouse.transaction():
            taking([entry for *_, entry in rows])
            set_watermark(warehouse, "inbox", *mark)
            set_watermark(warehouse, "revision", revision, 0)
    except FAULTS as error:
        if len(rows) > 1:
            fewer = min(limit, sum(entry.calls for *_, entry in rows)) // 2
            return load(warehouse, database, secret, fewer, identity)
        transaction, sequence, entry = rows[0]
        bad = _bad_lines(warehouse, entry, taking, error)
        _set_aside(database, transaction, sequence, entry, bad)
        return len(bad)
    with database.begin() as connection:
        inbox.prune(connection, mark)
    return sum(entry.calls for *_, entry in rows)


class _Tried(Exception):
    """Ends a transaction that was only to see whether it would succeed."""


def _bad_lines(
    warehouse: Warehouse, entry: Entry, taking: Callable[[Sequence[Entry]], None], error: Exception
) -> dict[int, Exception]:
    """Which facts of an entry that cannot be taken are to blame (each alone, or what is left once those are out)."""
    lines = entry.payload.split(b"\n")
    bad: dict[int, Exception] = {}

    def search(numbers: Sequence[int], error: Exception | None) -> None:
        some = replace(entry, payload=b"\n".join(lines[number] for number in numbers), calls=len(numbers))
        if error is None:
            try:
                with warehouse.transaction():
                    taking([some])
                    raise _Tried
            except _Tried:
                return
            except FAULTS as found:
                error = found
        if len(numbers) == 1:
            bad[numbers[0]] = error
            return
        search(numbers[: len(numbers) // 2], None)
        search(numbers[len(numbers) // 2 :], None)

    search(range(len(lines)), error)
    return bad or dict.fromkeys(range(len(lines)), error)


def _set_aside(database: Engine, transaction: int, sequence: int, entry: Entry, bad: Mapping[int, Exception]) -> None:
    """Moves facts of an entry from the inbox to quarantine, in one transaction."""
    lines = entry.payload.split(b"\n")
    good = [line for number, line in enumerate(lines) if number not in bad]
    refused = []
    for number, error in bad.items():
        log.error("entry set aside", kind=entry.kind.name, error=repr(error))
        detail = f"The load could not take it: {error!r}"
        refused.append(Refused(entry.source_id, entry.received_at, "load", detail, lines[number], entry.kind))
    with database.begin() as connection:
        quarantine.add(connection, refused)
        if good:
            inbox.replace(connection, transaction, sequence, b"\n".join(good), len(good))
        else:
            inbox.remove(connection, transaction, sequence)


def take(
    warehouse: Warehouse,
    entries: Sequence[Entry],
    source_kinds: Mapping[int, str],
    secret: bytes,
    revision: int,
    rules: Rules = RULES,
    is_erased: events.IsErased | None = None,
) -> None:
    """Hands each kind of entry to its domain; to be called within a warehouse transaction."""
    by_kind: dict[Kind, list[Entry]] = {kind: [] for kind in Kind}
    for entry in entries:
        by_kind[entry.kind].append(entry)
    catalog.load(warehouse, by_kind[Kind.PRODUCT])
    events.load(warehouse, by_kind[Kind.EVENT], source_kinds, secret, revision, PROJECTED, rules, is_erased)
    decisions.load(warehouse, by_kind[Kind.IDENTITY], secret, revision, PROJECTED, rules)
    customers.load_consents(warehouse, by_kind[Kind.CONSENT], secret, revision, PROJECTED, is_erased)
    customers.load_policies(warehouse, by_kind[Kind.CONSENT_POLICY])
    customers.load_suppressions(warehouse, by_kind[Kind.SUPPRESSION])
    delivery.load(warehouse, by_kind[Kind.MESSAGE])


def identity_rules(connection: Connection, identity: Mapping[str, Any] | None) -> Rules:
    """The rules of identity with what the settings override of them."""
    return identifiers.rules(identity or {}, _sources(connection)[1])


def _sources(connection: Connection) -> tuple[dict[int, str], dict[str, int]]:
    """Each source's kind, and its id by name."""
    rows = connection.execute(select(source.c.id, source.c.kind, source.c.name)).all()
    return {row.id: row.kind for row in rows}, {row.name: row.id for row in rows}
