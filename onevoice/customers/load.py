"""Consent and suppression on their way into the warehouse, for the set-based tick. The ledger is in the database."""

from collections.abc import Sequence

import ibis
import msgspec
import pyarrow as pa

from onevoice.customers import identity, profiles
from onevoice.customers.facts import CONSENTS, IDENTIFIERS, SUPPRESSIONS
from onevoice.customers.identity import Identifier
from onevoice.customers.schemas import ConsentEntry, SuppressionEntry
from onevoice.database.inbox import Entry
from onevoice.kernel.clock import naive
from onevoice.warehouse import Facts, Warehouse

_consent = msgspec.json.Decoder(ConsentEntry)
_suppression = msgspec.json.Decoder(SuppressionEntry)


def load_consents(
    warehouse: Warehouse, entries: Sequence[Entry], secret: bytes, revision: int, projected: Sequence[Facts]
) -> None:
    """Takes consents in: the newest state by event time per identifier, channel and topic stays."""
    rows = [_consent.decode(entry.payload) for entry in entries]
    if not rows:
        return
    named = {Identifier(row.namespace, row.value): naive(row.occurred_at) for row in rows if row.namespace}
    customers, _ = identity.resolve(warehouse, named, [], revision, projected)
    profiles.rebuild(warehouse, customers.values(), secret)
    fresh = warehouse.stage(
        "fresh_consents",
        pa.table(
            {
                "identifier_id": pa.array([row.identifier_id for row in rows], pa.int64()),
                "channel": [row.channel for row in rows],
                "topic": [row.topic for row in rows],
                "state": [row.state for row in rows],
                "occurred_at": pa.array([naive(row.occurred_at) for row in rows], pa.timestamp("us")),
            }
        ),
    )
    held = warehouse.table(CONSENTS).drop("customer_id")
    both = held.semi_join(fresh, "identifier_id").union(fresh.select(*held.columns))
    key = ["identifier_id", "channel", "topic"]
    # Of two at the same instant the refusal counts.
    ranked = both.mutate(
        rank=ibis.row_number().over(
            group_by=key, order_by=[ibis.desc(both.occurred_at), (both.state == "granted").cast("int8"), both.state]
        )
    )
    identifiers = warehouse.table(IDENTIFIERS).select("identifier_id", "customer_id")
    newest = ranked.filter(ranked.rank == 0).drop("rank").join(identifiers, "identifier_id")
    warehouse.replace(CONSENTS, key, newest.select(*CONSENTS.columns))


def load_suppressions(warehouse: Warehouse, entries: Sequence[Entry]) -> None:
    """Takes suppressed addresses in."""
    rows = {(row.channel, row.address_hash): row for row in (_suppression.decode(e.payload) for e in entries)}.values()
    if not rows:
        return
    columns: dict[str, list[object]] = {
        "channel": [row.channel for row in rows],
        "address_hash": [row.address_hash for row in rows],
        "reason": [row.reason for row in rows],
        "suppressed_at": [naive(row.occurred_at) for row in rows],
    }
    warehouse.replace(SUPPRESSIONS, ["channel", "address_hash"], SUPPRESSIONS.arrow(columns))
