"""Carts as they stand after all that was told of them, and what of them is still waiting.

What is told of a cart is kept (`cart_events`), and every cart that something new touches is made anew by event time, so
the order of arrival does not matter. A call that names no cart belongs to the one its identifier named last; to one of
the identifier's own (`identifier-N`) if it never named any.
"""

from datetime import datetime, timedelta
from typing import Literal

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from onevoice.catalog.facts import CART_EVENTS, CART_LINES, CARTS, ORDERS
from onevoice.catalog.returns import money, zero
from onevoice.kernel.clock import naive
from onevoice.warehouse import MONEY, Warehouse, remembered

MOST_LINES = 2**20
"""More than a cart event has lines."""

KEY = ("source_id", "cart_id")
PERSON = ("source_id", "identifier_id")

State = Literal["open", "abandoned", "converted"]

ABANDONED_AFTER = timedelta(hours=1)
"""A cart with something in it that was left alone for so long is abandoned, unless another time is asked for."""

NAMES = ("cart_id", "checkout_id", "order_id")
"""By which an order says what cart it was."""

CONTENT = ("added", "removed", "held")
"""The kinds of cart events that change what is in it."""


def take(warehouse: Warehouse, events: pa.Table) -> None:
    """Takes in rows of `cart_events`, each event once; to be called within a transaction."""
    fresh, held = warehouse.stage("fresh_cart_events", events), warehouse.table(CART_EVENTS)
    people = warehouse.stage("cart_people", _people(fresh))
    theirs = warehouse.stage("their_cart_events", _by(held, people))
    names_none = pc.and_(pc.equal(events["kind"], "ordered"), pc.equal(events["cart_id"], ""))
    if pc.all(names_none).as_py() and not warehouse.count(theirs):
        warehouse.append(CART_EVENTS, fresh)  # bought without a cart, as at most checkouts that tell nothing of theirs
        return
    named = warehouse.stage("named_carts", _named(theirs, fresh))
    known = warehouse.stage("known_cart_events", _with_sharers(theirs, held, named, people))
    new = warehouse.stage("new_cart_events", _new(fresh, known))
    warehouse.append(CART_EVENTS, new)
    placed = warehouse.stage("placed_cart_events", _placed(known, new))
    touched = warehouse.stage("remade_carts", _touched(named, people))
    mine = warehouse.stage("touched_cart_events", _in(placed, touched))
    lines = warehouse.stage("standing_cart_lines", _contents(mine))
    carts = warehouse.stage("standing_carts", _carts(mine, lines))
    for facts in (CARTS, CART_LINES):
        warehouse.delete(facts, touched)
    warehouse.append(CARTS, carts)
    warehouse.append(CART_LINES, _owned(lines, carts))


def standing(
    warehouse: Warehouse,
    state: State,
    now: datetime,
    abandoned_after: timedelta = ABANDONED_AFTER,
    after: datetime | None = None,
) -> ir.Table:
    """The carts that are in a state as of `now`; with `after`, only those that were changed since then.

    Converted is also a cart whose customer ordered online after its last change, on whatever device, or whose checkout
    or id an order names. An empty cart is never abandoned.
    """

    def since(rows: ir.Table, moment: str) -> ir.Table:
        rows = rows.filter(rows[moment] <= ibis.timestamp(naive(now)))
        return rows.filter(rows[moment] > ibis.timestamp(naive(after))) if after else rows

    carts, orders = since(warehouse.table(CARTS), "updated_at"), since(warehouse.table(ORDERS), "ordered_at")
    online = orders.filter(orders.channel != "offline", orders.status != "cancelled")
    bought = online.select("customer_id", "ordered_at")
    waiting = carts.filter(carts.state != "converted")
    waiting = waiting.anti_join(
        bought, [waiting.customer_id == bought.customer_id, bought.ordered_at >= waiting.updated_at]
    )
    for name in NAMES:
        named = online.filter(online[name].notnull()).group_by(**{f"{name}_named": online[name]})
        last = named.aggregate(**{f"{name}_at": online.ordered_at.max()})
        waiting = waiting.left_join(last, waiting[name] == last[f"{name}_named"])
    # To look up the last order takes memory for orders; to look for none, on DuckDB, for all of the carts.
    waiting = waiting.filter(*(ibis.coalesce(waiting[f"{name}_at"] < waiting.updated_at, True) for name in NAMES))
    waiting = waiting.select(*CARTS.columns)
    if state == "converted":
        return carts.anti_join(waiting, KEY)
    is_abandoned = (waiting.updated_at <= ibis.timestamp(naive(now - abandoned_after))) & (waiting["items"] > 0)
    return waiting.filter(is_abandoned if state == "abandoned" else ~is_abandoned)


