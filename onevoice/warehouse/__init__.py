"""The warehouse: columnar tables reached through Ibis, on DuckDB (default) or chDB, ClickHouse's engine in the process.

Tables are declared beside their domain (`facts.py`). Timestamps are naive UTC, money is decimal(18, 4), ids are
int64 (identifiers, customers) or text (facts). One process owns a DuckDB file; the engine is that process.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
import sqlglot

from onevoice.kernel.errors import ConfigurationError
from onevoice.warehouse.journal import Journal, noted_columns

MONEY = "decimal(18, 4)"

DATA_ERRORS = (duckdb.DataError, duckdb.InvalidInputException)
"""What the store raises for values it cannot take."""

INTERRUPTED = duckdb.InterruptException

QUERY_ERRORS = (*DATA_ERRORS, duckdb.ProgrammingError, duckdb.NotSupportedError, duckdb.OutOfMemoryException)
"""What the store raises where one query is to blame, so that others may go on."""

TOGETHER = 50
"""Queries that are gathered by one statement: each of them holds memory until all of it is done."""

REMEMBERED = 2_000
"""Compiled expressions that are remembered."""

_COMPILED: dict[tuple[str, ops.Node], str] = {}
"""By store and expression, for all connections: readers and scratch warehouses ask what others have asked."""


@dataclass(frozen=True)
class Facts:
    """One warehouse table: its name, its columns (Ibis types; `!` marks a column never null), its sort key."""

    name: str
    columns: Mapping[str, str]
    order_by: tuple[str, ...]

    @property
    def schema(self) -> ibis.Schema:
        return ibis.schema(dict(self.columns))

    @property
    def noted(self) -> list[str]:
        """The columns of a written row that a journal notes."""
        return noted_columns(tuple(self.columns), self.order_by)

    def arrow(self, rows: Mapping[str, Sequence[object]]) -> pa.Table:
        """Columns of Python values as an Arrow table of this table's types."""
        schema = self.schema.to_pyarrow()
        return pa.table({field.name: pa.array(rows[field.name], field.type) for field in schema}, schema=schema)


Build = TypeVar("Build", bound=Callable[..., ir.Table])


def remembered(build: Build) -> Build:
    """Lets a function of tables build its expression once for the same tables: to build costs more than to run."""
    built: dict[tuple[ops.Node, ...], ir.Table] = {}

    @wraps(build)
    def found(*tables: ir.Table) -> ir.Table:
        key = tuple(table.op() for table in tables)
        expression = built.get(key)
        if expression is None:
            if len(built) >= REMEMBERED:
                built.clear()
            expression = built[key] = build(*tables)
        return expression

    return cast(Build, found)


