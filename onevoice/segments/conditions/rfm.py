"""Recency, frequency and monetary value: where a customer stands in each by fifths of all who ordered.

Scores run from 1 to 5, 5 being the best fifth, by the last order, the number of orders and their net revenue (after
Hughes, Strategic Database Marketing, 1994). A score is one more than the number of fifths' edges (the values at 20, 40,
60 and 80 % of the customers) that lie below the value: equal values have equal scores, so fifths are as even as ties
let them be.
"""

from functools import reduce
from typing import Literal

import ibis
import ibis.expr.types as ir

from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.kind import Kind, Measured, Scope
from onevoice.segments.conditions.sources import Rows, reads_rows, selected
from onevoice.segments.conditions.windows import Windowed, check_window

Group = Literal[
    "champions",
    "loyal",
    "potential_loyalists",
    "new",
    "promising",
    "need_attention",
    "about_to_sleep",
    "at_risk",
    "cannot_lose",
    "hibernating",
]

GROUPS: dict[str, tuple[tuple[int, int], ...]] = {
    "champions": ((5, 4), (5, 5)),
    "loyal": ((3, 4), (3, 5), (4, 4), (4, 5)),
    "potential_loyalists": ((4, 2), (4, 3), (5, 2), (5, 3)),
    "new": ((5, 1),),
    "promising": ((4, 1),),
    "need_attention": ((3, 3),),
    "about_to_sleep": ((3, 1), (3, 2)),
    "at_risk": ((1, 3), (1, 4), (2, 3), (2, 4)),
    "cannot_lose": ((1, 5), (2, 5)),
    "hibernating": ((1, 1), (1, 2), (2, 1), (2, 2)),
}
"""The customary names of (recency, frequency): every cell has exactly one."""

SCORES = ("recency", "frequency", "monetary")
FIFTHS = (20, 40, 60, 80)


class Rfm(Windowed, frozen=True, kw_only=True):
    """In one of the named groups, and of one of the scores given for recency, frequency and monetary value.

    Orders of the window are scored; who has none in it has no score.
    """

    group: list[Group] | Group | None = None
    recency: list[int] | int | None = None
    frequency: list[int] | int | None = None
    monetary: list[int] | int | None = None


def scored(asked: Rfm, scope: Scope) -> ir.Table:
    """customer_id, recency, frequency, monetary, each from 1 to 5."""
    mine, all_of_them = _facts(asked, scope), _facts(asked, scope.whole())
    edges = all_of_them.aggregate(
        **{f"{name}_edges": scope.warehouse.ranked_values(all_of_them[name], FIFTHS, False) for name in SCORES}
    )
    both = mine.cross_join(edges)
    return both.select("customer_id", **{name: _score(both, name) for name in SCORES})


def _facts(asked: Rfm, scope: Scope) -> ir.Table:
    rows = selected(scope, _rows(asked)).rows
    return rows.group_by("customer_id").aggregate(
        recency=rows["at"].max().epoch_seconds().cast("float64"),
        frequency=rows.count().cast("float64"),
        monetary=rows.revenue.sum().cast("float64"),
    )


def _score(both: ir.Table, name: str) -> ir.IntegerValue:
    edges = both[f"{name}_edges"]
    above = [(both[name] > edges[place]).cast("int64") for place in range(len(FIFTHS))]
    return reduce(lambda left, right: left + right, above, ibis.literal(1, "int64"))


def _measured(asked: Rfm, scope: Scope) -> Measured:
    scores = scored(asked, scope)
    met: list[ir.BooleanValue] = []
    for name in SCORES:
        wanted = getattr(asked, name)
        if wanted is not None:
            met.append(scores[name].isin(wanted if isinstance(wanted, list) else [wanted]))
    if asked.group is not None:
        names = asked.group if isinstance(asked.group, list) else [asked.group]
        cells = [10 * recency + frequency for name in names for recency, frequency in GROUPS[name]]
        met.append((scores.recency * 10 + scores.frequency).isin(cells))
    return Measured(scores, reduce(lambda left, right: left & right, met))


def _rows(asked: Rfm) -> Rows:
    return Rows(of="orders", **{name: getattr(asked, name) for name in Windowed.__struct_fields__})


def _check(asked: Rfm, here: str) -> None:
    check_window(asked, here)
    given = [name for name in ("group", *SCORES) if getattr(asked, name) not in (None, [])]
    if not given:
        raise InvalidInput(f"{here}: give at least one of group, {', '.join(SCORES)}")
    for name in SCORES:
        wanted = getattr(asked, name)
        scores = wanted if isinstance(wanted, list) else [] if wanted is None else [wanted]
        if any(not 1 <= score <= 5 for score in scores):
            raise InvalidInput(f"{here}.{name}: expected scores from 1 to 5; got {wanted}")


RFM = Kind(
    "rfm", Rfm, _measured, lambda asked: reads_rows(_rows(asked)), _check, is_population_relative=lambda asked: True
)
