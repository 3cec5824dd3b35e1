"""How much of the inbox waits for the engine, kept from look to look: a look reads what came since the one before.

To add up the whole inbox each second costs a core of two for tenths of a second once half a million calls wait, and
whoever brings something then waits for that core.
"""

from sqlalchemy import Connection

from onevoice.database import driver

SPAN = 256
"""Transactions that are added up as one."""

_LOOK = """
    SELECT open, first, span, settled, calls, bytes
    FROM (
        SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS open,
            (SELECT min(transaction) FROM inbox WHERE transaction >= %(known)s) AS first
    ) AS bounds
    LEFT JOIN (
        SELECT transaction / %(span)s AS span,
            transaction < (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint) AS settled,  -- asked once
            sum(calls)::bigint AS calls, sum(octet_length(payload))::bigint AS bytes
        FROM inbox WHERE transaction >= %(unsettled)s GROUP BY 1, 2
    ) AS spans ON true
"""


class Backlog:
    """What was added up so far, a number of calls and their stored bytes by span of transactions."""

    def __init__(self, span: int = SPAN) -> None:
        self._span = span
        self._settled: dict[int, tuple[int, int]] = {}
        self._unsettled = 0  # the first transaction that was not over at the last look

    def look(self, connection: Connection) -> tuple[int, int]:
        """How many facts wait for the engine, and their bytes as they are stored.

        What the engine took counts until it has taken the span: less than a span too much.
        """
        known = min(self._settled) * self._span if self._settled else self._unsettled
        with driver(connection) as raw:
            raw.execute("SET LOCAL max_parallel_workers_per_gather = 0")
            if self._unsettled:
                # Rows change too fast for the planner's statistics: it would read from end to end, as the first time.
                raw.execute("SET LOCAL enable_seqscan = off")
            bounds = {"known": known, "unsettled": self._unsettled, "span": self._span}
            rows = raw.execute(_LOOK, bounds).fetchall()
        self._unsettled, first, *_ = rows[0]
        if first is None:
            self._settled = {}
            return 0, 0
        self._settled = {span: held for span, held in self._settled.items() if (span + 1) * self._span > first}
        waiting = [*self._settled.values()]
        for *_, span, settled, calls, size in rows:
            if span is None:  # nothing came since
                continue
            waiting.append((calls, size))
            if settled:
                before = self._settled.get(span, (0, 0))
                self._settled[span] = before[0] + calls, before[1] + size
        return sum(calls for calls, _ in waiting), sum(size for _, size in waiting)
