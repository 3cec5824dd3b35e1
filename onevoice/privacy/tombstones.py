"""Tombstones: salted hashes of erased identifiers, so that a repetition of old facts does not bring a customer back.

Whoever comes back after the erasure is a new customer: only what happened before it is dropped.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache
from hashlib import blake2b

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from onevoice.privacy.models import erased_identifier as table


def identifier_hash(secret: bytes, identifier_id: int) -> bytes:
    """16 bytes that stand for an identifier, salted with the installation's secret."""
    return blake2b(f"erased\x1f{identifier_id}".encode(), digest_size=16, key=secret).digest()


def lay(connection: Connection, secret: bytes, identifiers: Iterable[int], at: datetime) -> None:
    """Remembers that the identifiers were erased at an instant; a later one counts."""
    rows = [{"identifier_hash": identifier_hash(secret, one), "erased_at": at} for one in identifiers]
    if rows:
        statement = insert(table)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["identifier_hash"], set_={"erased_at": statement.excluded.erased_at}
            ),
            rows,
        )


def test(connection: Connection, secret: bytes) -> Callable[[int, datetime], bool] | None:
    """Tells whether an identifier was erased at or after an instant; None where nobody ever was."""
    erased = {bytes(row.identifier_hash): row.erased_at for row in connection.execute(select(table))}
    if not erased:
        return None

    @cache
    def when(identifier_id: int) -> datetime | None:
        return erased.get(identifier_hash(secret, identifier_id))

    def is_erased(identifier_id: int, at: datetime) -> bool:
        gone_at = when(identifier_id)
        return gone_at is not None and at <= gone_at

    return is_erased
