"""The time a condition looks at. What lies ahead of now never counts."""

import re
from datetime import timedelta

import ibis.expr.types as ir

from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.kind import Scope

LONGEST = timedelta(days=36_500)
"""The longest window: a century, which every store's timestamps still reach back."""


def days(text: str, here: str = "") -> timedelta:
    """`60 days`, `12 hours`. Raises InvalidInput."""
    found = re.fullmatch(r"(\d{1,6})\s*(day|hour)s?", text.strip())
    if not found:
        raise InvalidInput(f"{here}: expected a number of days or hours, such as `60 days`; got {text!r}")
    length = timedelta(days=int(found[1])) if found[2] == "day" else timedelta(hours=int(found[1]))
    if length > LONGEST:
        raise InvalidInput(f"{here}: expected at most {LONGEST.days} days; got {text!r}")
    return length


def since(scope: Scope, rows: ir.Table, moment: str, within: str | None) -> ir.Table:
    """The rows of the window (now - within, now]."""
    rows = rows.filter(rows[moment] <= scope.at(scope.now))
    return rows.filter(rows[moment] > scope.at(scope.now - days(within))) if within else rows
