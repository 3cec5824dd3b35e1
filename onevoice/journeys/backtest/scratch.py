"""A warehouse that sees a live one as it was at an instant, and writes to itself alone.

It lives in memory beside the live tables, on a connection of its own. Under each table's name stands a view: what the
live table held at the instant, and what was written here (`own_NAME`). So the tick, the segments and the policy run as
they are. DuckDB itself refuses a transaction that writes to both.

What has a time is cut at it. What is a projection over facts that are kept is made anew from those (rewinding.py). What
has no time is as it is today: the catalogue, lists, rules about a consent's age, and who is one customer with whom.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import uuid4

import ibis.expr.types as ir
import pyarrow as pa

from onevoice.kernel.clock import naive
from onevoice.kernel.errors import InvalidInput
from onevoice.warehouse import Facts, Warehouse

Known = Literal["then", "today"]
"""How people are known: as the facts told at the instant, or as today (for a shop that has just imported them)."""

AT = "getvariable('seen_at')"
"""The instant, as the views have it; it is folded into each query as a constant."""

AS_TODAY = frozenset(
    (
        *("products", "product_fields", "list_entries", "consent_expiries"),
        *("identity_links", "identity_decisions", "identity_warnings"),
    )
)
"""Tables that cannot be rewound, or need not be."""

OWN = frozenset(
    (
        *("segment_members", "segment_states", "enrolments", "decisions", "watermarks"),
        *("order_events", "order_event_lines", "channel_habits", "like_habits", "hour_habits", "channel_worth"),
        *("passages", "effects"),
    )
)
"""Tables of which only what is written here is seen; so is any other of which nothing is said."""

CUT = {"events": "occurred_at", "identifiers": "first_seen_at", "suppressions": "suppressed_at"}
"""Tables whose rows are seen from a time on."""

PEOPLE = frozenset(("identifiers", "suppressions", "traits", "profiles", "addresses", "consents"))
"""What says who somebody is: with people as known today, these are as they are today."""

_OF_ORDERS = {
    # table: (its time, the column with the order's id, which rows are the order's)
    "orders": ("ordered_at", "order_id", "true"),
    "order_lines": ("ordered_at", "order_id", "true"),
    "refunds": ("refunded_at", "order_id", "true"),
    "coupon_events": ("occurred_at", "order_id", "action = 'redeemed'"),
}

_HEARD = ("unsubscribed", "clicked", "opened", "failed", "delivered", "accepted")
"""What may be heard of a message and has a column for its time, the highest first."""


@dataclass(frozen=True)
class Window:
    """What is looked at: from an instant on, to another, and how people are known."""

    start: datetime
    end: datetime
    known: Known = "then"


class Scratch(Warehouse):
    """See above. To be closed: what it wrote is then gone."""

    def __init__(
        self,
        live: Warehouse,
        tables: Sequence[Facts],
        window: Window,
        journey: str,
        segments: Collection[str],
    ) -> None:
        """`journey` and `segments` are played here: what the live warehouse has of them is not seen."""
        if not live.is_duckdb:
            raise InvalidInput("A back-test needs a warehouse on DuckDB; this one is on another store")
        super().__init__(live.reader().backend)
        self.window = window
        self.plain = {f"own_{facts.name}": facts for facts in tables}
        self.own = {facts.name: replace(facts, name=name) for name, facts in self.plain.items()}
        self._live = str(self.backend.con.sql("SELECT current_database()").fetchall()[0][0])
        self._name = f"backtest_{uuid4().hex}"
        self.execute(f"ATTACH ':memory:' AS {self._name}")
        self.execute(f"USE {self._name}")
        super().create(list(self.own.values()))
        self.execute("CREATE TABLE amended_orders (order_id VARCHAR)")
        self.execute("CREATE TABLE changed_customers (customer_id BIGINT)")
        news = self.live("message_events")
        self.execute(
            f"CREATE TABLE skipped_messages AS SELECT message_id, min(occurred_at) AS skipped_at FROM {news} "
            "WHERE news = 'skipped' GROUP BY message_id"
        )
        self.see(window.start)
        messages = next(facts for facts in tables if facts.name == "messages")
        self.history = replace(messages, name="message_history")
        self.execute(
            f"CREATE VIEW message_history AS SELECT {_heard(messages)} FROM {self.live('messages')} "
            f"WHERE planned_at <= {AT}"
        )
        views = _Views(self, journey, segments)
        for facts in tables:
            self.execute(f"CREATE VIEW {facts.name} AS {views.of(facts)}")
        # What people's habits are learned from: what the journey itself had sent before the window, too.
        self.remembered = replace(messages, name="remembered_messages")
        self.execute(
            "CREATE VIEW remembered_messages AS SELECT * FROM messages UNION ALL SELECT * FROM message_history "
            f"WHERE journey = {_quoted(journey)} AND planned_at <= {views.begin}"
        )

    def see(self, at: datetime) -> None:
        """Moves the instant at which the live facts are seen."""
        self.execute(f"SET VARIABLE seen_at = TIMESTAMP '{naive(at).isoformat(sep=' ')}'")

    def planned_now(self, journey: str) -> ir.Table:
        """A journey's messages that were planned at the instant, put aside."""
        self.execute(
            f"CREATE OR REPLACE TEMP TABLE just_planned AS SELECT * FROM messages "
            f"WHERE journey = {_quoted(journey)} AND planned_at = {AT}"
        )
        messages = self.plain["own_messages"]
        return super().table(replace(messages, name="just_planned"))

    def live(self, table: str) -> str:
        """The live table's name in SQL."""
        return f'"{self._live}".main.{table}'

    def close(self) -> None:
        self.execute(f'USE "{self._live}"')
        self.execute(f"DETACH {self._name}")
        super().close()

    # What is written goes to the tables beside the views.

    def append(self, facts: Facts, rows: pa.Table | ir.Table) -> None:
        super().append(self.own.get(facts.name, facts), rows)

    def delete(self, facts: Facts, keys: ir.Table) -> None:
        super().delete(self.own.get(facts.name, facts), keys)

    def _write(self, facts: Facts, statement: str, rows: str) -> None:
        if self.journal is None:
            self.execute(statement)
            return
        plain = self.plain.get(facts.name, facts)
        written = self.backend.con.sql(f"{statement} RETURNING {', '.join(plain.noted)}")
        self.journal.note(plain.name, written.to_arrow_table())


