"""What the live warehouse keeps as projections, made anew as they were: by the load's own code, from the facts kept.

Orders that something became of, carts, traits with the profiles and addresses made of them, and consents. Only what
changed after the window began is made anew; all else is as it was.
"""

from collections.abc import Callable
from datetime import datetime

import pyarrow as pa

from onevoice.catalog import carts, orders
from onevoice.catalog.facts import CART_EVENTS, ORDER_EVENT_LINES, ORDER_EVENTS
from onevoice.customers import profiles
from onevoice.customers.facts import CONSENTS, TRAITS
from onevoice.events.load import told_traits
from onevoice.journeys.backtest.scratch import Scratch
from onevoice.kernel.clock import naive

Advance = Callable[[datetime | None, datetime], None]
"""Takes in what happened after an instant (None: ever) up to another. The instant that is seen is then the second."""


def rewound(scratch: Scratch, secret: bytes, words: pa.Table | None = None) -> Advance:
    """Brings the scratch warehouse to the window's start; what it gives brings it further.

    `secret` is the installation's, by which addresses are hashed. `words` are the consents said of whoever has said
    something since the window began, from the ledger (`everybody.said_since`): the warehouse keeps the newest alone.
    """
    ahead: list[Advance] = [_orders(scratch), _carts(scratch)]
    if scratch.window.known == "then":
        ahead.append(_people(scratch, secret))
        _consents(scratch, words)

    def advance(before: datetime | None, now: datetime) -> None:
        with scratch.transaction():
            for one in ahead:
                one(before, now)
        scratch.see(now)

    advance(None, scratch.window.start)
    return advance


def _orders(scratch: Scratch) -> Advance:
    """Orders that were changed, refunded or cancelled after the window began."""
    start, end = _literal(scratch.window.start), _literal(scratch.window.end)
    scratch.execute(
        f"INSERT INTO amended_orders SELECT DISTINCT order_id FROM {scratch.live('orders')} "
        f"WHERE updated_at > {start} AND updated_at > ordered_at AND ordered_at <= {end}"
    )
    amended = "SELECT order_id FROM amended_orders"
    refunds = f"SELECT event_id FROM {scratch.live('refunds')} WHERE order_id IN ({amended})"
    scratch.execute(
        f"CREATE TABLE past_order_events AS SELECT * FROM {scratch.live('order_events')} "
        f"WHERE order_id IN ({amended}) OR event_id IN ({refunds})"
    )
    scratch.execute(
        f"CREATE TABLE past_order_lines AS SELECT * FROM {scratch.live('order_event_lines')} "
        "WHERE event_id IN (SELECT event_id FROM past_order_events)"
    )

    def advance(before: datetime | None, now: datetime) -> None:
        told = f"SELECT * FROM past_order_events WHERE {_between('occurred_at', before, now)}"
        events = scratch.backend.con.sql(told).to_arrow_table().select(list(ORDER_EVENTS.columns))
        if events.num_rows:
            lines = f"SELECT * FROM past_order_lines WHERE event_id IN (SELECT event_id FROM ({told}))"
            of_lines = scratch.backend.con.sql(lines).to_arrow_table().select(list(ORDER_EVENT_LINES.columns))
            orders.take(scratch, events, of_lines)

    return advance


def _carts(scratch: Scratch) -> Advance:
    """Carts that something was done to after the window began."""
    live, start = scratch.live("cart_events"), _literal(scratch.window.start)
    # A name of its own: the load's code puts a scratch table `cart_people` aside, which would hide it.
    # Whoever does something then, with whoever shares a cart with them: theirs is made anew from the beginning.
    scratch.execute(
        f"CREATE TABLE past_cart_people AS SELECT DISTINCT source_id, identifier_id FROM {live} "
        f"WHERE occurred_at > {start} AND occurred_at <= {_literal(scratch.window.end)}"
    )
    scratch.execute(
        f"INSERT INTO past_cart_people SELECT DISTINCT source_id, identifier_id FROM {live} "
        "SEMI JOIN (SELECT DISTINCT source_id, cart_id FROM "
        f"{live} SEMI JOIN past_cart_people USING (source_id, identifier_id) WHERE cart_id <> '') "
        "USING (source_id, cart_id) ANTI JOIN past_cart_people USING (source_id, identifier_id)"
    )

    def advance(before: datetime | None, now: datetime) -> None:
        told = (
            f"SELECT * FROM {live} SEMI JOIN past_cart_people USING (source_id, identifier_id) "
            f"WHERE {_between('occurred_at', before, now)}"
        )
        events = scratch.backend.con.sql(told).to_arrow_table().select(list(CART_EVENTS.columns))
        if events.num_rows:
            scratch.see(before or NEVER)  # what came before is what is held
            carts.take(scratch, events)
            scratch.see(now)

    return advance


