"""When something happened: the last and the first time, who stopped, who came back."""

import ibis
import ibis.expr.types as ir

from onevoice.catalog.facts import ORDERS
from onevoice.catalog.orders import counted
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.kind import Asked, Kind, Measured, Scope, reading
from onevoice.segments.conditions.sources import Rows, check_rows, reads_rows, selected
from onevoice.segments.conditions.windows import Windowed, bounds, check_window, days, inside

SPANS = ("within", "before", "since", "until", "during")
"""The parameters of a window."""


class LastOrder(Asked, frozen=True, kw_only=True):
    """When the last order was: `before` so long ago (and nothing since), or `within` the last days."""

    before: str | None = None
    within: str | None = None


class Last(Rows, frozen=True, kw_only=True):
    """The last time something happened lies in a span of time: `before: 60 days` says not since either."""


class First(Rows, frozen=True, kw_only=True):
    """The first time something happened ever lies in a span of time."""


class Stopped(Rows, frozen=True, kw_only=True):
    """Did something `at_least` so often in the `active` time, and not at all in the `quiet` time that followed it."""

    quiet: str
    active: str
    at_least: int = 1


class Returned(Rows, frozen=True, kw_only=True):
    """Did something `within` the last days for the first time after a silence of `quiet` or longer."""

    quiet: str


def _last_order(asked: LastOrder, scope: Scope) -> Measured:
    rows = counted(inside(scope, scope.table(ORDERS), "ordered_at", Windowed()))
    last = rows.group_by("customer_id").aggregate(last_at=rows.ordered_at.max())
    limit = scope.at(scope.now - days(asked.before or asked.within or ""))
    return Measured(last, last.last_at <= limit if asked.before else last.last_at > limit)


def _last(asked: Last, scope: Scope) -> Measured:
    rows = selected(scope, asked, timed=False).rows
    found = rows.group_by("customer_id").aggregate(last_at=rows["at"].max())
    return Measured(found, _lies(found.last_at, asked, scope))


def _first(asked: First, scope: Scope) -> Measured:
    rows = selected(scope, asked, timed=False).rows
    found = rows.group_by("customer_id").aggregate(first_at=rows["at"].min())
    return Measured(found, _lies(found.first_at, asked, scope))


def _lies(moment: ir.TimestampColumn, asked: Windowed, scope: Scope) -> ir.BooleanValue:
    after, last = bounds(asked, scope.now)
    met = moment <= scope.at(last)
    return met & (moment > scope.at(after)) if after else met


def _stopped(asked: Stopped, scope: Scope) -> Measured:
    quiet = scope.now - days(asked.quiet)
    rows = selected(scope, asked, timed=False).rows
    rows = rows.filter(rows["at"] > scope.at(quiet - days(asked.active)))
    found = rows.group_by("customer_id").aggregate(
        active=rows.count(where=rows["at"] <= scope.at(quiet)), last_at=rows["at"].max()
    )
    return Measured(found, (found.active >= asked.at_least) & (found.last_at <= scope.at(quiet)))


def _returned(asked: Returned, scope: Scope) -> Measured:
    edge = scope.at(scope.now - days(asked.within or ""))
    rows = selected(scope, asked, timed=False).rows
    found = rows.group_by("customer_id").aggregate(
        left_at=rows["at"].max(where=rows["at"] <= edge), returned_at=rows["at"].min(where=rows["at"] > edge)
    )
    # Two of a window that is no longer than the silence cannot have the silence between them; see _check_returned.
    silence = ibis.interval(seconds=int(days(asked.quiet).total_seconds()))
    return Measured(found, ibis.coalesce(found.left_at + silence <= found.returned_at, False))


def _check_last_order(asked: LastOrder, here: str) -> None:
    check_window(Windowed(within=asked.within, before=asked.before), here)


def _check_timed(asked: Rows, here: str) -> None:
    check_rows(asked, here)
    if all(getattr(asked, name) is None for name in SPANS):
        raise InvalidInput(f"{here}: give within, before, since, until or during")


def _check_stopped(asked: Stopped, here: str) -> None:
    check_rows(asked, here)
    _no_window(asked, here, SPANS)
    for name in ("quiet", "active"):
        days(getattr(asked, name), f"{here}.{name}")
    if asked.at_least < 1:
        raise InvalidInput(f"{here}.at_least: expected 1 or more; got {asked.at_least}")


def _check_returned(asked: Returned, here: str) -> None:
    check_rows(asked, here)
    _no_window(asked, here, ("before", "since", "until", "during"))
    if asked.within is None or days(asked.within) > days(asked.quiet, f"{here}.quiet"):
        raise InvalidInput(f"{here}.within: expected a time, at most as long as quiet")


def _no_window(asked: Rows, here: str, names: tuple[str, ...]) -> None:
    given = [name for name in names if getattr(asked, name) is not None]
    if given:
        raise InvalidInput(f"{here}: {', '.join(given)} cannot be given here")


TIMING_KINDS = (
    Kind(
        "last_order",
        LastOrder,
        _last_order,
        lambda asked: reading(ORDERS, windows=True),
        _check_last_order,
        one_of=("before", "within"),
        needs_one=True,
    ),
    Kind("last", Last, _last, reads_rows, _check_timed),
    Kind("first", First, _first, reads_rows, _check_timed),
    Kind("stopped", Stopped, _stopped, lambda asked: reads_rows(asked, relative=True), _check_stopped),
    Kind("returned", Returned, _returned, lambda asked: reads_rows(asked, relative=True), _check_returned),
)
