"""What happened, as rows that a condition selects: a tracked event by its name, or one of the tables of facts.

`where` asks about an event's properties, or about a table's columns; order lines have their product's columns too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import ibis
import ibis.expr.types as ir
import msgspec

from onevoice.catalog.facts import COUPON_EVENTS, ORDER_LINES, ORDERS, PRODUCTS, REFUNDS
from onevoice.catalog.orders import counted, earning, kept
from onevoice.delivery.facts import MESSAGES
from onevoice.events.facts import EVENTS
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.kind import Reads, Scope, reading
from onevoice.segments.conditions.values import Filter, Operand, Where, as_filter, check_where, compared
from onevoice.segments.conditions.windows import Windowed, check_window, inside, is_relative
from onevoice.warehouse import Facts

SourceName = Literal["orders", "lines", "refunds", "coupons", "messages"]

HIDDEN = {"event_id", "identifier_id", "customer_id", "source_id", "address"}
"""Columns that say nothing of what happened."""

CALENDAR = ("day", "week", "month", "hour", "weekday")
"""What every source also has: parts of its moment, in UTC. `weekday` counts from Monday, 0."""

PRODUCT_COLUMNS = ("name", "brand", "category", "department", "sku", "variant")


@dataclass(frozen=True)
class Source:
    """A table of facts: when its rows happened, which of them count, what tells those of one instant apart."""

    facts: Facts
    moment: str
    identity: tuple[str, ...]
    counted: Callable[[ir.Table], ir.Table] = lambda rows: rows
    product: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """What may be asked about."""
        return [name for name in self.facts.columns if name not in HIDDEN] + list(self.product) + list(CALENDAR)


SOURCES: dict[str, Source] = {
    "orders": Source(ORDERS, "ordered_at", ("order_id",), counted),
    "lines": Source(ORDER_LINES, "ordered_at", ("order_id", "line"), kept, PRODUCT_COLUMNS),
    "refunds": Source(REFUNDS, "refunded_at", ("event_id",)),
    "coupons": Source(COUPON_EVENTS, "occurred_at", ("event_id",)),
    "messages": Source(MESSAGES, "accepted_at", ("message_id",)),
}
EVENT_SOURCE = Source(EVENTS, "occurred_at", ("event_id",))


class Rows(Windowed, frozen=True, kw_only=True):
    """Rows of what happened: `event` names a tracked event, `of` a table of facts."""

    event: str | None = None
    of: SourceName | None = None
    where: Where = msgspec.field(default_factory=dict)


@dataclass(frozen=True)
class Selected:
    """The rows found, with the moment as `at`; `identity` tells those of one instant apart."""

    rows: ir.Table
    source: Source
    scope: Scope

    def operand(self, name: str) -> Operand:
        """A property or a column of them."""
        return _operand(self.scope, self.rows, self.source, name)


def selected(
    scope: Scope,
    asked: Rows,
    also: Iterator[str] | tuple[str, ...] = (),
    timed: bool = True,
    money: bool = False,
    together: Sequence[Where] = (),
) -> Selected:
    """The rows asked about, of the window where they are `timed`. `also` names further properties that are needed.

    For `money`, orders also with the returns that lower it (catalog.orders.earning). What is asked `together` of the
    same table and window is read once, where all of it names products.
    """
    source = source_of(asked)
    rows = (earning if money else source.counted)(scope.table(source.facts))
    if asked.event is not None:
        rows = rows.filter(rows.name == asked.event)
    rows = inside(scope, rows, source.moment, asked if timed else Windowed())
    ofproduct = _of_product(source, asked.where)
    own = {name: as_filter(wanted) for name, wanted in asked.where.items() if name not in ofproduct}
    wanted_products = [_of_product(source, where) for where in together]
    if len(wanted_products) > 1 and all(wanted_products):
        products = _products(scope, wanted_products)
        rows = rows.join(products, "product_id").filter(lambda t: t[f"is_{wanted_products.index(ofproduct)}"])
    elif ofproduct:
        rows = rows.semi_join(_products(scope, [ofproduct]), "product_id")
    if source.product and any(name in source.product for name in (*own, *also)):
        products = scope.warehouse.table(PRODUCTS).select("product_id", *source.product)
        rows = rows.left_join(products, "product_id").drop("product_id_right")
    for name, wanted in own.items():
        for holds in compared(_operand(scope, rows, source, name), wanted):
            rows = rows.filter(holds)
    return Selected(rows.mutate(at=rows[source.moment]), source, scope)


def source_of(asked: Rows) -> Source:
    """The table behind it."""
    return EVENT_SOURCE if asked.event is not None else SOURCES[cast(str, asked.of)]


def reads_rows(asked: Rows, relative: bool | None = None) -> Reads:
    """What selecting the rows depends on."""
    source = source_of(asked)
    tables = [source.facts, *([PRODUCTS] if source.product else [])]
    named = frozenset({asked.event}) if asked.event is not None else frozenset()
    return reading(*tables, events=named, windows=is_relative(asked) if relative is None else relative)


def check_rows(asked: Rows, here: str, also: tuple[str, ...] = (), steps: int = 0) -> None:
    """Raises InvalidInput where it is not clear which rows are meant."""
    if (asked.event is None) == (asked.of is None):
        raise InvalidInput(f"{here}: give exactly one of event (a name), of ({', '.join(SOURCES)})")
    check_window(asked, here)
    check_where(asked.where, f"{here}.where", steps)
    if asked.event is None:
        columns = source_of(asked).columns
        for name in (*asked.where, *also):
            if name not in columns:
                raise InvalidInput(f"{here}: {asked.of} have no {name!r}; they have {', '.join(columns)}")


def _of_product(source: Source, where: Where) -> dict[str, Filter]:
    """What is asked of the product alone."""
    asked = {name: as_filter(wanted) for name, wanted in where.items() if name in source.product}
    return {name: one for name, one in asked.items() if one.same_as is None and one.differs_from is None}


def _products(scope: Scope, wanted: Sequence[dict[str, Filter]]) -> ir.Table:
    """product_id of the products that are as one of these says, and as which (`is_0`, `is_1`, ...)."""
    products = scope.warehouse.table(PRODUCTS)
    met = {
        f"is_{number}": ibis.and_(
            *(holds for name, asked in one.items() for holds in compared(column(products, name), asked))
        )
        for number, one in enumerate(wanted)
    }
    return products.select("product_id", **met).filter(lambda t: ibis.or_(*(t[name] for name in met)))


def _operand(scope: Scope, rows: ir.Table, source: Source, name: str) -> Operand:
    if source is EVENT_SOURCE:
        text = scope.warehouse.json_text(rows.properties, name)
        return Operand(text, text.try_cast("float64"))
    if name in CALENDAR:
        return _calendar(rows[source.moment], name)
    return column(rows, name)


def column(rows: ir.Table, name: str) -> Operand:
    """A column as something to compare."""
    found = rows[name]
    if found.type().is_string():
        return Operand(found.nullif(""), found.try_cast("float64"))
    if found.type().is_numeric():
        return Operand(found.cast("string"), found.cast("float64"))
    return Operand(found.cast("string"), ibis.null("float64"))


def _calendar(moment: ir.TimestampValue, name: str) -> Operand:
    if name in ("hour", "weekday"):
        number = moment.hour() if name == "hour" else moment.day_of_week.index()
        return Operand(number.cast("string"), number.cast("float64"))
    day = moment.truncate({"day": "D", "week": "W", "month": "M"}[name]).cast("date")
    return Operand(day.cast("string"), ibis.null("float64"))
