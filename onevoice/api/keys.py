"""Keys that open the API: 32 random bytes, shown once, kept as a hash. The first is made at the first start."""

import os
import secrets
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Connection, Engine, exists, func, select

from onevoice.api.models import api_key
from onevoice.kernel.settings import Settings


def create(connection: Connection, name: str) -> str:
    """Makes a key and returns it; it cannot be shown again."""
    key = f"ov_{secrets.token_urlsafe(32)}"
    connection.execute(api_key.insert().values(key_hash=_hash(key), name=name))
    return key


def is_known(connection: Connection, key: str) -> bool:
    """Whether the key opens the API."""
    return bool(connection.scalar(select(exists().where(api_key.c.key_hash == _hash(key)))))


def name_of(connection: Connection, key: str) -> str:
    """The name under which a key was made; empty where there is no such key."""
    return connection.scalar(select(api_key.c.name).where(api_key.c.key_hash == _hash(key))) or ""


def first(database: Engine, settings: Settings) -> tuple[Path, str | None]:
    """Makes the first key where there is none; returns the file that holds it (mode 600) and the key if it is new."""
    file = settings.data_dir / "api-key"
    with database.begin() as connection:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('onevoice.first_key'))")
        if connection.scalar(select(func.count()).select_from(api_key)):
            return file, None
        key = create(connection, "first")
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
            handle.write(key + "\n")
    return file, key


def _hash(key: str) -> bytes:
    return sha256(key.encode()).digest()