class Warehouse:
    """One connection to the warehouse. Not for use by two threads at once: take a `reader()` for the other.

    Ibis is the language and the compiler; the SQL it gives is run by the store's own client. Small data comes in by
    `stage`, never by `ibis.memtable`, which not every store takes.
    """

    def __init__(self, backend: ibis.BaseBackend) -> None:
        self.backend = backend
        self.is_duckdb = backend.name == "duckdb"
        self.journal: Journal | None = None  # notes whose rows are written, where somebody asks for it

    # -- reading

    def table(self, facts: Facts) -> ir.Table:
        """The table as an Ibis expression."""
        return _expression(facts.schema, facts.name)

    def compiled(self, expression: ir.Expr) -> str:
        """The expression as SQL of this store. Compiling costs milliseconds, so what was compiled is remembered."""
        key = self.backend.name, expression.op()
        found = _COMPILED.get(key)
        if found is None:
            if len(_COMPILED) >= REMEMBERED:
                _COMPILED.clear()  # expressions that hold an instant do not come again
            found = _COMPILED[key] = str(self.backend.compile(expression))
        return found

    def read(self, expression: ir.Table) -> pa.Table:
        """The expression's rows as an Arrow table."""
        if self.is_duckdb:
            return self.backend.con.sql(self.compiled(expression)).to_arrow_table()
        return self.backend.to_pyarrow(expression)

    def batches(self, expression: ir.Table, size: int) -> Iterator[pa.RecordBatch]:
        """The expression's rows piece by piece, as the store finds them: memory does not grow with their number."""
        if self.is_duckdb:
            yield from self.backend.con.sql(self.compiled(expression)).to_arrow_reader(size)
        else:
            yield from self.backend.to_pyarrow_batches(expression, chunk_size=size)

    def rows(self, expression: ir.Table) -> list[dict[str, Any]]:
        """The expression's rows as dictionaries; for small results."""
        return self.read(expression).to_pylist()  # type: ignore[no-any-return]  # pyarrow is untyped

    def count(self, expression: ir.Table) -> int:
        """How many rows the expression has."""
        return int(self.rows(expression.aggregate(n=expression.count()))[0]["n"])

    def json_value(self, document: ir.StringValue, name: str) -> ir.StringValue:
        """A member of a JSON object as text: strings as they are, numbers as written, true and false."""
        path = f'$."{name}"'
        if self.is_duckdb:
            return _duckdb_json_value(document, path)
        return _clickhouse_json_value(document, path)

    def json_text(self, document: ir.StringValue, name: str) -> ir.StringValue:
        """A member of a JSON object as text, lists and objects as JSON; null where it is absent, null or empty."""
        if self.is_duckdb:
            return self.json_value(document, name).nullif("")
        raw = _clickhouse_json_raw(document, name)
        # JSON_VALUE has nothing to say of lists and objects.
        value = ibis.ifelse(raw.startswith("[") | raw.startswith("{"), raw, self.json_value(document, name))
        return ibis.ifelse((raw == "null") | (value == ""), ibis.null("string"), value)

    def json_string(self, text: ir.StringValue) -> ir.StringValue:
        """A text as JSON has it, with its quotes; `null` for null."""
        written = _duckdb_to_json(text) if self.is_duckdb else _clickhouse_to_json(text)
        return ibis.ifelse(text.isnull(), "null", written)

    def json_object(self, **members: ir.StringValue | str) -> ir.StringValue:
        """A JSON object of members that are JSON already."""
        pieces = [ibis.literal(f'"{name}":') + member for name, member in members.items()]
        return ibis.literal("{") + ibis.literal(",").join(pieces) + "}"

    def ranked_values(self, values: ir.FloatingColumn, percents: Sequence[float], from_top: bool) -> ir.ArrayScalar:
        """For each percent the value of the last within it, a column's values in order: the ceil(n * percent/100)-th.

        Percentiles that are values of the column, exact on every store.
        """
        shares = [Decimal(str(percent)) / 100 for percent in percents]
        if self.is_duckdb:
            return _duckdb_quantiles(values, ibis.array([_share(-share if from_top else share) for share in shares]))
        ordered = values.collect().sort()
        n = ordered.length()
        places = [(n.cast("decimal(18, 0)") * _share(share)).ceil().cast("int64") for share in shares]
        return ibis.array([ordered[n - place if from_top else place - 1] for place in places])

    def digest(self, text: ir.StringValue) -> ir.StringValue:
        """MD5 of a text as 32 hexadecimal digits: the same on every store, and so the ids made of it."""
        if self.is_duckdb:
            return text.hexdigest("md5")
        return _clickhouse_hex(_clickhouse_md5(text)).lower()

    def uuid(self, text: ir.StringValue) -> ir.StringValue:
        """The digest of a text with the dashes of a UUID."""
        digest = self.digest(text)
        if self.is_duckdb:
            return digest.cast("uuid").cast("string")  # five pieces of the digest would be five digests
        pieces = [digest.substr(start, length) for start, length in ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))]
        return ibis.literal("-").join(pieces)

    def reader(self) -> "Warehouse":
        """A second view of the same data for another thread; sees what has been committed."""
        if not self.is_duckdb:
            return self
        return Warehouse(ibis.duckdb.from_connection(self.backend.con.cursor()))

    # -- writing

    def execute(self, sql: str) -> None:
        """Runs a statement of this store's own SQL."""
        if self.is_duckdb:
            self.backend.con.execute(sql)
        else:
            self.backend.raw_sql(sql)

    def create(self, tables: Sequence[Facts]) -> None:
        """Creates what is missing and adds columns that are new; nothing is dropped."""
        held = self._held_columns()
        for facts in tables:
            columns = {name: self._native(kind) for name, kind in facts.columns.items()}
            definition = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            engine = "" if self.is_duckdb else f" ENGINE = MergeTree ORDER BY ({', '.join(facts.order_by)})"
            if facts.name not in held:
                self.execute(f"CREATE TABLE IF NOT EXISTS {facts.name} ({definition}){engine}")
                continue
            for name, kind in columns.items():
                if name not in held[facts.name]:  # null in the rows that are there
                    nullable = kind.removesuffix(" NOT NULL")
                    self.execute(f"ALTER TABLE {facts.name} ADD COLUMN IF NOT EXISTS {name} {nullable}")

    def _held_columns(self) -> dict[str, set[str]]:
        """The columns of each table that is there: asked at once, since a statement a column takes seconds on chDB."""
        if self.is_duckdb:
            known = "duckdb_columns() WHERE database_name = current_database()"
            rows = self.backend.con.sql(f"SELECT table_name, column_name FROM {known}").fetchall()
        else:
            rows = self.backend.con.query(
                "SELECT table, name FROM system.columns WHERE database = currentDatabase()"
            ).result_rows
        held: dict[str, set[str]] = {}
        for table, name in rows:
            held.setdefault(table, set()).add(name)
        return held

    def append(self, facts: Facts, rows: pa.Table | ir.Table) -> None:
        """Adds rows; columns are matched by name."""
        if isinstance(rows, pa.Table):
            if rows.num_rows == 0:
                return
            if not self.is_duckdb:
                self.backend.con.insert_arrow(facts.name, rows.select(list(facts.columns)))
                if self.journal is not None:
                    self.journal.note(facts.name, rows.select(facts.noted))
                return
            self.backend.con.register("_incoming", rows)
            source = "SELECT * FROM _incoming"
        else:
            has_all = rows.columns == tuple(facts.columns)
            source = self.compiled(rows if has_all else rows.select(*facts.columns))
        names = ", ".join(facts.columns)
        self._write(facts, f"INSERT INTO {facts.name} ({names}) SELECT {names} FROM ({source})", source)
        if isinstance(rows, pa.Table):
            self.backend.con.unregister("_incoming")

    def replace(self, facts: Facts, keys: Sequence[str], rows: pa.Table | ir.Table) -> None:
        """Removes the rows that share `keys` with the new ones, then adds the new ones. Twice is once."""
        # A table by name is staged already; anything else may read what is about to be deleted.
        is_staged = isinstance(rows, ir.Table) and isinstance(rows.op(), ops.UnboundTable)
        staged = rows if is_staged else self.stage(f"new_{facts.name}", rows)
        self.delete(facts, staged.select(*keys))
        self.append(facts, staged)

    def delete(self, facts: Facts, keys: ir.Table) -> None:
        """Removes the rows whose key columns (those of `keys`) equal a row of `keys`."""
        columns = ", ".join(keys.columns)
        row = f"({columns})" if len(keys.columns) > 1 else columns
        setting = "" if self.is_duckdb else " SETTINGS lightweight_deletes_sync = 2"
        these = f"FROM {facts.name} WHERE {row} IN ({self.compiled(keys)})"
        self._write(facts, f"DELETE {these}{setting}", f"SELECT * {these}")

    def _write(self, facts: Facts, statement: str, rows: str) -> None:
        """Runs a statement that writes `rows` (a query for them, asked where the store cannot return what it wrote)."""
        if self.journal is None:
            self.execute(statement)
            return
        noted = ", ".join(facts.noted)
        if self.is_duckdb:
            self.journal.note(facts.name, self.backend.con.sql(f"{statement} RETURNING {noted}").to_arrow_table())
            return
        found = self.backend.con.query_arrow(f"SELECT DISTINCT {noted} FROM ({rows})", use_strings=True)
        self.execute(statement)
        self.journal.note(facts.name, found)

    def stage(self, name: str, rows: pa.Table | ir.Table) -> ir.Table:
        """Puts rows into a scratch table `name` (replaced if there) and returns it as an expression."""
        if isinstance(rows, pa.Table):
            schema = ibis.Schema.from_pyarrow(rows.schema)
            if self.is_duckdb:
                self.backend.con.register("_incoming", rows)
                self.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM _incoming")
                self.backend.con.unregister("_incoming")
            else:
                columns = ", ".join(f"{column} {self._native(kind)}" for column, kind in schema.items())
                self.drop(name)
                self.execute(f"CREATE TABLE {name} ({columns}) ENGINE = Memory")
                if rows.num_rows:
                    self.backend.con.insert_arrow(name, rows)
        else:
            return self.collect(name, self.compiled(rows), rows.schema())
        return _expression(schema, name)

    def gather(self, name: str, key: str, column: str, queries: Mapping[str, str]) -> ir.Table:
        """Runs compiled queries of one int64 `column` into a scratch table, each beside its `key`; many at once."""
        parts = [f"SELECT {self.quoted(text)} AS {key}, {column} FROM ({sql})" for text, sql in queries.items()]
        none = f"SELECT '' AS {key}, CAST(0 AS {self._native('int64')}) AS {column} WHERE 1 = 0"
        source, *others = [
            " UNION ALL ".join(parts[first : first + TOGETHER]) for first in range(0, len(parts), TOGETHER)
        ] or [none]
        found = self.collect(name, source, {key: "string", column: "int64"})
        for source in others:
            self.execute(f"INSERT INTO {name} {source}")
        return found

    def collect(self, name: str, query: str, columns: Mapping[str, str | dt.DataType]) -> ir.Table:
        """Puts what a compiled query of these columns finds into a scratch table `name` (replaced if there)."""
        if self.is_duckdb:
            self.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}")
        else:
            self.drop(name)
            self.execute(f"CREATE TABLE {name} ENGINE = Memory AS {query}")
        return _expression(ibis.schema(dict(columns)), name)

    def add(self, name: str, key: str, text: str, query: str) -> None:
        """Adds what a compiled query finds to a staged table whose first column is `key`, with the text as its key."""
        self.execute(f"INSERT INTO {name} SELECT {self.quoted(text)} AS {key}, * FROM ({query})")

    def quoted(self, text: str) -> str:
        """A text as it stands in a query."""
        return str(sqlglot.expressions.Literal.string(text).sql(dialect=self.backend.name))

    def drop(self, name: str) -> None:
        """Drops a scratch table."""
        self.execute(f"DROP TABLE IF EXISTS {name}")

    def rename(self, table: ir.Table, name: str) -> ir.Table:
        """Gives a scratch table another name (what had it is dropped): cheaper than to copy it."""
        self.drop(name)
        held = table.get_name()
        self.execute(f"ALTER TABLE {held} RENAME TO {name}" if self.is_duckdb else f"RENAME TABLE {held} TO {name}")
        return _expression(table.schema(), name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on DuckDB. chDB has no transactions: there a hop is only idempotent, not atomic."""
        if self.is_duckdb:
            self.execute("BEGIN")
        try:
            yield
        except BaseException:
            if self.is_duckdb:
                self.execute("ROLLBACK")
            raise
        if self.is_duckdb:
            self.execute("COMMIT")

    def interrupt(self) -> None:
        """Ends the query that another thread runs on this connection, which raises `INTERRUPTED` there."""
        if self.is_duckdb:
            self.backend.con.interrupt()

    def close(self) -> None:
        """Closes the connection; a DuckDB file is then free for another process."""
        self.backend.con.close()

    def _native(self, kind: str | dt.DataType) -> str:
        """A column's type in this store's own SQL."""
        kind = ibis.dtype(kind)
        name = self.backend.compiler.type_mapper.to_string(kind)
        return f"{name} NOT NULL" if self.is_duckdb and not kind.nullable else str(name)


def _share(share: Decimal) -> ir.DecimalScalar:
    return ibis.literal(share, dt.Decimal(18, 6))


# Declarations of the stores' own functions, which Ibis has no word for.
@ibis.udf.scalar.builtin(name="MD5")
def _clickhouse_md5(text: str) -> bytes: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin(name="hex")
def _clickhouse_hex(data: bytes) -> str: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin(name="to_json")
def _duckdb_to_json(text: str) -> str: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin(name="toJSONString")
def _clickhouse_to_json(text: str) -> str: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin(name="json_extract_string")
def _duckdb_json_value(document: str, path: str) -> str: ...  # type: ignore[empty-body]


@ibis.udf.agg.builtin(name="quantile_disc", signature=((dt.float64, dt.Array(dt.Decimal(18, 6))), dt.Array(dt.float64)))
def _duckdb_quantiles(values, shares): ...  # type: ignore[no-untyped-def]


@ibis.udf.scalar.builtin(name="JSONExtractRaw")
def _clickhouse_json_raw(document: str, member: str) -> str: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin(name="JSON_VALUE")
def _clickhouse_json_value(document: str, path: str) -> str: ...  # type: ignore[empty-body]


def _expression(schema: ibis.Schema, name: str) -> ir.Table:
    """A table by name. Columns count as nullable, so that stored and staged rows have one type and can be united."""
    return ibis.table({column: kind(nullable=True) for column, kind in schema.items()}, name=name)


def connect(url: str, memory_mb: int | None = None) -> Warehouse:
    """Opens `duckdb://PATH` (empty path: in memory) or `chdb://PATH`.

    What needs more than `memory_mb` is worked on in a directory beside DuckDB's file; chDB does not know the limit.

    Raises ConfigurationError for any other URL, and where another process holds the DuckDB file.
    """
    scheme, _, path = url.partition("://")
    if scheme == "duckdb":
        if path:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            backend = ibis.duckdb.connect(path or ":memory:")
        except Exception as error:
            if "lock" in str(error):
                raise ConfigurationError(f"Another process holds {path}; stop the running engine first") from error
            raise
        # Rows have no order of their own here; whoever needs one asks for it. Writing is faster so.
        backend.con.execute("SET preserve_insertion_order = false")
        if memory_mb is not None:
            backend.con.execute(f"SET memory_limit = '{memory_mb}MB'")
        return Warehouse(backend)
    if scheme == "chdb":
        # As standard SQL has it: what a left join or an aggregate does not find is null, not zero.
        nulls = {"join_use_nulls": 1, "aggregate_functions_null_for_empty": 1}
        return Warehouse(ibis.clickhouse.connect(interface="chdb", path=path or ":memory:", settings=nulls))
    raise ConfigurationError(f"warehouse_url is {url!r}; use duckdb://PATH or chdb://PATH")


WATERMARKS = Facts("watermarks", {"name": "!string", "transaction": "!int64", "sequence": "!int64"}, ("name",))
"""How far a reader of another store has come; written in the transaction that writes the data."""


def watermark(warehouse: Warehouse, name: str) -> tuple[int, int]:
    """(transaction, sequence) up to which `name` has been read; (0, 0) at first."""
    marks = warehouse.table(WATERMARKS)
    found = warehouse.rows(marks.filter(marks.name == name))
    return (found[0]["transaction"], found[0]["sequence"]) if found else (0, 0)


def set_watermark(warehouse: Warehouse, name: str, transaction: int, sequence: int) -> None:
    """Writes the watermark; call it within the data's transaction."""
    rows: dict[str, list[object]] = {"name": [name], "transaction": [transaction], "sequence": [sequence]}
    warehouse.replace(WATERMARKS, ["name"], WATERMARKS.arrow(rows))
