"""Orders as they stand after all that was told of them; what counts as one, said once."""

import ibis.expr.types as ir


def counted(orders: ir.Table) -> ir.Table:
    """The orders that count as such: not those cancelled or wholly returned, nor a return whose sale is not known.

    For how many, when and by whom; revenue is net already and may be summed over all.
    """
    return orders.filter(orders.status == "placed")


def kept(lines: ir.Table) -> ir.Table:
    """The order lines of which something was kept, for what was bought and how often."""
    return lines.filter(lines.quantity > 0)
