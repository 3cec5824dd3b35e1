"""Identity in bulk: identifies that join devices and cards to users, through the part of the load that resolves.

The yardstick is the least that any store must do: connected components over the same links by scipy, and DuckDB's own
inserts of identifiers and links. Beside it: one profile with a thousand identifiers, and publishing to the database.
"""

import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmarks.result import Result
from onevoice import database, warehouse
from onevoice.customers.arrivals import Link
from onevoice.customers.facts import IDENTIFIERS, IDENTITY_LINKS
from onevoice.customers.identifiers import ANONYMOUS, USER, Identifier
from onevoice.customers.identity import resolve
from onevoice.customers.publish import publish
from onevoice.engine.load import BATCH, PROJECTED, TABLES
from onevoice.kernel.settings import Settings
from onevoice.warehouse import Warehouse

SIZE = 1_000_000
"""Identifies; three in ten of them join two identifiers that were customers of their own."""

AT = datetime(2026, 1, 1)
THOUSAND = 1_000


def run(size: int) -> list[Result]:
    """Resolves, then publishes, each beside its yardstick."""
    with tempfile.TemporaryDirectory() as place:
        store = warehouse.connect(f"duckdb://{place}/warehouse.duckdb")
        store.create(TABLES)
        took = _resolve(store, size)
        identifiers, links = store.count(store.table(IDENTIFIERS)), store.count(store.table(IDENTITY_LINKS))
        customers = store.count(store.table(IDENTIFIERS).select("customer_id").distinct())
        assert identifiers - customers == size * 3 // 10, "each link must merge two customers"
        words = f"{size:,} identifies, {identifiers - customers:,} merges, in batches of {BATCH:,}"
        bare = _yardstick(store, Path(place) / "bare.duckdb")
        published, copied = _publish(store, Path(place))
        profile, first = _profile(store)
        store.close()
    return [
        Result("identity", words, took, "s", "scipy components and bare inserts", bare, ("duckdb", "scipy")),
        Result("identity_publish", f"{identifiers:,} identifiers", published, "s", "bare COPY", copied, ("psycopg",)),
        Result(
            "identity_profile",
            f"one more link for a profile of {THOUSAND:,} identifiers, {links:,} links held",
            profile,
            "s",
            "one more link for a new profile",
            first,
            ("duckdb",),
        ),
    ]


def _resolve(store: Warehouse, size: int) -> float:
    """Seconds for `size` identifies: seven in ten name a user alone, three a user and a device or card of before."""
    merges = size * 3 // 10
    devices, cards = (ANONYMOUS, "device"), ("loyalty_card", "card")
    kinds = [devices if n % 3 else cards for n in range(merges)]
    strangers = [Identifier(namespace, f"{word}-{n}") for n, (namespace, word) in enumerate(kinds)]
    alone = dict.fromkeys(strangers, AT)
    names = list(alone)
    with store.transaction():
        for start in range(0, merges, BATCH * 5):
            resolve(store, dict.fromkeys(names[start : start + BATCH * 5], AT), [], 1, PROJECTED)
    order = np.random.default_rng(7).permutation(size)
    began = time.perf_counter()
    for revision, start in enumerate(range(0, size, BATCH), 2):
        seen: dict[Identifier, datetime] = {}
        links: list[Link] = []
        for number in order[start : start + BATCH].tolist():
            user, at = Identifier(USER, f"user-{number}"), AT + timedelta(seconds=number)
            seen[user] = at
            if number < merges:
                seen[strangers[number]] = at
                trust = "device" if number % 3 else "claimed"
                links.append(Link(user, strangers[number], "identify", trust, 1, f"e{number}", at))
        with store.transaction():
            resolve(store, seen, links, revision, PROJECTED)
    return time.perf_counter() - began


def _yardstick(store: Warehouse, place: Path) -> float:
    identifiers, links = store.read(store.table(IDENTIFIERS)), store.read(store.table(IDENTITY_LINKS))
    bare = warehouse.connect(f"duckdb://{place}")
    bare.create([IDENTIFIERS, IDENTITY_LINKS])
    began = time.perf_counter()
    ids = np.sort(identifiers["identifier_id"].to_numpy())
    left = np.searchsorted(ids, links["left_id"].to_numpy())
    right = np.searchsorted(ids, links["right_id"].to_numpy())
    connected_components(coo_array((np.ones(len(left), np.int8), (left, right)), shape=(len(ids), len(ids))))
    with bare.transaction():
        for facts, rows in ((IDENTIFIERS, identifiers), (IDENTITY_LINKS, links)):
            bare.append(facts, rows)
    took = time.perf_counter() - began
    bare.close()
    return took


def _publish(store: Warehouse, place: Path) -> tuple[float, float]:
    settings = Settings(data_dir=place / "database")
    database.migrate(settings)
    pool = database.engine(settings)
    began = time.perf_counter()
    publish(store, pool, 10**6)
    took = time.perf_counter() - began
    rows: pa.Table = store.read(store.table(IDENTIFIERS).select("identifier_id", "namespace", "value", "customer_id"))
    began = time.perf_counter()
    with pool.begin() as connection, database.driver(connection) as raw, raw.cursor() as cursor:
        cursor.execute("CREATE TABLE bare (LIKE identifier INCLUDING INDEXES)")
        with cursor.copy("COPY bare FROM STDIN") as copy:
            for row in zip(*(rows[name].to_pylist() for name in rows.column_names), strict=True):
                copy.write_row(row)
    copied = time.perf_counter() - began
    pool.dispose()
    return took, copied


def _profile(store: Warehouse) -> tuple[float, float]:
    """Seconds for one more link of a profile with a thousand identifiers, and of one with none, the median of five."""
    hub = Identifier(USER, "hub")

    def links(first: int, count: int, user: Identifier) -> list[Link]:
        # Three months apart, so that no limit of a period is met.
        told = []
        for n in range(first, first + count):
            device = Identifier(ANONYMOUS, f"{user.value}-{n}")
            told.append(Link(user, device, "identify", "device", 1, f"h{n}", AT + timedelta(days=n * 90)))
        return told

    def take(told: list[Link], revision: int) -> float:
        seen = {end: link.linked_at for link in told for end in (link.left, link.right)}
        began = time.perf_counter()
        with store.transaction():
            resolve(store, seen, told, revision, PROJECTED)
        return time.perf_counter() - began

    take(links(0, THOUSAND, hub), 10**6 + 1)
    more = [take(links(THOUSAND + n, 1, hub), 10**6 + 2 + n) for n in range(5)]
    new = [take(links(0, 1, Identifier(USER, f"new{n}")), 10**6 + 10 + n) for n in range(5)]
    return sorted(more)[2], sorted(new)[2]
