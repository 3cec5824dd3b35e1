"""Refunds and returns: which sale each belongs to, how much of it went back, and what that leaves on its lines.

A refund finds its sale by order id, in its own source or, being one of another's (bought online, returned in a store),
where exactly one has it; or by the sale's receipt and store. One that finds none is a return of its own: an order with
nothing sold and its amount negative.

How much: the refund's own amount; else its products at their price, or at what they cost in the sale; else its total;
else, where it says nothing of the kind, all. Together never more than the sale. Money goes off the lines of the
products that are named, and what is over off all lines, in proportion.
"""

from decimal import Decimal

import ibis
import ibis.expr.types as ir

from onevoice.catalog.facts import REFUNDS
from onevoice.warehouse import MONEY, remembered

KEY = ("source_id", "order_id")
"""What names an order."""

SALES = ("completed", "updated")
"""The kinds of order events that speak of the sale itself."""

MOST = Decimal(10) ** 13
"""A refund without a sale that is more is a mistake; it would not fit its column."""


def zero() -> ir.DecimalScalar:
    """No money."""
    return ibis.literal(Decimal(0), MONEY)


@remembered
def sale_slips(events: ir.Table) -> ir.Table:
    """source_id, store, receipt of sales."""
    sales = events.filter(events.kind.isin(SALES), events.receipt.notnull())
    return sales.select("source_id", "receipt", store=ibis.coalesce(sales.store_id, ""))


@remembered
def return_slips(events: ir.Table) -> ir.Table:
    """source_id, store, receipt of the sales that returns name by their receipt."""
    loose = events.filter(events.order_id == "", events.original_receipt.notnull())
    return loose.select("source_id", receipt=loose.original_receipt, store=ibis.coalesce(loose.original_store_id, ""))


def on_slip(events: ir.Table, store: str, receipt: str, slips: ir.Table) -> list[ir.BooleanValue]:
    """Whether an event's receipt, in the columns named, is a slip's."""
    return [
        events.source_id == slips.source_id,
        ibis.coalesce(events[store], "") == slips.store,
        events[receipt] == slips.receipt,
    ]


@remembered
def resolved(told: ir.Table, heads: ir.Table) -> ir.Table:
    """Refunds and cancellations with their sale: order_source_id, sale_id, sale_known. A refund told again is one."""
    rows = told.filter(told.kind.notin(SALES))
    again = ibis.row_number().over(
        group_by=["source_id", "order_id", "original_receipt", "original_store_id", "kind", "refund_id"],
        order_by=[ibis.desc("occurred_at"), ibis.desc("event_id")],
    )
    rows = rows.mutate(again=again)
    rows = rows.filter((rows.again == 0) | (rows.kind != "refunded")).drop("again")
    rows = rows.mutate(slip=ibis.ifelse(rows.order_id == "", rows.original_receipt, ibis.null("string")))
    here = heads.select(here_source="source_id", here_order="order_id")
    anywhere = heads.group_by("order_id").aggregate(n=heads.count(), there_source=heads.source_id.min())
    there = anywhere.filter(anywhere.n == 1).select("there_source", there_order="order_id")
    slips = told.filter(told.kind.isin(SALES), told.receipt.notnull())
    slips = slips.mutate(store=ibis.coalesce(slips.store_id, ""))
    last = ibis.row_number().over(
        group_by=["source_id", "store", "receipt"], order_by=[ibis.desc("occurred_at"), ibis.desc("order_id")]
    )
    slips = slips.mutate(last=last).filter(ibis._.last == 0)
    slips = slips.select(slip_source="source_id", slip_store="store", slip_receipt="receipt", slip_order="order_id")
    rows = rows.left_join(here, [rows.source_id == here.here_source, rows.order_id == here.here_order])
    rows = rows.left_join(there, rows.order_id == there.there_order)
    rows = rows.left_join(
        slips,
        [
            rows.source_id == slips.slip_source,
            ibis.coalesce(rows.original_store_id, "") == slips.slip_store,
            rows.slip == slips.slip_receipt,
        ],
    )
    found = ibis.coalesce(rows.here_source, rows.there_source, rows.slip_source)
    own = ibis.ifelse(rows.order_id == "", rows.event_id, rows.order_id)
    return rows.mutate(
        order_source_id=ibis.coalesce(found, rows.source_id),
        sale_id=ibis.coalesce(rows.slip_order, own),
        sale_known=found.notnull(),
    ).select(*told.columns, "order_source_id", "sale_id", "sale_known")


