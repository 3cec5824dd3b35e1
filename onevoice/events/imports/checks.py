"""Which rows of a file can be taken: each value cast to its field's type by DuckDB, each fault named with line, column
and value. What is checked is what `tracking` checks of a call: nothing may get into the inbox that the load could not
take.

Leaves in the store the table `checked`, the view `rows` (those that can be taken, with their `PART`) and the table
`bad` (line, column, value, reason; every bad row once).
"""

from dataclasses import dataclass
from datetime import datetime

import duckdb

from onevoice.customers.identifiers import BLOCKED
from onevoice.events.imports.fields import AMOUNT, FIELDS, MOMENT, NAMES, NOUNS, NUMBER, TEXT, Field, named_by
from onevoice.events.imports.files import LINE, SHORTENED, Rows, Tell, literal, quoted, watched
from onevoice.events.imports.mapping import Mapping
from onevoice.events.tracking import AHEAD, EARLIEST, MAX_AMOUNT

PART = '"#part"'
"""The part of the file a row is imported with. It depends on the file alone, so that a part is the same every time."""

ROWS_IN_A_PART = 20_000
LINES_IN_A_PART = 100_000  # of orders, whose lines are put together

WHOLE = {"orders": "order_id"}
"""Kinds of which several rows make one entry, and the field that says which."""

SPACES = "".join(character for character in map(chr, range(0x3001)) if character.isspace())
"""What the load strips from identifiers (`str.strip`)."""


@dataclass(frozen=True)
class Checked:
    """What the checks found."""

    rows: int
    bad_rows: int
    parts: int


def check(
    store: duckdb.DuckDBPyConnection, kind: str, mapping: Mapping, rows: Rows, now: datetime, tell: Tell
) -> Checked:
    """Sorts the rows of `raw` and `unreadable`. `now` bounds how far ahead a time may lie."""
    store.execute(f"SET TimeZone = {literal(mapping.time_zone)}")
    columns = mapping.columns
    readable = count(store)
    whole = WHOLE.get(kind)
    parts = readable // (LINES_IN_A_PART if whole else ROWS_IN_A_PART) + 1
    part = f"(md5_number_lower({key(whole)}) % {parts})::INTEGER" if whole else f"(({LINE} - 1) // {ROWS_IN_A_PART})"
    casts, faults = [], []
    for name, column in columns.items():
        one, value, text = FIELDS[kind][name], key(name), rows.text(column)
        casts.append(f"{_cast(name, one, text, mapping)} AS {value}")
        if one.required or one.kind != TEXT or one.choices:
            blank = f"WHEN trim(coalesce({text}, '')) = '' THEN " + ("'missing'" if one.required else "NULL")
            reason = literal(f"not one of {', '.join(one.choices)}" if one.choices else f"not {NOUNS[one.kind]}")
            faults.append((column, text, f"CASE WHEN {_fits(one, value, now)} THEN NULL {blank} ELSE {reason} END"))
    if named := named_by(kind, columns):
        said = f"concat_ws(', ', {', '.join(rows.text(columns[name]) for name in named)})"
        values = ", ".join(map(key, named))
        faults.append(("identifier", said, f"CASE WHEN coalesce({values}) IS NULL THEN 'no identifier' END"))
    if whole:
        column = columns.get("revenue", columns.get("price", ""))
        no_amount = f"CASE WHEN {amount(columns)} IS NULL THEN 'no revenue, or over a trillion' END"
        faults.append((column, rows.text(column), no_amount))
    checks = ", ".join(f"{check} AS {quoted(f'#fault {n}')}" for n, (_, _, check) in enumerate(faults))
    watched(
        store,
        f"CREATE TABLE checked AS SELECT *, {part} AS {PART}, {checks} FROM (SELECT *, {', '.join(casts)} FROM raw)",
        tell,
    )
    wrong = [quoted(f"#fault {n}") for n in range(len(faults))]
    which = " ".join(f"WHEN {fault} IS NOT NULL THEN {n}" for n, fault in enumerate(wrong))
    where = " ".join(f"WHEN {n} THEN {literal(column)}" for n, (column, _, _) in enumerate(faults))
    value = " ".join(f"WHEN {n} THEN {text}" for n, (_, text, _) in enumerate(faults))
    which_one, why = quoted("#which"), quoted("#why")  # no file has such columns
    any_wrong = f"coalesce({', '.join(wrong)})"
    store.execute(
        f"CREATE TABLE bad AS SELECT line, '' AS \"column\", value, reason FROM unreadable UNION ALL "
        f"SELECT {LINE}, CASE {which_one} {where} END, left(coalesce(CASE {which_one} {value} END, ''), {SHORTENED}), "
        f"{why} FROM (SELECT *, CASE {which} END AS {which_one}, {any_wrong} AS {why} FROM checked "
        f"WHERE {any_wrong} IS NOT NULL)"
    )
    store.execute("DROP TABLE raw")
    taken = f"SELECT * FROM checked WHERE {any_wrong} IS NULL"
    if whole:
        taken = _whole(store, whole, columns, taken, any_wrong)
    store.execute(f"CREATE VIEW rows AS {taken}")
    unreadable = _one(store, "SELECT count(*) FROM unreadable")
    if not whole:
        parts = _one(store, f"SELECT coalesce(max({PART}) + 1, 0) FROM checked")
    return Checked(readable + unreadable, _one(store, "SELECT count(*) FROM bad"), parts)


