"""PostgreSQL: where it is (embedded unless a URL is set), how to reach it, and its migrations.

Tables are declared beside the domain they belong to (`models.py`) on the one `metadata` of this package.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Connection, Engine, MetaData, create_engine

from onevoice.database import embedded
from onevoice.kernel.errors import ConfigurationError
from onevoice.kernel.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def url(settings: Settings) -> str:
    """The `postgresql://` URL to use; starts the embedded server, or finds it running, where none is set."""
    if not settings.database_url:
        return embedded.url(settings.data_dir)
    if not settings.database_url.startswith(("postgresql://", "postgres://")):
        raise ConfigurationError("database_url must start with postgresql://; leave it empty for the embedded server")
    return settings.database_url


def engine(settings: Settings) -> Engine:
    """A pooled SQLAlchemy engine; its connections speak UTC."""
    address = url(settings).split("://", 1)[1]
    return create_engine(
        f"postgresql+psycopg://{address}", pool_size=5, max_overflow=20, connect_args={"options": _OPTIONS}
    )


_OPTIONS = "-c timezone=UTC -c jit=off"  # to compile a statement takes longer than any of ours runs


@contextmanager
def opened(settings: Settings) -> Iterator[Engine]:
    """An engine on the migrated database, for one command."""
    migrate(settings)
    pool = engine(settings)
    try:
        yield pool
    finally:
        pool.dispose()


@contextmanager
def driver(connection: Connection) -> Iterator[psycopg.Connection[Any]]:
    """The psycopg connection under an SQLAlchemy one, in the same transaction; for COPY."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    if not connection.in_transaction():
        connection.begin()  # so that SQLAlchemy's commit covers what is done below
    yield raw


async def connect(settings: Settings, *, autocommit: bool = False) -> psycopg.AsyncConnection[Any]:
    """An asynchronous psycopg connection in UTC, for the paths that are measured in thousands a second."""
    return await psycopg.AsyncConnection.connect(url(settings), autocommit=autocommit, options=_OPTIONS)


def migrate(settings: Settings) -> None:
    """Brings the schema to the newest revision; does nothing where it is there already."""
    from alembic import command  # only here: it takes longer to import than all the rest of this module

    target = engine(settings)
    with target.begin() as connection:
        # Two roles that start at once must not both migrate.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('onevoice.migrate'))")
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    target.dispose()


def pending_migration(connection: Connection) -> str | None:
    """The newest revision if the schema is not at it, else None."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    newest = ScriptDirectory.from_config(_alembic()).get_current_head()
    current = MigrationContext.configure(connection).get_current_revision()
    return None if newest == current else newest


def _alembic() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
