"""Consent and suppression on their way into the warehouse, for the set-based tick. The ledger is in the database."""

from collections.abc import Callable, Sequence
from datetime import datetime

import ibis
import msgspec
import pyarrow as pa

from onevoice.customers import identity, profiles
from onevoice.customers.facts import CONSENT_EXPIRIES, CONSENTS, IDENTIFIERS, SUPPRESSIONS
from onevoice.customers.identifiers import Identifier
from onevoice.customers.schemas import ConsentEntry, ConsentExpiry, SuppressionEntry
from onevoice.database.inbox import Entry
from onevoice.kernel.clock import naive
from onevoice.warehouse import Facts, Warehouse

_consent = msgspec.json.Decoder(ConsentEntry)
_expiries = msgspec.json.Decoder(list[ConsentExpiry])
_suppression = msgspec.json.Decoder(SuppressionEntry)


def load_consents(
    warehouse: Warehouse,
    entries: Sequence[Entry],
    secret: bytes,
    revision: int,
    projected: Sequence[Facts],
    is_erased: Callable[[int, datetime], bool] | None = None,
) -> None:
    """Takes consents in: when each word was last said, per identifier, channel, topic, state and country, stays.

    What was said before its identifier was erased (`is_erased`) is dropped.
    """
    told = [_consent.decode(entry.payload) for entry in entries]
    rows = [one for one in told if is_erased is None or not is_erased(one.identifier_id, one.occurred_at)]
    if not rows:
        return
    named: dict[Identifier, datetime] = {}
    for row in rows:
        if row.namespace:
            one, at = Identifier(row.namespace, row.value), naive(row.occurred_at)
            named[one] = min(at, named.get(one, at))
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
                "country": [row.country for row in rows],
            }
        ),
    )
    held = warehouse.table(CONSENTS).drop("customer_id")
    both = held.semi_join(fresh, "identifier_id").union(fresh.select(*held.columns))
    key = ["identifier_id", "channel", "topic", "state", "country"]
    both = both.mutate(country=ibis.coalesce(both.country, ""))  # null: from before the column
    newest = both.group_by(key).aggregate(occurred_at=both.occurred_at.max())
    identifiers = warehouse.table(IDENTIFIERS).select("identifier_id", "customer_id")
    newest = newest.join(identifiers, "identifier_id")
    warehouse.replace(CONSENTS, ["identifier_id"], newest.select(*CONSENTS.columns))


def load_policies(warehouse: Warehouse, entries: Sequence[Entry]) -> None:
    """Takes the rules about a consent's age in; the newest set of them stands for all before."""
    if not entries:
        return
    rules = _expiries.decode(entries[-1].payload)
    columns: dict[str, list[object]] = {
        name: [getattr(rule, name) for rule in rules] for name in CONSENT_EXPIRIES.columns
    }
    warehouse.delete(CONSENT_EXPIRIES, warehouse.table(CONSENT_EXPIRIES).select("country").distinct())
    warehouse.append(CONSENT_EXPIRIES, CONSENT_EXPIRIES.arrow(columns))


def load_suppressions(warehouse: Warehouse, entries: Sequence[Entry]) -> None:
    """Takes suppressed addresses in, and those that are not any more; of several about one address the last counts."""
    told = (_suppression.decode(entry.payload) for entry in entries)
    rows = list({(row.channel, row.address_hash): row for row in told}.values())
    if not rows:
        return
    removed = [row for row in rows if row.removed]
    if removed:
        gone = {"channel": [row.channel for row in removed], "address_hash": [row.address_hash for row in removed]}
        warehouse.delete(SUPPRESSIONS, warehouse.stage("no_longer_suppressed", pa.table(gone)))
        warehouse.drop("no_longer_suppressed")
    rows = [row for row in rows if not row.removed]
    columns: dict[str, list[object]] = {
        "channel": [row.channel for row in rows],
        "address_hash": [row.address_hash for row in rows],
        "reason": [row.reason for row in rows],
        "suppressed_at": [naive(row.occurred_at) for row in rows],
    }
    warehouse.replace(SUPPRESSIONS, ["channel", "address_hash"], SUPPRESSIONS.arrow(columns))