@remembered
def _people(events: ir.Table) -> ir.Table:
    return events.select(*PERSON).distinct()


@remembered
def _by(held: ir.Table, people: ir.Table) -> ir.Table:
    return held.semi_join(people, PERSON)


@remembered
def _named(theirs: ir.Table, fresh: ir.Table) -> ir.Table:
    """The carts that these people ever named."""
    named = theirs.select(*KEY).union(fresh.select(*KEY), distinct=True)
    return named.filter(named.cart_id != "")


@remembered
def _with_sharers(theirs: ir.Table, held: ir.Table, named: ir.Table, people: ir.Table) -> ir.Table:
    """With `theirs`, what others told who named the same carts: they may have added to them without naming them."""
    sharers = held.semi_join(named, KEY).select(*PERSON).distinct().anti_join(people, PERSON)
    return theirs.union(held.semi_join(sharers, PERSON))


@remembered
def _new(fresh: ir.Table, known: ir.Table) -> ir.Table:
    return fresh.anti_join(known, "event_id")


@remembered
def _touched(named: ir.Table, people: ir.Table) -> ir.Table:
    """The carts to make anew. Those that only the sharers named are as they were."""
    return named.union(people.select("source_id", cart_id=_own(people.identifier_id)))


@remembered
def _in(placed: ir.Table, carts: ir.Table) -> ir.Table:
    return placed.semi_join(carts, KEY)


@remembered
def _owned(lines: ir.Table, carts: ir.Table) -> ir.Table:
    """The lines that have something on them, with whose they are."""
    return lines.filter(lines.quantity > 0).join(carts.select(*KEY, "identifier_id", "customer_id"), KEY)


@remembered
def _placed(known: ir.Table, new: ir.Table) -> ir.Table:
    """The events with the cart they belong to, and their place in it."""
    told = known.union(new)
    order = [told.occurred_at, told.event_id, told.line]
    turn = ibis.row_number().over(group_by=["source_id", "identifier_id"], order_by=order)
    numbered = told.mutate(turn=turn.cast("int64"))
    along = ibis.cumulative_window(group_by=["source_id", "identifier_id"], order_by=numbered.turn)
    # The turn of the last event so far that names a cart; joined to the event of that turn it gives the name.
    last = ibis.ifelse(numbered.cart_id != "", numbered.turn, ibis.null("int64")).max().over(along)
    numbered = numbered.mutate(named_turn=last)
    names = numbered.filter(numbered.cart_id != "").select(
        named_source="source_id", named_by="identifier_id", turn_of_name="turn", name="cart_id"
    )
    rows = numbered.left_join(
        names,
        [
            numbered.source_id == names.named_source,
            numbered.identifier_id == names.named_by,
            numbered.named_turn == names.turn_of_name,
        ],
    )
    rows = rows.mutate(cart_id=ibis.coalesce(rows.name, _own(rows.identifier_id))).select(*told.columns)
    turn = ibis.row_number().over(group_by=KEY, order_by=[rows.occurred_at, rows.event_id, rows.line])
    rows = rows.mutate(turn=turn.cast("int64"))
    # The rows of one event have one place (a dense rank would say so too, but not on every store).
    return rows.mutate(place=rows.turn.min().over(ibis.window(group_by=[*KEY, "event_id"]))).drop("turn")


