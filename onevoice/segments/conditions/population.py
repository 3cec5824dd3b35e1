"""Where a customer stands in the population: in its top or bottom share, in which fifth of it.

Equal values stand equal: the value at the edge decides, and all who have it are on the same side.
"""

import ibis.expr.types as ir

from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.kind import Number, Scope


def share_from_top(
    scope: Scope, values: ir.Table, everybody: ir.Table, top: Number | None, bottom: Number | None
) -> tuple[ir.Table, ir.BooleanValue]:
    """Whether each `value` is in the top (or bottom) percent of everybody's; with the threshold beside it.

    The edge is the value of the last who is in: of the ceil(percent/100 * n)-th from the top (or the bottom).
    """
    from_top = top is not None
    percent = top if top is not None else bottom or 0
    edges = everybody.aggregate(threshold=scope.warehouse.ranked_values(everybody.value, [percent], from_top)[0])
    both = values.cross_join(edges)
    return both, both.value >= both.threshold if from_top else both.value <= both.threshold


def check_percent(percent: Number | None, here: str) -> None:
    """Raises InvalidInput for what is no share of a population."""
    if percent is not None and not 0 < percent <= 100:
        raise InvalidInput(f"{here}: expected a percentage above 0 and up to 100; got {percent}")
