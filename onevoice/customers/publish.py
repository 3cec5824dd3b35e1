"""Publishes the identifiers from the warehouse to the database, for look-ups and the worker's last check of consent.

The receiver keeps the watermark, in the transaction that writes the rows.
"""

from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert

from onevoice.customers.facts import IDENTIFIERS
from onevoice.customers.models import published
from onevoice.database import driver
from onevoice.warehouse import Warehouse

COLUMNS = ("identifier_id", "namespace", "value", "customer_id")


def publish(warehouse: Warehouse, database: Engine, revision: int) -> int:
    """Brings the database's `identifier` up to the warehouse's `revision`; returns the rows written."""
    with database.begin() as connection:
        position = connection.scalar(select(published.c.position).where(published.c.name == "identifier")) or 0
        if position >= revision:
            return 0
        identifiers = warehouse.table(IDENTIFIERS)
        rows = warehouse.read(identifiers.filter(identifiers.revision > position).select(*COLUMNS))
        if rows.num_rows:
            with driver(connection) as raw, raw.cursor() as cursor:
                cursor.execute("CREATE TEMP TABLE incoming (LIKE identifier) ON COMMIT DROP")
                with cursor.copy("COPY incoming FROM STDIN") as copy:
                    for row in zip(*(rows[column].to_pylist() for column in COLUMNS), strict=True):
                        copy.write_row(row)
                cursor.execute(
                    "INSERT INTO identifier SELECT * FROM incoming "
                    "ON CONFLICT (identifier_id) DO UPDATE SET customer_id = excluded.customer_id"
                )
        statement = insert(published).values(name="identifier", position=revision)
        connection.execute(
            statement.on_conflict_do_update(index_elements=["name"], set_={"position": statement.excluded.position})
        )
        return int(rows.num_rows)
