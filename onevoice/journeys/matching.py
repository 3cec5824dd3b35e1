"""Which events a journey's document means: by their name and what it asks of their properties."""

import ibis.expr.types as ir

from onevoice.segments.conditions.values import Operand, Where, as_filter, compared
from onevoice.warehouse import Warehouse

REPLIED = "Message Received"
"""The event of a customer's message to us, on any channel; its property `channel` says which."""


def matching(warehouse: Warehouse, events: ir.Table, name: str, where: Where) -> ir.Table:
    """The rows of EVENTS (or some of them) that are meant."""
    rows = events.filter(events.name == name)
    for key, wanted in where.items():
        text = warehouse.json_text(rows.properties, key)
        for holds in compared(Operand(text, text.try_cast("float64")), as_filter(wanted)):
            rows = rows.filter(holds)
    return rows