def _whole(store: duckdb.DuckDBPyConnection, name: str, columns: dict[str, str], taken: str, any_wrong: str) -> str:
    """Half an order is worse than none: its revenue would be wrong. SQL for the rows that are left."""
    store.execute(
        f"CREATE TABLE halves AS SELECT DISTINCT {key(name)} AS id, "
        f"'another line of the same {name.removesuffix('_id')} cannot be taken' AS reason FROM checked "
        f"WHERE {any_wrong} IS NOT NULL AND {key(name)} IS NOT NULL"
    )
    size = f"sum(abs({amount(columns)})) + sum(abs({field(columns, 'discount', '0')}))::DOUBLE"
    store.execute(
        f"INSERT INTO halves SELECT {key(name)}, 'the lines of the {name.removesuffix('_id')} sum to over a trillion' "
        f"FROM ({taken}) WHERE {key(name)} NOT IN (SELECT id FROM halves) "
        f"GROUP BY 1 HAVING {size} >= {MAX_AMOUNT:.0f}"
    )
    store.execute(
        f"INSERT INTO bad SELECT {LINE}, '', '', reason FROM ({taken}) t JOIN halves h ON t.{key(name)} = h.id"
    )
    return f"{taken} AND {key(name)} NOT IN (SELECT id FROM halves)"


def key(name: str | None) -> str:
    """The column of a field's value."""
    return quoted(f"#{name}")


def field(columns: dict[str, str], name: str, otherwise: str = "NULL") -> str:
    """SQL for a field's value, or what counts where the file has no such column or it is empty."""
    return f"coalesce({key(name)}, {otherwise})" if name in columns else otherwise


def amount(columns: dict[str, str]) -> str:
    """SQL for a line's revenue; NULL where there is neither revenue nor price, or the product is no amount."""
    price = f"{field(columns, 'price')}::DOUBLE * {field(columns, 'quantity', '1.0')}"
    bounded = f"CASE WHEN abs({price}) < {MAX_AMOUNT:.0f} THEN round({price}, 4) END"
    return f"coalesce({field(columns, 'revenue')}::DOUBLE, {bounded})"


def instant(at: datetime) -> str:
    """A moment as SQL."""
    return f"TIMESTAMPTZ '{at.isoformat()}'"


def _cast(name: str, one: Field, text: str, mapping: Mapping) -> str:
    if one.kind in (NUMBER, AMOUNT):
        point = f"replace(replace({text}, '.', ''), ',', '.')"
        return f"TRY_CAST({point if mapping.decimal == ',' else text} AS {one.kind})"
    if one.kind == MOMENT:
        if not mapping.date_format:
            return f"TRY_CAST({text} AS TIMESTAMPTZ)"
        parsed = f"try_strptime(trim({text}), {literal(mapping.date_format)})::TIMESTAMPTZ"
        return f"coalesce({parsed}, TRY_CAST({text} AS TIMESTAMPTZ))"
    edge = literal(f"^[{SPACES}]|[{SPACES}]$")  # asked first, because to trim so many characters is slow
    trimmed = (
        f"nullif(CASE WHEN regexp_matches({text}, {edge}) THEN trim({text}, {literal(SPACES)}) ELSE {text} END, '')"
    )
    if one.choices:
        word = rf"replace(replace(lower({trimmed}), ' ', '_'), '-', '_')"
        known = {said: ours for ours, others in one.choices.items() for said in (ours, *others.split())}
        when = " ".join(f"WHEN {literal(said)} THEN {literal(ours)}" for said, ours in known.items())
        return f"CASE {word} {when} END"
    if name in NAMES:  # what stands for everybody identifies nobody
        return f"CASE WHEN NOT regexp_matches({trimmed}, {literal(BLOCKED.pattern)}, 'i') THEN {trimmed} END"
    return trimmed


def _fits(one: Field, value: str, now: datetime) -> str:
    """SQL for whether there is a value, and one that the load can hold."""
    if one.kind == TEXT:
        return f"{value} IS NOT NULL"
    if one.kind == MOMENT:
        return f"{value} BETWEEN {instant(EARLIEST)} AND {instant(now + AHEAD)}"
    return f"abs({value}) < {MAX_AMOUNT:.0f}"  # not true of NaN and infinity: they are the greatest


def _one(store: duckdb.DuckDBPyConnection, query: str) -> int:
    found = store.execute(query).fetchone()
    return int(found[0] or 0) if found else 0


def count(store: duckdb.DuckDBPyConnection) -> int:
    """Rows that could be read."""
    return _one(store, "SELECT count(*) FROM raw")
