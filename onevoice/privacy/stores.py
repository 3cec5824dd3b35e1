"""Where something personal is kept, in every store, and how the rows of a customer are found there.

A table is found by its columns: `identifier_id`, `customer_id`, and the pairs of links and suggestions. What has none
of them is named here, with the way to its rows or the reason why it holds nothing personal; a test sees to it that no
table is forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, MetaData, Table, false, func, or_, select

from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.events.models import quarantine
from onevoice.privacy import quarantined
from onevoice.warehouse import Facts, Warehouse

IDENTIFIER_COLUMNS = ("identifier_id", "left_id", "right_id", "other_id")
CUSTOMER_COLUMNS = ("customer_id", "left_customer_id", "right_customer_id")

THROUGH: dict[str, tuple[Facts, str]] = {
    # Warehouse tables whose rows are found by those of another that share a column.
    MESSAGE_EVENTS.name: (MESSAGES, "message_id"),
}

WAREHOUSE_IMPERSONAL = {
    "consent_expiries": "the shop's rules about a consent's age",
    "products": "the catalogue",
    "product_fields": "the catalogue",
    "watermarks": "how far readers have come",
    "segment_states": "when segments were computed",
    "like_habits": "rates of groups of people",
    "channel_worth": "prices by channel and country",
    "suppressions": "salted hashes, which must outlive the customer",
}

DATABASE_IMPERSONAL = {
    "alembic_version": "the schema's revision",
    "api_key": "hashes of the keys of those who work here",
    "backtest": "documents and counts; who is named as an example is in backtest_example",
    "breaker": "how providers do",
    "consent_policy": "definitions",
    "contact_policy": "definitions",
    "content_refusal": "messages' ids, by journey and step",
    "consent_text": "the wordings shown, the same for all",
    "delivery_limit": "the same, as people have changed it, and the bounds of breakers",
    "erased_identifier": "salted hashes, which keep a repetition from bringing the customer back",
    "handoff": "a watermark",
    "hold": "what people paused and cancelled, by journey, step, channel or a message's id",
    "import_job": "imports asked for; the bad rows it quotes go with the job when it is deleted",
    "import_run": "imports and how far they have come",
    "inbox": "facts in transit: loaded before an erasure begins, and what is older than it is dropped after",
    "journey": "definitions",
    "link": "addresses of pages",
    "plan_warning": "counts by event name",
    "privacy_request": "the requests themselves: of the erased no identifier is left in them",
    "published": "a watermark",
    "retention": "definitions",
    "retention_run": "counts",
    "seen_1": "hashes of message ids",
    "seen_2": "hashes of message ids",
    "seen_generation": "which of the two is in use",
    "segment": "definitions",
    "segment_list": "names of lists; who is on them is in segment_list_entry",
    "segment_version": "definitions",
    "soft_bounce": "salted hashes, with the messages' ids",
    "source": "sources and their keys",
    "suppression": "salted hashes, which must outlive the customer",
    "suppression_change": "the same, and when and why",
    "content_part": "brands and blocks, the same for all",
    "template": "contents, the same for all",
    "throttle": "how many messages a provider, sender or mail domain may still get",
    "test_recipient": "addresses of those who work here, for tests",
    "topic": "definitions",
    "tracking_plan": "definitions",
    "worker": "processes",
}


@dataclass(frozen=True)
class Person:
    """Who is looked for: all identifiers of a customer, the customers they make up, and what else names them."""

    identifiers: tuple[int, ...]
    customers: tuple[int, ...]
    texts: tuple[str, ...] = ()  # values of identifiers and addresses, as they stand in what is kept as it came


def is_personal(facts: Facts) -> bool:
    """Whether the warehouse table holds rows of customers."""
    return facts.name not in WAREHOUSE_IMPERSONAL


def rows_of(warehouse: Warehouse, facts: Facts, person: Person) -> ir.Table:
    """The person's rows in a warehouse table."""
    table = warehouse.table(facts)
    if facts.name in THROUGH:
        owner, column = THROUGH[facts.name]
        return table.semi_join(rows_of(warehouse, owner, person), column)
    tests = [
        table[column].isin(ids)
        for columns, ids in ((IDENTIFIER_COLUMNS, person.identifiers), (CUSTOMER_COLUMNS, person.customers))
        for column in columns
        if column in facts.columns and ids
    ]
    return table.filter(ibis.or_(*tests)) if tests else table.filter(ibis.literal(False))


def remove(warehouse: Warehouse, tables: Sequence[Facts], person: Person) -> None:
    """Removes the person's rows from the warehouse tables; to be called within a transaction."""
    # What is found by another table's rows goes before them.
    for facts in sorted(tables, key=lambda facts: facts.name not in THROUGH):
        if facts.name in THROUGH:
            column = THROUGH[facts.name][1]
            gone = warehouse.stage("gone", rows_of(warehouse, facts, person).select(column).distinct())
            warehouse.delete(facts, gone)
            continue
        for columns, ids in ((IDENTIFIER_COLUMNS, person.identifiers), (CUSTOMER_COLUMNS, person.customers)):
            for column in columns:
                if column in facts.columns and ids:
                    keys = pa.table({column: pa.array(ids, pa.int64())})
                    warehouse.delete(facts, warehouse.stage("gone", keys))
    warehouse.drop("gone")


def personal_tables(connection: Connection) -> list[Table]:
    """The database's tables that hold rows of customers: asked of the database itself, so that none is forgotten."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name not in DATABASE_IMPERSONAL]


def condition(table: Table, person: Person) -> ColumnElement[bool]:
    """What holds for the person's rows of a database table."""
    tests = [
        table.c[column].in_(ids)
        for columns, ids in ((IDENTIFIER_COLUMNS, person.identifiers), (CUSTOMER_COLUMNS, person.customers))
        for column in columns
        if column in table.c
    ]
    return or_(false(), *tests)


def whose(connection: Connection, table: Table, person: Person) -> ColumnElement[bool]:
    """The same, also for the quarantine, whose rows are what came: they are looked into one by one."""
    if table.name != quarantine.name:
        return condition(table, person)
    return table.c.id.in_(quarantined.of(connection, person.texts))


def counts(connection: Connection, person: Person) -> dict[str, int]:
    """How many rows of each of the database's tables are the person's."""
    return {
        table.name: connection.scalar(select(func.count()).select_from(table).where(whose(connection, table, person)))
        or 0
        for table in personal_tables(connection)
    }