def _people(scratch: Scratch, secret: bytes) -> Advance:
    """Traits told after the window began, and the profiles and addresses of their customers."""
    live, start = scratch.live, _literal(scratch.window.start)
    scratch.execute(
        f"INSERT INTO changed_customers SELECT DISTINCT customer_id FROM {live('traits')} WHERE occurred_at > {start}"
    )
    told = scratch.backend.con.sql(
        f"SELECT event_id, identifier_id, customer_id, occurred_at, properties FROM {live('events')} "
        f"WHERE type = 'identify' AND occurred_at <= {_literal(scratch.window.end)} AND identifier_id IN "
        f"(SELECT identifier_id FROM {live('traits')} WHERE occurred_at > {start})"
    ).to_arrow_table()
    scratch.backend.con.register("incoming_traits", _traits(told))
    scratch.execute("CREATE TABLE told_traits AS SELECT * FROM incoming_traits")
    scratch.backend.con.unregister("incoming_traits")

    def advance(before: datetime | None, now: datetime) -> None:
        fresh = f"SELECT * FROM told_traits WHERE {_between('occurred_at', before, now)}"
        rows = scratch.backend.con.sql(fresh).to_arrow_table().select(list(TRAITS.columns))
        profiles.take_traits(scratch, rows)
        seen = scratch.backend.con.sql(
            f"SELECT customer_id FROM ({fresh}) UNION SELECT customer_id FROM {live('identifiers')} "
            f"SEMI JOIN changed_customers USING (customer_id) WHERE {_between('first_seen_at', before, now)}"
        ).to_arrow_table()
        scratch.see(now)
        profiles.rebuild(scratch, seen["customer_id"].to_pylist(), secret)

    return advance


def _traits(told: pa.Table) -> pa.Table:
    """The traits that these identify calls told, as the load takes them."""
    rows: dict[str, list[object]] = {name: [] for name in TRAITS.columns}
    for call in told.to_pylist():
        for name, value in told_traits(call["properties"].encode()):
            values = {**call, "name": name, "value": value}
            for column, held in rows.items():
                held.append(values[column])
    return TRAITS.arrow(rows)


def _consents(scratch: Scratch, words: pa.Table | None) -> None:
    """What was said after the window began, and before it by whoever has said it again since."""
    live, start = scratch.live("consents"), _literal(scratch.window.start)
    columns = ", ".join(CONSENTS.columns)
    if words is None:
        scratch.execute(f"INSERT INTO own_consents SELECT {columns} FROM {live} WHERE occurred_at > {start}")
        return
    scratch.backend.con.register("incoming_words", words)
    scratch.execute(
        f"INSERT INTO own_consents ({columns}) SELECT w.identifier_id, i.customer_id, w.channel, w.topic, w.state, "
        f"w.occurred_at, w.country FROM incoming_words w JOIN {scratch.live('identifiers')} i USING (identifier_id)"
    )
    scratch.backend.con.unregister("incoming_words")


NEVER = datetime.fromisoformat("0001-01-02T00:00:00+00:00")
"""Before anything happened."""


def _between(column: str, before: datetime | None, now: datetime) -> str:
    since = f"{column} > {_literal(before)} AND " if before is not None else ""
    return f"{since}{column} <= {_literal(now)}"


def _literal(at: datetime) -> str:
    return f"TIMESTAMP '{naive(at).isoformat(sep=' ')}'"
