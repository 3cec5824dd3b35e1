"""Erasure: a customer's rows out of every table of every store, and a report that counts what is left: nothing.

The engine carries requests out, after it has loaded what came before them, in three steps of which each may be cut off
and done again: who it is and what there is (written down with the request), the warehouse, the database. With the last
the request's own identifiers go, tombstones stay, and the report is complete.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, Row, select

from onevoice.customers import identity, profiles
from onevoice.customers.facts import ADDRESSES, IDENTIFIERS, IDENTITY_LINKS
from onevoice.customers.identifiers import RULES, Rules
from onevoice.customers.models import identifier
from onevoice.kernel.errors import NotFound
from onevoice.privacy import stores, tombstones
from onevoice.privacy.models import privacy_request as table
from onevoice.privacy.stores import Person
from onevoice.warehouse import Facts, Warehouse, set_watermark, watermark

NOT_LOOKED_AT = (
    "reports and unfinished work files of imports (data/imports, or where the file lay)",
    "backups and copies of the data directory",
    "what has left already: messages at the providers, exports taken away",
    "space the stores have freed and not yet written over (PostgreSQL: until VACUUM, DuckDB: until a checkpoint)",
)


def request(connection: Connection, customer_id: int, by: str, note: str, now: datetime) -> UUID:
    """Asks for an erasure; the engine does it with its next step. Raises NotFound for a customer who is not known."""
    if (
        connection.scalar(select(identifier.c.identifier_id).where(identifier.c.customer_id == customer_id).limit(1))
        is None
    ):
        raise NotFound(f"There is no customer {customer_id}; search by an identifier")
    made = uuid4()
    connection.execute(
        table.insert().values(
            id=made,
            kind="erasure",
            state="pending",
            customer_id=customer_id,
            requested_by=by,
            note=note,
            requested_at=now,
        )
    )
    return made


def get(connection: Connection, request_id: UUID) -> dict[str, Any]:
    """A request with its state and report. Raises NotFound."""
    row = connection.execute(select(table).where(table.c.id == request_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no privacy request {request_id}")
    return _plain(row)


def listed(connection: Connection, limit: int = 100) -> list[dict[str, Any]]:
    """The newest requests first."""
    return [_plain(row) for row in connection.execute(select(table).order_by(table.c.requested_at.desc()).limit(limit))]


def carry_out(
    warehouse: Warehouse,
    database: Engine,
    tables: Sequence[Facts],
    projected: Sequence[Facts],
    secret: bytes,
    now: datetime,
    rules: Rules = RULES,
) -> int:
    """Does what is asked for and not done; returns how many requests were completed.

    `tables` are the warehouse's, `projected` those that follow identity, `rules` the identity's.
    """
    with database.connect() as connection:
        open_ones = connection.execute(
            select(table).where(table.c.kind == "erasure", table.c.state != "completed").order_by(table.c.requested_at)
        ).all()
    personal = [facts for facts in tables if stores.is_personal(facts)]
    for row in open_ones:
        person, found = _begun(warehouse, database, personal, row)
        with warehouse.transaction():
            around = _linked(warehouse, person)
            stores.remove(warehouse, personal, person)
            # A shared device may have fewer users now than its limit; and nobody's group is named by one who is gone.
            revision = watermark(warehouse, "revision")[0] + 1
            changed = identity.regroup(warehouse, around, revision, projected, rules)
            profiles.rebuild(warehouse, changed, secret)
            set_watermark(warehouse, "revision", revision, 0)
        _complete(warehouse, database, personal, row, person, found, secret, now)
    return len(open_ones)


def _begun(
    warehouse: Warehouse, database: Engine, personal: Sequence[Facts], row: Row[Any]
) -> tuple[Person, dict[str, dict[str, int]]]:
    """Who it is and what there is of them, written down once, so that a second try reports the same."""
    if row.state == "running":
        held = row.report["person"]
        return Person(tuple(row.identifier_ids), tuple(held["customers"]), tuple(held["texts"])), row.report["found"]
    person = _person(warehouse, row.customer_id)
    with database.begin() as connection:
        found = {
            "warehouse": {facts.name: warehouse.count(stores.rows_of(warehouse, facts, person)) for facts in personal},
            "database": stores.counts(connection, person),
        }
        begun = {"person": {"customers": person.customers, "texts": person.texts}, "found": found}
        connection.execute(
            table.update()
            .where(table.c.id == row.id)
            .values(state="running", identifier_ids=list(person.identifiers), report=begun)
        )
    return person, found


def _linked(warehouse: Warehouse, person: Person) -> list[int]:
    """Other people's identifiers to which the person's are linked, though a limit keeps them apart."""
    identifiers, links = warehouse.table(IDENTIFIERS), warehouse.table(IDENTITY_LINKS)
    mine = identifiers.identifier_id.isin(person.identifiers)
    clusters = identifiers.filter(mine).select("cluster_id").distinct()
    others = identifiers.filter(~mine).semi_join(clusters, "cluster_id").select("identifier_id")
    ends = links.filter(links.left_id.isin(person.identifiers)).select(identifier_id=links.right_id)
    starts = links.filter(links.right_id.isin(person.identifiers)).select(identifier_id=links.left_id)
    found = {row["identifier_id"] for row in warehouse.rows(others.union(ends, starts, distinct=True))}
    return sorted(found - set(person.identifiers))


def _counted(
    warehouse: Warehouse, connection: Connection, personal: Sequence[Facts], person: Person
) -> dict[str, dict[str, int]]:
    """Rows of the person per store and table."""
    return {
        "warehouse": {facts.name: warehouse.count(stores.rows_of(warehouse, facts, person)) for facts in personal},
        "database": stores.counts(connection, person),
    }


def _person(warehouse: Warehouse, customer_id: int) -> Person:
    """All identifiers of the customer who has this one among them, as the warehouse knows them now."""
    identifiers, addresses = warehouse.table(IDENTIFIERS), warehouse.table(ADDRESSES)
    now_called = identifiers.filter(
        (identifiers.identifier_id == customer_id) | (identifiers.customer_id == customer_id)
    ).select("customer_id")
    rows = warehouse.rows(identifiers.semi_join(now_called, "customer_id"))
    reached = warehouse.rows(addresses.semi_join(now_called, "customer_id").select("address"))
    customers = {row["customer_id"] for row in rows} | {customer_id}
    texts = {row["value"] for row in rows} | {row["address"] for row in reached}
    ids = {row["identifier_id"] for row in rows} | {customer_id}
    return Person(tuple(sorted(ids)), tuple(sorted(customers)), tuple(sorted(texts)))


def _complete(
    warehouse: Warehouse,
    database: Engine,
    personal: Sequence[Facts],
    row: Row[Any],
    person: Person,
    found: dict[str, dict[str, int]],
    secret: bytes,
    now: datetime,
) -> None:
    with database.begin() as connection:
        tombstones.lay(connection, secret, person.identifiers, row.requested_at)
        connection.exec_driver_sql("SET LOCAL onevoice.erasure = 'on'")  # opens the ledger, which else only grows
        for one in stores.personal_tables(connection):
            connection.execute(one.delete().where(stores.whose(connection, one, person)))
        left = {
            "warehouse": {facts.name: warehouse.count(stores.rows_of(warehouse, facts, person)) for facts in personal},
            "database": stores.counts(connection, person),
        }
        rows = [
            {"store": store, "table": name, "found": number, "left": left[store][name]}
            for store, counted in found.items()
            for name, number in sorted(counted.items())
        ]
        report: dict[str, Any] = {
            "tables": rows,
            "found": sum(one["found"] for one in rows),
            "left": sum(one["left"] for one in rows),
            "kept": {**stores.WAREHOUSE_IMPERSONAL, **stores.DATABASE_IMPERSONAL},
            "not_looked_at": NOT_LOOKED_AT,
        }
        done = table.update().where(table.c.id == row.id)
        connection.execute(
            done.values(state="completed", customer_id=None, identifier_ids=None, finished_at=now, report=report)
        )


def _plain(row: Row[Any]) -> dict[str, Any]:
    plain = {name: value for name, value in row._mapping.items() if name != "identifier_ids"}
    if row.state == "running":
        plain["report"] = None  # it holds who they are until it is complete
    return {**plain, "id": str(row.id), "customer_id": None if row.customer_id is None else str(row.customer_id)}