@remembered
def returned(amended: ir.Table, sold: ir.Table, lines: ir.Table) -> ir.Table:
    """Lines of refunds: event_id, line, source_id and order_id of the sale, product_id, quantity, amount.

    The amount is null where neither the refund nor the sale tells it.
    """
    refunds = amended.filter(amended.kind == "refunded")
    prices = sold.group_by(*KEY, "product_id").aggregate(pieces=sold.quantity.sum(), paid=sold.revenue.sum())
    prices = prices.filter(prices.pieces > 0)
    named = lines.select("event_id", "line", "product_id", "quantity", "revenue").join(
        refunds.select("event_id", source_id="order_source_id", order_id="sale_id"), "event_id"
    )
    rows = named.left_join(prices, (*KEY, "product_id"))
    each = rows.paid.cast("float64") / ibis.coalesce(rows.pieces, 1.0)  # what divides is never 0, not even unused
    amount = ibis.coalesce(rows.revenue, ibis.greatest(money(each * rows.quantity), zero()))
    return rows.select("event_id", "line", *KEY, "product_id", "quantity", amount=amount)


@remembered
def weighed(amended: ir.Table, heads: ir.Table, given_back: ir.Table) -> ir.Table:
    """The rows of `refunds`, each with what it takes from its sale; and `whole`, and `loyalty_card`."""
    refunds = amended.filter(amended.kind == "refunded")
    named = given_back.group_by("event_id").aggregate(named=given_back.amount.sum(), pieces=given_back.quantity.sum())
    gross = heads.select("gross_revenue", sale_source="source_id", sale_order="order_id")
    rows = refunds.left_join(named, "event_id").drop("event_id_right")
    rows = rows.left_join(gross, [rows.order_source_id == gross.sale_source, rows.sale_id == gross.sale_order])
    is_whole = (rows.lines == 0) & rows.revenue.isnull() & rows.total.isnull()
    bound = ibis.ifelse(rows.sale_known, ibis.greatest(rows.gross_revenue, zero()), ibis.literal(MOST, MONEY))
    all_of_it = ibis.ifelse(is_whole & rows.sale_known, bound, zero())
    stated = ibis.coalesce(rows.revenue, rows.named, rows.total, all_of_it)
    rows = rows.mutate(stated=ibis.least(stated, bound).cast(MONEY), bound=bound, whole=is_whole)
    so_far = ibis.cumulative_window(group_by=["order_source_id", "sale_id"], order_by=[rows.occurred_at, rows.event_id])
    rows = rows.mutate(before=rows.stated.sum().over(so_far) - rows.stated)
    left = ibis.greatest(rows.bound - rows.before, zero())
    amount = ibis.ifelse(rows.sale_known, ibis.least(rows.stated, left), rows.stated)
    return rows.mutate(
        order_id=rows.sale_id,
        refunded_at=rows.occurred_at,
        currency=ibis.coalesce(rows.currency, ""),
        amount=amount.cast(MONEY),
        quantity=ibis.coalesce(rows.pieces, 0.0),
    ).select(*REFUNDS.columns, "whole", "loyalty_card")


def per_order(refunds: ir.Table) -> ir.Table:
    """source_id, order_id, refunded, whole (1 where all of it was meant) of the sales with refunds."""
    return refunds.group_by(source_id=refunds.order_source_id, order_id=refunds.order_id).aggregate(
        refunded=refunds.amount.sum().cast(MONEY), whole=refunds.whole.cast("int64").max()
    )


def is_gone(rows: ir.Table) -> ir.BooleanValue:
    """Whether all of an order went back, by its gross_revenue, refunded and whole."""
    refunded = ibis.coalesce(rows.refunded, zero())
    return (ibis.coalesce(rows.whole, 0) == 1) | ((refunded > zero()) & (refunded >= rows.gross_revenue))


