"""Which customers' rows were written since it was last asked: what of the things derived must be computed again.

The warehouse notes every row it appends or deletes, whoever asks for it, so no writer can forget to tell. Noting too
much costs time, never correctness: a transaction that is rolled back leaves its notes here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

Key = tuple[str, str]
"""A table, and the name its rows bear (of the event, the trait, the segment); an empty name where they bear none."""

OWNER, NAMES = "customer_id", ("name", "segment")


def noted_columns(columns: tuple[str, ...], order_by: tuple[str, ...]) -> list[str]:
    """What is noted of a table's row: whose it is, and the name it bears. Of a row that is no customer's, its key."""
    if OWNER not in columns:
        return ["identifier_id" if "identifier_id" in columns else order_by[0]]
    return [OWNER, *[name for name in NAMES if name in columns][:1]]


@dataclass
class Journal:
    """Notes by table and name. `owners` holds customers, or the keys of rows that are no customer's."""

    noted: dict[Key, list[pa.Array]] = field(default_factory=dict)
    ignored: set[str] = field(default_factory=set)

    def note(self, table: str, rows: pa.Table) -> None:
        """Notes rows of the columns `noted_columns`."""
        if rows.num_rows == 0 or table in self.ignored:
            return
        owner, *name = rows.column_names
        if not name:
            self._add((table, ""), rows[owner])
            return
        by_name = rows.group_by(name).aggregate([(owner, "distinct")])
        for value, owners in zip(by_name[name[0]].to_pylist(), by_name[f"{owner}_distinct"], strict=True):
            self._add((table, value), owners.values)

    def take(self) -> dict[Key, pa.Array]:
        """What was noted since the last call, each owner once."""
        taken, self.noted = self.noted, {}
        return {key: pa.chunked_array(parts).unique() for key, parts in taken.items()}

    @contextmanager
    def without(self, table: str) -> Iterator[None]:
        """Notes nothing of a table, while its writer takes care of all that its changes change."""
        self.ignored.add(table)
        try:
            yield
        finally:
            self.ignored.discard(table)

    def _add(self, key: Key, owners: pa.Array | pa.ChunkedArray) -> None:
        self.noted.setdefault(key, []).append(owners.unique())