@dataclass(frozen=True)
class _Views:
    """What is seen under each table's name."""

    scratch: Scratch
    journey: str
    segments: Collection[str]

    @property
    def begin(self) -> str:
        """The window's first instant in SQL."""
        return f"TIMESTAMP '{naive(self.scratch.window.start).isoformat(sep=' ')}'"

    def of(self, facts: Facts) -> str:
        name, columns = facts.name, ", ".join(facts.columns)
        own = f"SELECT {columns} FROM own_{name}"
        live = self._live(facts)
        if name == "messages":
            return f"SELECT {_heard(facts)} FROM ({live} UNION ALL {own}) WHERE planned_at <= {AT}"
        if name in ("consents", "message_events"):  # those written here may lie ahead
            own = f"{own} WHERE occurred_at <= {AT}"
        if name == "cart_events":
            return live  # what the load's code writes of them here is live already
        return f"{live} UNION ALL {own}" if live else own

    def _live(self, facts: Facts) -> str:
        name, columns = facts.name, ", ".join(facts.columns)
        rows = f"SELECT {columns} FROM {self.scratch.live(name)}"
        begin = self.begin
        if name in AS_TODAY or (self.scratch.window.known == "today" and name in PEOPLE):
            return rows
        if name == "events":
            # An event has come when it happened, and arrives with that instant as the revision (replay.py).
            told = {"received_at": "occurred_at AS received_at", "arrival": "epoch_us(occurred_at) AS arrival"}
            columns = ", ".join(told.get(column, column) for column in facts.columns)
            rows = f"SELECT {columns} FROM {self.scratch.live(name)}"
            return f"{rows} WHERE occurred_at <= {AT} AND NOT ({self._told_here(begin)})"
        if name in CUT:
            return f"{rows} WHERE {CUT[name]} <= {AT}"
        if name in _OF_ORDERS:
            at, order, which = _OF_ORDERS[name]
            amended = f"{which} AND {order} IN (SELECT order_id FROM amended_orders)"
            return f"{rows} WHERE {at} <= {AT} AND NOT coalesce({amended}, false)"
        if name in ("profiles", "addresses"):
            at = {"profiles": "first_seen_at", "addresses": "updated_at"}[name]
            return f"{rows} WHERE {at} <= {AT} AND customer_id NOT IN (SELECT customer_id FROM changed_customers)"
        if name in ("traits", "consents"):
            return f"{rows} WHERE occurred_at <= {begin}"
        if name in ("carts", "cart_lines"):
            made = "(source_id, cart_id) IN (SELECT (source_id, cart_id) FROM own_carts)"
            return f"{rows} WHERE updated_at <= {begin} AND NOT {made}"
        if name == "cart_events":
            return f"{rows} WHERE occurred_at <= {AT}"
        if name == "message_events":
            mine = f"SELECT message_id FROM {self.scratch.live('messages')} WHERE journey = {_quoted(self.journey)}"
            return f"{rows} WHERE occurred_at <= {AT} AND message_id NOT IN ({mine})"
        if name == "messages":
            return f"{rows} WHERE planned_at <= {AT} AND journey <> {_quoted(self.journey)}"
        return ""

    def _told_here(self, begin: str) -> str:
        """The events of entering and leaving that are told anew."""
        names = ", ".join(_quoted(name) for name in self.segments) or "''"
        segment = "json_extract_string(properties, '$.segment')"
        return f"source_id = 0 AND occurred_at > {begin} AND coalesce({segment} IN ({names}), false)"


def _heard(facts: Facts) -> str:
    """The columns of a message with what had been heard of it at the instant."""
    parts = []
    for name, kind in facts.columns.items():
        if name == "status":
            words = " ".join(f"WHEN {word}_at <= {AT} THEN '{word}'" for word in _HEARD)
            skipped = f"message_id IN (SELECT message_id FROM skipped_messages WHERE skipped_at <= {AT})"
            otherwise = f"{words} ELSE 'planned' END AS status"
            parts.append(f"CASE WHEN status = 'skipped' AND {skipped} THEN 'skipped' {otherwise}")
        elif "timestamp" in kind and not kind.startswith("!"):
            parts.append(f"CASE WHEN {name} <= {AT} THEN {name} END AS {name}")
        else:
            parts.append(name)
    return ", ".join(parts)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def declared(tables: Sequence[Facts]) -> Mapping[str, bool]:
    """Whether it is said of each table how it is seen; for the test that none is forgotten."""
    named = {
        *AS_TODAY,
        *OWN,
        *CUT,
        *PEOPLE,
        *_OF_ORDERS,
        *("carts", "cart_lines", "cart_events", "messages", "message_events"),
    }
    return {facts.name: facts.name in named for facts in tables}
