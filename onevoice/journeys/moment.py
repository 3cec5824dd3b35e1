"""The instant of a tick as one row of the warehouse, so that an expression that asks for it is compiled once."""

from datetime import datetime

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse

_NAME = "tick_moment"
_MOMENT = ibis.table({"at": "timestamp(6)", "number": "int64", "stamp": "string"}, name=_NAME)


def set_moment(warehouse: Warehouse, now: datetime, number: int) -> None:
    """Puts the tick's instant and number where `at`, `number` and `stamp` find them."""
    row = {
        "at": pa.array([naive(now)], pa.timestamp("us")),
        "number": pa.array([number], pa.int64()),
        "stamp": pa.array([now.isoformat()], pa.string()),
    }
    warehouse.stage(_NAME, pa.table(row))


def at() -> ir.TimestampScalar:
    """The instant, as the warehouse has it."""
    return _alone(_MOMENT.at)


def number() -> ir.IntegerScalar:
    """The tick's number, which its messages carry to the hand-off."""
    return _alone(_MOMENT.number)


def stamp() -> ir.StringScalar:
    """The instant as text."""
    return _alone(_MOMENT.stamp)


def _alone(column: ir.Column) -> ir.Scalar:
    # Ibis 12 writes a column's name into a subquery that stands alone as a column, also where it stands elsewhere.
    return ibis.coalesce(column.as_scalar())
