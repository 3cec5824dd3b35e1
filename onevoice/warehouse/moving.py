"""A compiled query that moves with the time: compiled once, and each time only its instants are written anew.

Compiling an expression costs milliseconds and a refresh compiles hundreds, each second, though nothing but "now" is
another. So a query is compiled at two instants far apart; where the two texts differ only in instants that lie as far
from "now" in the one as in the other, those are what moves. A query that asks for more of the time than that (the day
of the year, the weekday) does not move, and is compiled each time.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from onevoice.kernel.clock import naive

HERE = datetime(2250, 5, 17, 13, 14, 15, 161_718, tzinfo=UTC)
THERE = datetime(2251, 8, 9, 22, 23, 24, 252_627, tzinfo=UTC)
"""Two instants of another month, day, weekday and hour, later than any that a document names."""

NEAR = timedelta(days=40_000)
"""More than the longest window, less than what lies between `HERE` and any day that a document names."""

_DUCKDB = r"MAKE_TIMESTAMP\((\d+), (\d+), (\d+), (\d+), (\d+), (\d+(?:\.\d+)?)\)"
_CLICKHOUSE = r"parseDateTime64BestEffort\('([0-9T:.-]+)', \d\)"
_INSTANT = re.compile(f"{_DUCKDB}|{_CLICKHOUSE}")


@dataclass(frozen=True)
class Moving:
    """A query's text in pieces; between two of them stands an instant, so long from now, or that of the text."""

    pieces: tuple[str, ...]
    instants: tuple[timedelta | str, ...]
    is_duckdb: bool

    def at(self, now: datetime) -> str:
        """The query at an instant."""
        moment = naive(now)
        written = [one if isinstance(one, str) else self._written(moment + one) for one in self.instants]
        return "".join(part for pair in zip(self.pieces, [*written, ""], strict=True) for part in pair)

    @property
    def offsets(self) -> frozenset[timedelta]:
        """How far from "now" the instants lie that the query asks about."""
        return frozenset(one for one in self.instants if not isinstance(one, str))

    def _written(self, at: datetime) -> str:
        if not self.is_duckdb:
            return f"parseDateTime64BestEffort('{at.isoformat()}', 6)"
        return (
            f"MAKE_TIMESTAMP({at.year}, {at.month}, {at.day}, {at.hour}, {at.minute}, {at.second}.{at.microsecond:06})"
        )


def moving(compiled: Callable[[datetime], str], is_duckdb: bool) -> Moving | None:
    """What `compiled` gives at any instant, None where it cannot be had by moving instants."""
    here, there = compiled(HERE), compiled(THERE)
    pieces = _pieces(here)
    if pieces != _pieces(there):
        return None
    instants: list[timedelta | str] = []
    for left, right in zip(_INSTANT.finditer(here), _INSTANT.finditer(there), strict=True):
        offset = _instant(left) - naive(HERE)
        if left[0] == right[0]:
            instants.append(left[0])
        elif offset == _instant(right) - naive(THERE):
            instants.append(offset)
        else:
            return None
    return Moving(pieces, tuple(instants), is_duckdb)


def relative(compiled: str) -> frozenset[timedelta]:
    """How far from "now" the instants lie in a query compiled for `HERE`, but those that a document names."""
    found = {_instant(match) - naive(HERE) for match in _INSTANT.finditer(compiled)}
    return frozenset(one for one in found if abs(one) < NEAR)


def _pieces(sql: str) -> tuple[str, ...]:
    found, end = [], 0
    for match in _INSTANT.finditer(sql):
        found.append(sql[end : match.start()])
        end = match.end()
    return (*found, sql[end:])


def _instant(match: re.Match[str]) -> datetime:
    if match[7]:
        return datetime.fromisoformat(match[7])
    year, month, day, hour, minute = (int(match[number]) for number in range(1, 6))
    seconds = timedelta(microseconds=round(float(match[6]) * 1_000_000))
    return datetime(year, month, day, hour, minute) + seconds
