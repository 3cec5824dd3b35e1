"""Orders as they stand after all that was told of them; what counts as one, said once.

What is told of an order is kept (`order_events`), and the rows of every order it touches are made anew, for all of them
at once: so an event that comes late, again or before the one it speaks of gives the same rows. Returns are weighed in
`returns.py`. A sale's fields are each the newest that was told; its lines are the newest that were told; it happened
when it was first completed. An update does not bring back an order that was cancelled, a completion does.
"""

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.catalog import returns
from onevoice.catalog.facts import COUPON_EVENTS, ORDER_EVENT_LINES, ORDER_EVENTS, ORDER_LINES, ORDERS, REFUNDS
from onevoice.catalog.returns import KEY, SALES, zero
from onevoice.warehouse import MONEY, Facts, Warehouse, remembered

FIRST = ("identifier_id", "customer_id", "channel", "event_id")
"""What an order keeps from when it was first completed."""

NEWEST = (
    *("store_id", "till_id", "receipt", "cashier", "loyalty_card", "currency", "coupon", "cart_id", "checkout_id"),
    *("discount", "revenue", "total"),
)
"""What counts as it was told last."""

LATER = 2**40
"""More than the events of any order: what was never completed is numbered behind what was."""


COUNTED = "placed"
"""The status of an order that counts as one."""


def counted(orders: ir.Table) -> ir.Table:
    """The orders that count as such: not those cancelled or wholly returned, nor a return whose sale is not known.

    For how many, when and by whom; revenue is net already and may be summed over all.
    """
    return orders.filter(orders.status == COUNTED)


def earning(orders: ir.Table) -> ir.Table:
    """The rows that say what was earned: the orders that count, and returns whose sale is not known, which lower it."""
    return orders.filter((orders.status == COUNTED) | (orders.revenue != 0))


def made(orders: ir.Table) -> ir.Table:
    """The orders that somebody made and did not cancel, whatever came back of them; for what people did."""
    is_sale = (orders.status == COUNTED) | (orders.gross_revenue > 0)
    return orders.filter(orders.status != "cancelled", is_sale)


def kept(lines: ir.Table) -> ir.Table:
    """The order lines of which something was kept, for what was bought and how often.

    Some tills write no quantity on some lines; such a line was kept unless its money went back.
    """
    uncounted = (lines.gross_quantity == 0) & (lines.quantity == 0) & (lines.revenue == lines.gross_revenue)
    return lines.filter((lines.quantity > 0) | uncounted)


def take(warehouse: Warehouse, events: pa.Table, lines: pa.Table) -> None:
    """Takes in rows of `order_events` and `order_event_lines`, each event once; to be called within a transaction."""
    fresh = warehouse.stage("fresh_order_events", events)
    fresh_lines = warehouse.stage("fresh_order_event_lines", lines)
    known = _related(warehouse, fresh)
    if warehouse.count(known):
        new = warehouse.stage("new_order_events", _new(fresh, known))
        new_lines = warehouse.stage("new_order_event_lines", _of(fresh_lines, new))
        told = warehouse.stage("told_order_events", _both(known, new))
        held_lines = _of(warehouse.table(ORDER_EVENT_LINES), known)
        told_lines = warehouse.stage("told_order_event_lines", _both(held_lines, new_lines))
        _forget(warehouse, known)
    else:
        new, new_lines, told, told_lines = fresh, fresh_lines, fresh, fresh_lines
    warehouse.append(ORDER_EVENTS, new)
    warehouse.append(ORDER_EVENT_LINES, new_lines)
    plain = warehouse.stage("plain_order_events", _plain(told))
    warehouse.append(ORDERS, _plain_orders(plain))
    warehouse.append(ORDER_LINES, _plain_lines(plain, told_lines))
    warehouse.append(COUPON_EVENTS, _redeemed(_plain_orders(plain)))
    rest = warehouse.stage("mixed_order_events", _new(told, plain))
    if warehouse.count(rest):
        _project(warehouse, rest, told_lines)


def remake(warehouse: Warehouse) -> None:
    """Makes all orders, lines and refunds anew from what was told; to be called within a transaction."""
    told = warehouse.stage("told_order_events", warehouse.table(ORDER_EVENTS))
    _forget(warehouse, told)
    _project(warehouse, told, warehouse.table(ORDER_EVENT_LINES))


def _related(warehouse: Warehouse, fresh: ir.Table) -> ir.Table:
    """What is held of the orders that the fresh events speak of, by order id or by receipt."""
    held = warehouse.table(ORDER_EVENTS)
    ids = warehouse.stage("touched_order_ids", _ids(fresh))
    while True:  # an order whose receipt is another's too brings that one in; seldom more than one round
        near = warehouse.stage("near_order_events", _by_id(held, ids))
        slips = warehouse.stage("touched_slips", _slips(fresh, near))
        if not warehouse.count(slips):
            break
        more = warehouse.stage("more_order_ids", _on_slips(held, slips, ids))
        if not warehouse.count(more):
            break
        warehouse.append(Facts("touched_order_ids", {"order_id": "string"}, ("order_id",)), more)
    return warehouse.stage("related_order_events", _near_or_loose(near, held, fresh, slips))


