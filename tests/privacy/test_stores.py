"""No table is forgotten: each is found by its columns, or named with the reason why it holds nothing personal."""

from sqlalchemy import Engine, inspect

from onevoice.delivery.facts import MESSAGE_EVENTS
from onevoice.engine.load import TABLES
from onevoice.events.models import quarantine
from onevoice.privacy import stores


def has_owner(columns: set[str]) -> bool:
    return bool(columns & {*stores.IDENTIFIER_COLUMNS, *stores.CUSTOMER_COLUMNS})


def test_every_warehouse_table_is_found_by_its_columns_or_named() -> None:
    owned = {facts.name for facts in TABLES if has_owner(set(facts.columns)) or facts.name in stores.THROUGH}
    impersonal = set(stores.WAREHOUSE_IMPERSONAL)

    assert owned & impersonal == set()
    assert {facts.name for facts in TABLES} == owned | impersonal
    assert MESSAGE_EVENTS.name in stores.THROUGH


def test_every_database_table_is_found_by_its_columns_or_named(db: Engine) -> None:
    columns = {
        name: {column["name"] for column in inspect(db).get_columns(name)} for name in inspect(db).get_table_names()
    }
    owned = {name for name, found in columns.items() if has_owner(found)} | {quarantine.name}
    impersonal = set(stores.DATABASE_IMPERSONAL)

    assert owned & impersonal <= {"privacy_request"}
    assert set(columns) == owned | impersonal
    with db.connect() as connection:
        assert {table.name for table in stores.personal_tables(connection)} == set(columns) - impersonal
