"""The schema that the migrations make is the one the code declares."""

import importlib
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine

import onevoice
from onevoice import database


def test_migrated_schema_equals_the_declared_tables(db: Engine) -> None:
    root = Path(onevoice.__file__).parent
    for file in [*root.glob("*/models.py"), root / "database" / "inbox.py"]:
        importlib.import_module(".".join(("onevoice", *file.relative_to(root).with_suffix("").parts)))
    with db.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), database.metadata) == []
        assert database.pending_migration(connection) is None
