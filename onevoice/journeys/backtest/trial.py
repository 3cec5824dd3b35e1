"""One back-test from beginning to end: played, counted, its assertions checked, all but the figures thrown away."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from onevoice.journeys.backtest.checks import Noticing, Verdict, verdicts
from onevoice.journeys.backtest.replay import Plan, Watch, play
from onevoice.journeys.backtest.report import report
from onevoice.warehouse import Facts, Warehouse


@dataclass(frozen=True)
class Trial:
    """What it found."""

    report: dict[str, Any]
    verdicts: list[Verdict]

    @property
    def holds(self) -> bool:
        """Whether all that the document asserts does."""
        return all(verdict.holds for verdict in self.verdicts)


def tried(
    live: Warehouse,
    tables: Sequence[Facts],
    plan: Plan,
    secret: bytes,
    words: pa.Table | None = None,
    watch: Watch = lambda share: True,
) -> Trial:
    """Runs it; see replay.play for what it takes and raises."""
    began = time.monotonic()
    noticed = Noticing(plan.journey.document.asserts)
    played = play(live, tables, plan, secret, words, watch, noticed)
    try:
        found = report(played)
        totals = {**found["messages"], "entered": found["people"]["entered"]}
        judged = verdicts(played.scratch, plan.journey.name, noticed, totals)
    finally:
        played.scratch.close()
    return Trial({**found, "took_seconds": round(time.monotonic() - began, 1)}, judged)