@remembered
def netted(heads: ir.Table, sold: ir.Table, refunds: ir.Table, given_back: ir.Table) -> ir.Table:
    """The lines of sales with gross and net quantity and revenue."""
    by_product = (*KEY, "product_id")
    named = given_back.group_by(*by_product).aggregate(
        back_pieces=given_back.quantity.sum(), back_amount=given_back.amount.sum()
    )
    rows = sold.join(heads.select(*KEY, "gross_revenue"), KEY)
    rows = rows.left_join(named, by_product).drop("source_id_right", "order_id_right", "product_id_right")
    rows = rows.left_join(per_order(refunds), KEY).drop("source_id_right", "order_id_right")
    rows = rows.mutate(
        pieces=ibis.greatest(rows.quantity, 0.0),
        paid=ibis.greatest(rows.revenue, zero()),
        refunded=ibis.coalesce(rows.refunded, zero()),
    )
    so_far = ibis.cumulative_window(group_by=by_product, order_by=rows.line)
    rows = rows.mutate(
        pieces_before=rows.pieces.sum().over(so_far) - rows.pieces, paid_before=rows.paid.sum().over(so_far) - rows.paid
    )
    back_pieces = ibis.coalesce(rows.back_pieces, 0.0) - rows.pieces_before
    back = ibis.coalesce(rows.back_amount, zero()) - rows.paid_before
    rows = rows.mutate(
        pieces_off=ibis.least(rows.pieces, ibis.greatest(back_pieces, 0.0)),
        off=ibis.least(rows.paid, ibis.greatest(back, zero())).cast(MONEY),
    )
    # What was refunded beyond the products named comes off what is left of all lines, in proportion, to the last cent.
    rows = rows.mutate(remaining=(rows.paid - rows.off).cast(MONEY))
    order, along = ibis.window(group_by=KEY), ibis.cumulative_window(group_by=KEY, order_by=rows.line)
    rows = rows.mutate(
        over=ibis.greatest(rows.refunded - rows.off.sum().over(order), zero()),
        whole_remaining=rows.remaining.sum().over(order),
        up_to=rows.remaining.sum().over(along),
    )
    further = _share(rows, rows.up_to) - _share(rows, rows.up_to - rows.remaining)
    gone = is_gone(rows)
    return rows.select(
        *KEY,
        "line",
        "product_id",
        quantity=ibis.ifelse(gone, 0.0, rows.quantity - rows.pieces_off),
        revenue=ibis.ifelse(gone, zero(), rows.revenue - rows.off - further).cast(MONEY),
        discount=ibis.coalesce(rows.discount, zero()),
        gross_quantity=rows.quantity,
        gross_revenue=rows.revenue,
    )


def _share(rows: ir.Table, part: ir.Value) -> ir.Value:
    """What of `over` falls on the first lines, which have `part` of what remains."""
    whole = ibis.ifelse(rows.whole_remaining > zero(), rows.whole_remaining.cast("float64"), 1.0)
    portion = rows.over.cast("float64") * part.cast("float64") / whole
    is_all = rows.over >= rows.whole_remaining
    return ibis.ifelse(is_all, part.cast(MONEY), money(portion))


@remembered
def on_their_own(refunds: ir.Table) -> ir.Table:
    """The orders that returns without a known sale are."""
    own = refunds.filter(~refunds.sale_known)
    turn = ibis.row_number().over(group_by=["order_source_id", "order_id"], order_by=[own.refunded_at, own.event_id])
    own = own.mutate(turn=turn.cast("int64"))
    first = ("identifier_id", "customer_id", "channel", "store_id", "till_id", "receipt", "cashier", "loyalty_card")
    found = own.group_by("order_source_id", "order_id").aggregate(
        **{name: own[name].argmin(own.turn) for name in (*first, "currency", "event_id")},
        ordered_at=own.refunded_at.min(),
        updated_at=own.refunded_at.max(),
        refunded=own.amount.sum().cast(MONEY),
    )
    missing = {name: ibis.null("string") for name in ("coupon", "cart_id", "checkout_id")}
    return found.mutate(
        source_id=found.order_source_id,
        status=ibis.literal("returned"),
        revenue=(zero() - found.refunded).cast(MONEY),
        gross_revenue=zero(),
        discount=zero(),
        lines=ibis.literal(0, "int64"),
        **missing,
    )


@remembered
def lines_on_their_own(own: ir.Table, refunds: ir.Table, given_back: ir.Table) -> ir.Table:
    """The lines of those orders: negative, with nothing sold."""
    order = own.select(*KEY, "identifier_id", "customer_id", "ordered_at")
    rows = given_back.join(refunds.select("event_id", "refunded_at"), "event_id").join(order, KEY)
    number = ibis.row_number().over(group_by=KEY, order_by=[rows.refunded_at, rows.event_id, rows.line])
    return rows.mutate(
        line=number.cast("int64"),
        quantity=0.0 - rows.quantity,
        revenue=(zero() - ibis.coalesce(rows.amount, zero())).cast(MONEY),
        discount=zero(),
        gross_quantity=ibis.literal(0.0),
        gross_revenue=zero(),
    )


def money(amount: ir.FloatingValue) -> ir.DecimalValue:
    """Money of a float, to four places, halves up: the stores' own casts differ."""
    ten_thousandths = (amount * 10_000 + 0.5).floor().cast("int64").cast("decimal(18, 0)")
    return (ten_thousandths * ibis.literal(Decimal("0.0001"), MONEY)).cast(MONEY)