@remembered
def _new(fresh: ir.Table, known: ir.Table) -> ir.Table:
    return fresh.anti_join(known, "event_id")


@remembered
def _of(lines: ir.Table, events: ir.Table) -> ir.Table:
    return lines.semi_join(events, "event_id")


@remembered
def _both(some: ir.Table, others: ir.Table) -> ir.Table:
    return some.union(others)


@remembered
def _ids(events: ir.Table) -> ir.Table:
    return events.filter(events.order_id != "").select("order_id").distinct()


@remembered
def _by_id(held: ir.Table, ids: ir.Table) -> ir.Table:
    return held.semi_join(ids, "order_id")


@remembered
def _slips(fresh: ir.Table, near: ir.Table) -> ir.Table:
    """The receipts by which something may belong together."""
    return ibis.union(returns.sale_slips(fresh), returns.sale_slips(near), returns.return_slips(fresh), distinct=True)


@remembered
def _on_slips(held: ir.Table, slips: ir.Table, ids: ir.Table) -> ir.Table:
    """The orders with these receipts that are not among `ids`."""
    sales = held.filter(held.kind.isin(SALES), held.receipt.notnull())
    found = sales.semi_join(slips, returns.on_slip(sales, "store_id", "receipt", slips))
    return found.select("order_id").distinct().anti_join(ids, "order_id")


@remembered
def _near_or_loose(near: ir.Table, held: ir.Table, fresh: ir.Table, slips: ir.Table) -> ir.Table:
    """With `near`, the returns without an order id that name these receipts, or that are told again."""
    loose = held.filter(held.order_id == "")
    named = loose.semi_join(slips, returns.on_slip(loose, "original_store_id", "original_receipt", slips))
    again = loose.semi_join(fresh.filter(fresh.order_id == ""), ("source_id", "refund_id"))
    return near.union(named.union(again, distinct=True))


def _forget(warehouse: Warehouse, known: ir.Table) -> None:
    """Removes the rows that will be made anew. A return on its own is an order with its event's id."""
    ids = known.filter(known.order_id != "").select("order_id")
    own = known.filter(known.order_id == "").select(order_id=known.event_id)
    gone = warehouse.stage("gone_orders", ids.union(own, distinct=True))
    for facts in (ORDERS, ORDER_LINES):
        warehouse.delete(facts, gone)
    warehouse.delete(COUPON_EVENTS, gone.mutate(action=ibis.literal("redeemed")))
    warehouse.delete(REFUNDS, known.filter(known.kind == "refunded").select("event_id"))


def _project(warehouse: Warehouse, told: ir.Table, told_lines: ir.Table) -> None:
    """Makes the rows of all sales and returns that were told of."""
    heads = warehouse.stage("order_heads", _heads(told))
    sold = heads.select(*KEY, event_id=heads.lines_event).join(told_lines.drop("source_id"), "event_id")
    sold = sold.select(*KEY, "line", "product_id", "quantity", "revenue", "discount")
    sold = warehouse.stage("sold_lines", sold.mutate(revenue=ibis.coalesce(sold.revenue, zero())))
    amended = warehouse.stage("order_amendments", returns.resolved(told, heads))
    given_back = warehouse.stage("returned_lines", returns.returned(amended, sold, told_lines))
    refunds = warehouse.stage("weighed_refunds", returns.weighed(amended, heads, given_back))
    lines = warehouse.stage("netted_lines", returns.netted(heads, sold, refunds, given_back))
    orders = warehouse.stage("standing_orders", _standing(heads, amended, refunds, lines))
    own = warehouse.stage("own_returns", returns.on_their_own(refunds))
    warehouse.append(REFUNDS, refunds)
    warehouse.append(ORDERS, orders)
    warehouse.append(ORDERS, own)
    warehouse.append(ORDER_LINES, _lines(orders, lines))
    warehouse.append(ORDER_LINES, returns.lines_on_their_own(own, refunds, given_back))
    warehouse.append(COUPON_EVENTS, _redeemed(orders))


@remembered
def _redeemed(orders: ir.Table) -> ir.Table:
    """The coupons that orders used."""
    return orders.filter(orders.coupon.notnull(), orders.status != "cancelled").mutate(
        action=ibis.literal("redeemed"), reason=ibis.null("string"), occurred_at=orders.ordered_at
    )


