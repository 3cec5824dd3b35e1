"""The load: the inbox into the warehouse, in order, exactly once.

Every entry's rows and the watermark that says so are written in one warehouse transaction. A kill before it leaves
nothing, a kill after it leaves the entries to be pruned; both are mended by running again.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Engine, select

from onevoice.catalog import facts as catalog_facts
from onevoice.catalog import load as catalog
from onevoice.customers import facts as customer_facts
from onevoice.customers import load as customers
from onevoice.database import inbox
from onevoice.database.inbox import Entry, Kind
from onevoice.delivery import facts as delivery_facts
from onevoice.delivery import load as delivery
from onevoice.events import facts as event_facts
from onevoice.events import load as events
from onevoice.events.models import source
from onevoice.journeys import facts as journey_facts
from onevoice.segments import facts as segment_facts
from onevoice.warehouse import WATERMARKS, Facts, Warehouse, set_watermark, watermark

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

BATCH = 20_000
"""Entries a load takes in one transaction."""


def load(warehouse: Warehouse, database: Engine, secret: bytes, limit: int = BATCH) -> int:
    """Takes up to `limit` entries in; returns how many."""
    mark = watermark(warehouse, "inbox")
    with database.connect() as connection:
        rows = inbox.read(connection, mark, limit)
        kinds = _source_kinds(connection)
    if rows:
        revision = watermark(warehouse, "revision")[0] + 1
        with warehouse.transaction():
            take(warehouse, [entry for *_, entry in rows], kinds, secret, revision)
            mark = rows[-1][:2]
            set_watermark(warehouse, "inbox", *mark)
            set_watermark(warehouse, "revision", revision, 0)
        with database.begin() as connection:
            inbox.prune(connection, mark)
    return len(rows)


def take(
    warehouse: Warehouse, entries: Sequence[Entry], source_kinds: Mapping[int, str], secret: bytes, revision: int
) -> None:
    """Hands each kind of entry to its domain; to be called within a warehouse transaction."""
    by_kind: dict[Kind, list[Entry]] = {kind: [] for kind in Kind}
    for entry in entries:
        by_kind[entry.kind].append(entry)
    catalog.load(warehouse, by_kind[Kind.PRODUCT])
    events.load(warehouse, by_kind[Kind.EVENT], source_kinds, secret, revision, PROJECTED)
    customers.load_consents(warehouse, by_kind[Kind.CONSENT], secret, revision, PROJECTED)
    customers.load_suppressions(warehouse, by_kind[Kind.SUPPRESSION])
    delivery.load(warehouse, by_kind[Kind.MESSAGE])


def _source_kinds(connection: Connection) -> dict[int, str]:
    return {row.id: row.kind for row in connection.execute(select(source.c.id, source.c.kind))}