def _own(identifier_id: ir.Value) -> ir.StringValue:
    return ibis.literal("identifier-") + identifier_id.cast("string")


@remembered
def _contents(placed: ir.Table) -> ir.Table:
    """source_id, cart_id, product_id, quantity, value, updated_at; products that were taken out have quantity 0.

    What was in a cart is the last full content told of it and what was added and removed since; a removal never takes
    more than there is. A cart that was ordered begins empty with what is added next.
    """
    last = placed.group_by(*KEY).aggregate(last_content=placed.place.max(where=placed.kind.isin(CONTENT)))
    rows = placed.join(last, KEY)
    is_start = (rows.kind == "held") | ((rows.kind == "ordered") & (rows.place < rows.last_content))
    starts = rows.group_by(*KEY).aggregate(start=rows.place.max(where=is_start))
    rows = rows.left_join(starts, KEY).drop("source_id_right", "cart_id_right")
    rows = rows.filter(rows.kind.isin(CONTENT), rows.product_id.notnull())
    by_product = (*KEY, "product_id")
    emptied = rows.group_by(*by_product).aggregate(
        emptied=rows.place.max(where=(rows.kind == "removed") & rows.quantity.isnull()),
        last_price=rows.price.argmax(rows.place * MOST_LINES + rows.line, where=rows.price.notnull()),
        updated_at=rows.occurred_at.max(),
    )
    start = ibis.coalesce(rows.start, -1)
    since = (rows.place > start) | ((rows.place == start) & (rows.kind == "held"))
    rows = rows.filter(since).join(emptied, by_product)
    rows = rows.filter(rows.place > ibis.coalesce(rows.emptied, -1))
    step = ibis.ifelse(rows.kind == "removed", 0.0 - rows.quantity, rows.quantity)
    rows = rows.mutate(step=step)
    so_far = ibis.cumulative_window(group_by=by_product, order_by=[rows.place, rows.line])
    rows = rows.mutate(walk=rows.step.sum().over(so_far))
    # The sum of the steps, had each removal stopped at nothing: a walk reflected at 0 is lifted by its lowest point.
    found = rows.group_by(*by_product).aggregate(
        total=rows.step.sum(),
        lowest=rows.walk.min(),
        last_price=rows.last_price.max(),
        updated_at=rows.updated_at.max(),
    )
    quantity = found.total - ibis.least(found.lowest, 0.0)
    return found.mutate(
        quantity=quantity,
        value=money(ibis.coalesce(found.last_price.cast("float64"), 0.0) * quantity),
    ).select(*by_product, "quantity", "value", "updated_at")


@remembered
def _carts(placed: ir.Table, lines: ir.Table) -> ir.Table:
    """The rows of `carts`. What was only ordered from, never filled, is none."""
    content = placed.kind != "ordered"

    def newest(name: str) -> ir.Value:
        return placed[name].argmax(placed.place, where=placed[name].notnull())

    found = placed.group_by(*KEY).aggregate(
        **{name: placed[name].argmax(placed.place) for name in ("identifier_id", "customer_id", "channel")},
        **{name: newest(name) for name in ("currency", "order_id", "checkout_id")},
        updated_at=placed.occurred_at.max(),
        checkout_at=placed.occurred_at.max(where=placed.kind == "checkout"),
        filled=placed.place.max(where=content),
        ordered=placed.place.max(where=placed.kind == "ordered"),
    )
    found = found.filter(found.filled.notnull())
    sums = lines.group_by(*KEY).aggregate(value=lines.value.sum(), items=lines.quantity.sum())
    rows = found.left_join(sums, KEY).drop("source_id_right", "cart_id_right")
    is_ordered = ibis.coalesce(rows.ordered > rows.filled, False)
    return rows.mutate(
        state=ibis.ifelse(is_ordered, "converted", "open"),
        value=ibis.coalesce(rows.value.cast(MONEY), zero()),
        items=ibis.coalesce(rows["items"], 0.0),
    )