@remembered
def _plain(told: ir.Table) -> ir.Table:
    """The completions that are all that was told of their order, as nearly all are: they need no weighing."""
    counts = told.group_by("order_id").aggregate(n=told.count())
    slips = returns.return_slips(told)
    named = told.semi_join(slips, returns.on_slip(told, "store_id", "receipt", slips)).select("order_id")
    alone = counts.filter(counts.n == 1).anti_join(named, "order_id")
    return told.filter(told.kind == "completed").semi_join(alone, "order_id")


@remembered
def _plain_orders(plain: ir.Table) -> ir.Table:
    gross = ibis.coalesce(plain.revenue, plain.total, zero())
    return plain.mutate(
        ordered_at=plain.occurred_at,
        updated_at=plain.occurred_at,
        currency=ibis.coalesce(plain.currency, ""),
        discount=ibis.coalesce(plain.discount, zero()),
        gross_revenue=gross,
        revenue=gross,
        refunded=zero(),
        status=ibis.literal(COUNTED),
    )


@remembered
def _plain_lines(plain: ir.Table, told_lines: ir.Table) -> ir.Table:
    whose = plain.select("event_id", "order_id", ordered_at="occurred_at")
    rows = told_lines.join(whose, "event_id")
    revenue = ibis.coalesce(rows.revenue, zero())
    return rows.mutate(
        revenue=revenue,
        gross_revenue=revenue,
        gross_quantity=rows.quantity,
        discount=ibis.coalesce(rows.discount, zero()),
    )


@remembered
def _heads(told: ir.Table) -> ir.Table:
    """A row per sale: each field as it was told last, whose and when it was as it was told first."""
    sales = told.filter(told.kind.isin(SALES))
    numbered = sales.mutate(
        turn=ibis.row_number().over(group_by=KEY, order_by=[sales.occurred_at, sales.event_id]).cast("int64")
    )
    numbered = numbered.mutate(rank=numbered.turn + ibis.ifelse(numbered.kind == "completed", 0, LATER))

    def newest(name: str) -> ir.Value:
        return numbered[name].argmax(numbered.turn, where=numbered[name].notnull())

    has_lines = numbered.lines > 0
    found = numbered.group_by(*KEY).aggregate(
        **{name: numbered[name].argmin(numbered["rank"]) for name in FIRST},
        **{name: newest(name) for name in NEWEST},
        ordered_at=numbered.occurred_at.argmin(numbered["rank"]),
        updated_at=numbered.occurred_at.max(),
        completed_at=numbered.occurred_at.max(where=numbered.kind == "completed"),
        lines_event=numbered.event_id.argmax(numbered.turn, where=has_lines),
        lines=numbered.lines.argmax(numbered.turn, where=has_lines),
    )
    return found.mutate(
        gross_revenue=ibis.coalesce(found.revenue, found.total, zero()),
        discount=ibis.coalesce(found.discount, zero()),
        currency=ibis.coalesce(found.currency, ""),
        lines=ibis.coalesce(found.lines, 0),
    ).drop("revenue", "total")


@remembered
def _standing(heads: ir.Table, amended: ir.Table, refunds: ir.Table, lines: ir.Table) -> ir.Table:
    """Sales with what became of them."""
    ends = amended.group_by(source_id=amended.order_source_id, order_id=amended.sale_id).aggregate(
        cancelled_at=amended.occurred_at.max(where=amended.kind == "cancelled"), amended_at=amended.occurred_at.max()
    )
    pieces = lines.group_by(*KEY).aggregate(
        bought=lines.gross_quantity.sum(where=lines.gross_quantity > 0),
        left=lines.quantity.sum(where=lines.gross_quantity > 0),
    )
    rows = heads
    for further in (ends, pieces, returns.per_order(refunds)):
        rows = rows.left_join(further, KEY).drop("source_id_right", "order_id_right")
    refunded = ibis.coalesce(rows.refunded, zero())
    is_cancelled = rows.cancelled_at.notnull() & (rows.completed_at.isnull() | (rows.cancelled_at >= rows.completed_at))
    is_returned = returns.is_gone(rows) | ibis.coalesce((rows.bought > 0) & (rows.left <= 0), False)
    return rows.mutate(
        status=ibis.ifelse(is_cancelled, "cancelled", ibis.ifelse(is_returned, "returned", "placed")),
        refunded=refunded,
        revenue=ibis.ifelse(is_cancelled, zero(), rows.gross_revenue - refunded).cast(MONEY),
        updated_at=ibis.greatest(rows.updated_at, ibis.coalesce(rows.amended_at, rows.updated_at)),
    )


@remembered
def _lines(orders: ir.Table, lines: ir.Table) -> ir.Table:
    """The lines of sales; of a cancelled one nothing is left."""
    rows = lines.join(orders.select(*KEY, "identifier_id", "customer_id", "ordered_at", "status"), KEY)
    is_void = rows.status == "cancelled"
    return rows.mutate(
        quantity=ibis.ifelse(is_void, 0.0, rows.quantity), revenue=ibis.ifelse(is_void, zero(), rows.revenue)
    )
